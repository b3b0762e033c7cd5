package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cavaliergopher/cpio"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
)

func write(t *testing.T, at, text string) string {
	t.Helper()
	if err := os.WriteFile(at, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return at
}

// newKit makes a kit whose files are a few bytes each.
func newKit(t *testing.T) (*Kit, Files) {
	t.Helper()
	dir := t.TempDir()
	files := Files{Kernel: write(t, dir+"/vmlinux", "kernel"), Disk: write(t, dir+"/disk.squashfs", "hsqs"), Modules: dir + "/modules.cpio"}
	var modules bytes.Buffer
	if err := writeCPIO(&modules, []cpioFile{{Name: "modules", Mode: modeDir}, {Name: "modules/00-one.ko", Mode: 0o100644, Data: []byte("a module")}}); err != nil {
		t.Fatal(err)
	}
	write(t, files.Modules, modules.String())
	k, err := New(Config{
		Config:   supervised.Config{AgentPath: write(t, dir+"/agent", "the agent"), DiskBytes: 64 << 20},
		InitPath: write(t, dir+"/init", "the init"), CacheDir: dir + "/cache",
		Files:      func(context.Context, vitrine.MachineSpec) (Files, error) { return files, nil },
		KernelArgs: []string{"more=1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return k, files
}

func needMke2fs(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("mke2fs"); err != nil {
		t.Skip("mke2fs is missing: apt-get install e2fsprogs")
	}
}

// label is the volume name of an ext4 (kernel documentation, ext4 super block).
func label(t *testing.T, at string) string {
	t.Helper()
	f, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 16)
	if _, err := f.ReadAt(b, 1024+0x78); err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(string(b), "\x00")
}

func TestAMachinesPartsAreWhatItsInitLooksFor(t *testing.T) {
	needMke2fs(t)
	k, files := newKit(t)
	d := machinedir.Dir(t.TempDir())
	const secret = `{"secret":"0123","hostname":"box"}`
	spec := vitrine.MachineSpec{ID: "mch_x", Slot: 3, VCPU: 1, MaxPIDs: 100, AgentConfig: []byte(secret)}
	var before []byte
	for try := range 2 { // done again it is the same
		p, err := k.Make(t.Context(), spec, d)
		if err != nil {
			t.Fatal(err)
		}
		if p.Kernel != files.Kernel || p.Base != files.Disk || p.UID != 1<<20+3*65536 || p.TAP != "" {
			t.Errorf("the parts are %+v", p)
		}
		if l := label(t, p.Agent); l != AgentLabel {
			t.Errorf("the agent's drive is labelled %q", l)
		}
		if l := label(t, p.Scratch); l != ScratchLabel {
			t.Errorf("the machine's disk is labelled %q", l)
		}
		if st, err := os.Stat(p.Scratch); err != nil || st.Size() != 64<<20 || st.Mode().Perm() != 0o600 {
			t.Errorf("the machine's disk is %+v, %v", st, err)
		}
		st, err := os.Stat(p.Boot)
		if err != nil || st.Mode().Perm() != 0o600 || st.Size()%agentproto.BootAlign != 0 {
			t.Errorf("the boot drive is %+v, %v", st, err)
		}
		text, err := os.ReadFile(p.Boot)
		if err != nil {
			t.Fatal(err)
		}
		boot, err := agentproto.DecodeBoot(bytes.NewReader(text))
		if err != nil || boot.Hostname != "box" || len(boot.Files) != 4 || string(boot.Files[0].Data) != secret || boot.Files[0].Mode != 0o600 {
			t.Errorf("the boot drive holds %+v, %v", boot, err)
		}
		initramfs, err := os.ReadFile(p.Initramfs)
		if err != nil {
			t.Fatal(err)
		}
		if try == 1 && !bytes.Equal(before, initramfs) {
			t.Error("the initramfs is another the second time")
		}
		before = initramfs
		// The kernel unpacks archives that follow each other.
		half := len(initramfs) - cpioSize(t, initramfs)
		if half <= 0 || half%4 != 0 {
			t.Fatalf("the second archive begins at %d", half)
		}
		if got := names(t, initramfs[:half]); !slices.Equal(got, []string{"modules", "modules/00-one.ko"}) {
			t.Errorf("the kernel's archive holds %q", got)
		}
		if got := names(t, initramfs[half:]); !slices.Equal(got, []string{"dev", "proc", "sys", "init"}) {
			t.Errorf("our archive holds %q", got)
		}
	}
	line := k.CommandLine(spec, "reboot=t")
	for _, want := range []string{"console=ttyS0", "panic=1", "reboot=t", "more=1", "sysctl.kernel.threads-max="} {
		if !strings.Contains(line, want) {
			t.Errorf("the kernel is told %q, without %q", line, want)
		}
	}
	if strings.Contains(line, "0123") {
		t.Error("the secret stands in the kernel's arguments")
	}
}

// cpioSize is how long the last archive of a file is: it begins at "dev".
func cpioSize(t *testing.T, file []byte) int {
	t.Helper()
	i := bytes.LastIndex(file, []byte("dev\x00"))
	if i < 110 {
		t.Fatal("our archive is not there")
	}
	return len(file) - (i - 110)
}

func names(t *testing.T, archive []byte) []string {
	t.Helper()
	r := cpio.NewReader(bytes.NewReader(archive))
	var out []string
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, h.Name)
		if data, err := io.ReadAll(r); err != nil || int64(len(data)) != h.Size {
			t.Errorf("%s: %d of %d bytes, %v", h.Name, len(data), h.Size, err)
		}
	}
}

func TestTheCacheKeepsWhatIsUsedAndForgetsTheRest(t *testing.T) {
	k, _ := newKit(t)
	made := 0
	get := func(name string) {
		t.Helper()
		at, err := k.cached(t.Context(), name, func(tmp string) error {
			made++
			return os.WriteFile(tmp, nil, 0o600)
		})
		if err != nil || filepath.Base(at) != name {
			t.Fatalf("%s: %s, %v", name, at, err)
		}
	}
	old := time.Now().Add(-time.Hour)
	for i := range cacheKeep + 3 {
		name := fmt.Sprintf("agent-%d.ext4", i)
		get(name)
		get("agent-0.ext4") // used all the time
		if name != "agent-0.ext4" {
			_ = os.Chtimes(filepath.Join(k.cfg.CacheDir, name), old.Add(time.Duration(i)*time.Minute), old.Add(time.Duration(i)*time.Minute))
		}
	}
	if made != cacheKeep+3 {
		t.Errorf("%d files were made, %d asked for", made, cacheKeep+3)
	}
	left, _ := filepath.Glob(filepath.Join(k.cfg.CacheDir, "agent-*"))
	if len(left) != cacheKeep || !slices.Contains(left, filepath.Join(k.cfg.CacheDir, "agent-0.ext4")) {
		t.Errorf("the cache holds %q", left)
	}
}

func TestAFileThatCouldNotBeMadeIsNotInTheCache(t *testing.T) {
	k, _ := newKit(t)
	broken := errors.New("no luck")
	_, err := k.cached(t.Context(), "agent-x.ext4", func(tmp string) error {
		_ = os.WriteFile(tmp, []byte("half"), 0o600)
		return broken
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	// One that was killed half way left its own.
	write(t, filepath.Join(k.cfg.CacheDir, "agent-x.ext4.tmp"), "half of another")
	at, err := k.cached(t.Context(), "agent-x.ext4", func(tmp string) error { return os.WriteFile(tmp, []byte("whole"), 0o600) })
	if text, _ := os.ReadFile(at); err != nil || string(text) != "whole" {
		t.Errorf("the cache gives %q, %v", text, err)
	}
	if left, _ := filepath.Glob(filepath.Join(k.cfg.CacheDir, "*.tmp")); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
}

func TestStartsAtTheSameTimeMakeASharedFileOnce(t *testing.T) {
	k, _ := newKit(t)
	other, err := New(k.cfg) // as another process has it
	if err != nil {
		t.Fatal(err)
	}
	made, errs := make(chan bool, 8), make(chan error)
	for i := range 8 {
		kit := []*Kit{k, other}[i%2]
		go func() {
			_, err := kit.cached(context.Background(), "initramfs-y.cpio", func(tmp string) error {
				made <- true
				return os.WriteFile(tmp, nil, 0o600)
			})
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if len(made) != 1 {
		t.Errorf("it was made %d times", len(made))
	}
}

func TestAnotherContentIsAnotherKey(t *testing.T) {
	s, dir := newSums(), t.TempDir()
	at := write(t, dir+"/a", "one")
	key := func() string {
		t.Helper()
		k, err := s.of(at)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first := key()
	if key() != first {
		t.Error("the same file has another key the second time")
	}
	write(t, at, "three")
	if key() == first {
		t.Error("a file that grew has the same key")
	}
	write(t, at, "seven")
	_ = os.Chtimes(at, time.Now(), time.Now().Add(time.Second))
	if second := key(); second == first {
		t.Error("another content of the same length has the same key")
	}
	if _, err := s.of(dir); err == nil {
		t.Error("a directory has a key")
	}
}

func TestAConfigThatLacksSomethingIsRefused(t *testing.T) {
	k, _ := newKit(t)
	for name, change := range map[string]func(*Config){
		"no source":         func(c *Config) { c.Files = nil },
		"a relative init":   func(c *Config) { c.InitPath = "init" },
		"no cache":          func(c *Config) { c.CacheDir = "" },
		"a cache in a file": func(c *Config) { c.CacheDir = c.InitPath + "/x" },
	} {
		c := k.cfg
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
