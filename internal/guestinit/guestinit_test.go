package guestinit

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// ext4Head is the beginning of an ext4 file system with a label.
func ext4Head(label string) []byte {
	head := make([]byte, headLen)
	binary.LittleEndian.PutUint16(head[extMagicAt:], extMagic)
	copy(head[extLabelAt:], label)
	return head
}

func TestDrivesAreToldByWhatIsOnThem(t *testing.T) {
	for _, tt := range []struct {
		name string
		head []byte
		want string
	}{
		{"an image", []byte("hsqs and more"), driveBase},
		{"a boot drive", []byte(agentproto.BootMagic), driveBoot},
		{"the agent's drive", ext4Head("vitrine-agent"), driveAgent},
		{"a machine's own drive", ext4Head("vitrine-disk"), driveScratch},
		{"a drive of somebody else", ext4Head("backup"), ""},
		{"a label that only begins like ours", ext4Head("vitrine-disk2"), ""},
		{"a label without end", ext4Head("vitrine-disk-1234"), ""},
		{"an ext4 without a label", ext4Head(""), ""},
		{"an empty drive", make([]byte, headLen), ""},
		{"a drive of 512 bytes", make([]byte, 512), ""},
		{"an ext4 that is cut off", ext4Head("vitrine-disk")[:headLen-1], ""},
		{"nothing at all", nil, ""},
	} {
		if got := recognise(tt.head); got != tt.want {
			t.Errorf("%s is %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzRecognise(f *testing.F) {
	for _, seed := range [][]byte{nil, []byte("hsqs"), []byte(agentproto.BootMagic), ext4Head("vitrine-disk"), ext4Head("vitrine-agent")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		if got := recognise(head); got != "" && !slices.Contains(allDrives, got) {
			t.Errorf("a drive that is for %q", got)
		}
	})
}

// drives makes block devices that are files, and gives where they are listed and
// where they lie.
func drives(t *testing.T, heads map[string][]byte) (sys, dev string) {
	t.Helper()
	sys, dev = t.TempDir(), t.TempDir()
	for name, head := range heads {
		if err := os.Mkdir(filepath.Join(sys, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if head == nil {
			continue // listed, and cannot be read
		}
		if err := os.WriteFile(filepath.Join(dev, name), head, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return sys, dev
}

func TestTheOrderOfDrivesDoesNotMatter(t *testing.T) {
	sys, dev := drives(t, map[string][]byte{
		"vda": ext4Head("vitrine-disk"), "vdb": []byte(agentproto.BootMagic), "vdc": ext4Head("other"),
		"vdd": []byte("hsqs"), "vde": ext4Head("vitrine-agent"), "loop0": nil,
	})
	found, err := findDrives(sys, dev, 0)
	if err != nil {
		t.Fatal(err)
	}
	for what, name := range map[string]string{driveScratch: "vda", driveBoot: "vdb", driveBase: "vdd", driveAgent: "vde"} {
		if found[what] != filepath.Join(dev, name) {
			t.Errorf("the %s is %s, want %s", what, found[what], name)
		}
	}
}

func TestAMachineWithoutAllItsDrivesSaysWhich(t *testing.T) {
	base, agent, scratch, boot := []byte("hsqs"), ext4Head("vitrine-agent"), ext4Head("vitrine-disk"), []byte(agentproto.BootMagic)
	for _, tt := range []struct {
		name  string
		heads map[string][]byte
		want  string
	}{
		{"no drives", nil, "no drive is the base and none the agent and none the scratch and none the boot, among 0 drives"},
		{"no image", map[string][]byte{"vda": agent, "vdb": scratch, "vdc": boot}, "no drive is the base,"},
		{"no drive of its own", map[string][]byte{"vda": base, "vdb": agent, "vdc": boot, "vdd": make([]byte, 9000)}, "no drive is the scratch,"},
		{"one that cannot be read", map[string][]byte{"vda": base, "vdb": nil, "vdc": scratch, "vdd": boot}, "vdb: unreadable"},
		{"two images", map[string][]byte{"vda": base, "vdb": base, "vdc": scratch, "vdd": boot}, "both vda and vdb are the base"},
	} {
		sys, dev := drives(t, tt.heads)
		if _, err := findDrives(sys, dev, 0); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestADriveThatAppearsLateIsWaitedFor(t *testing.T) {
	sys, dev := drives(t, map[string][]byte{"vda": ext4Head("vitrine-agent"), "vdb": ext4Head("vitrine-disk"), "vdc": []byte(agentproto.BootMagic)})
	late := make(chan error, 1)
	go func() {
		err := os.WriteFile(filepath.Join(dev, "vdd"), []byte("hsqs"), 0o600)
		if err == nil {
			err = os.Mkdir(filepath.Join(sys, "vdd"), 0o755)
		}
		late <- err
	}()
	if _, err := findDrives(sys, dev, time.Minute); err != nil {
		t.Error(err)
	}
	if err := <-late; err != nil {
		t.Error(err)
	}
}

func TestOnlyTheScratchDriveIsWritable(t *testing.T) {
	steps := driveMounts(map[string]string{driveBase: "/dev/vda", driveAgent: "/dev/vdb", driveScratch: "/dev/vdc"})
	for _, m := range steps {
		if writable := m.flags&unix.MS_RDONLY == 0; writable != (m.source == "/dev/vdc") {
			t.Errorf("%s: writable %v", m.what, writable)
		}
		if !strings.Contains(m.what, m.source) {
			t.Errorf("an error of %q would not tell the device %s", m.what, m.source)
		}
	}
	if steps[0].source != "/dev/vda" || steps[0].fstype != "squashfs" {
		t.Errorf("the base is %+v", steps[0])
	}
}

func TestWhatIsMountedInMemoryIsBounded(t *testing.T) {
	made := map[string]bool{rootDir: true}
	for _, m := range rootMounts() {
		if m.fstype == "tmpfs" && !strings.Contains(m.data, "size=") {
			t.Errorf("%s has no size", m.target)
		}
		// What is mounted later must not hide what was mounted before.
		for before := range made {
			if strings.HasPrefix(before, m.target+"/") {
				t.Errorf("%s is mounted over %s", m.target, before)
			}
		}
		made[m.target] = true
	}
	for _, dir := range []string{"/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/run", agentproto.Dir} {
		if !made[rootDir+dir] {
			t.Errorf("%s is not mounted", dir)
		}
	}
}

func TestTheKernelsWordsDoNotReachTheAgent(t *testing.T) {
	env := environment([]string{"TERM=x", "BOOT_IMAGE=/vmlinuz", "PATH=/evil", "LD_PRELOAD=/evil.so", "GODEBUG=cpu.avx=off", "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX", "GODEBUGS=x"})
	want := []string{"GODEBUG=cpu.avx=off", "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX"}
	if got := env[len(env)-2:]; !slices.Equal(got, want) || len(env) != 5 || strings.Contains(strings.Join(env, " "), "evil") {
		t.Errorf("%q", env)
	}
}

func TestAFileOfTheBootDriveFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	prize := filepath.Join(dir, "prize")
	if err := os.WriteFile(prize, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "etc", "resolv.conf")
	if err := os.Mkdir(filepath.Dir(link), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(prize, link); err != nil {
		t.Fatal(err)
	}
	if err := place(agentproto.BootFile{Path: link, Mode: 0o640, Data: []byte("theirs")}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(prize); string(got) != "mine" {
		t.Errorf("what the link led to now holds %q", got)
	}
	info, err := os.Lstat(link)
	if got, _ := os.ReadFile(link); err != nil || string(got) != "theirs" || info.Mode() != 0o640 {
		t.Errorf("the file holds %q, %v, %v", got, info.Mode(), err)
	}
	if err := place(agentproto.BootFile{Path: filepath.Join(dir, "a", "b", "c"), Mode: 0o600}); err != nil {
		t.Errorf("a directory that is missing: %v", err)
	}
}

func TestModulesThatCannotBeLoadedAreToldAndLeftOut(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"01-b.ko", "00-a.ko", "README"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("no module"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var told []string
	say := func(what string, err error) { told = append(told, what) }
	loadModules(dir, say)
	if !slices.Equal(told, []string{"load 00-a.ko", "load 01-b.ko"}) {
		t.Errorf("%q", told)
	}
	told = nil
	if loadModules(filepath.Join(dir, "none"), say); told != nil {
		t.Errorf("a kernel that has everything built in: %q", told)
	}
}
