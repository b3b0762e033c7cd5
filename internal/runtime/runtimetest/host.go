package runtimetest

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/vitrine-dev/vitrine/internal/runtime/shim"
)

// Main is the whole of TestMain: it serves the other roles of the test binary,
// or runs the tests.
func Main(m *testing.M, factory Factory) {
	if len(os.Args) > 1 && os.Args[1] == "shim" {
		os.Exit(shim.Main(os.Args[2:]))
	}
	if factory.VM != nil {
		limit = cmp.Or(factory.VM.Limit, vmLimit)
	}
	if len(os.Args) > 1 && os.Args[1] == "make-and-hang" {
		makeAndHang(factory, os.Args[2:])
	}
	if factory.VM != nil && os.Geteuid() == 0 {
		enterNode()
	}
	code := m.Run()
	for _, d := range builtDirs {
		_ = os.RemoveAll(d)
	}
	os.Exit(code)
}

// builtDirs are where programs were built.
var builtDirs []string

// needRoot skips where machines cannot be made at all.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("machines need root")
	}
}

// repository is the module's root.
func repository() string {
	dir, _ := os.Getwd()
	for dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return "."
}

// buildAgent builds the agent once a test binary; VITRINE_TEST_AGENT names one
// that is built already.
var buildAgent = sync.OnceValues(func() (string, error) {
	if p := os.Getenv("VITRINE_TEST_AGENT"); p != "" {
		return p, nil
	}
	built := filepath.Join(repository(), "internal/agentbin/dist/vitrine-agent")
	if _, err := os.Stat(built); err == nil {
		return built, nil
	}
	return build("vitrine-agent", "CGO_ENABLED=1", "-tags", "netgo,osusergo", "-ldflags", "-s -w -extldflags=-static")
})

// build builds a program of the repository's, linked statically.
func build(name, env string, args ...string) (string, error) {
	dir, err := os.MkdirTemp("", "vitrine-test-build-")
	if err != nil {
		return "", err
	}
	builtDirs = append(builtDirs, dir)
	out := filepath.Join(dir, name)
	cmd := exec.Command("go", append(append([]string{"build"}, args...), "-o", out, "./cmd/"+name)...)
	cmd.Dir = repository()
	cmd.Env = append(os.Environ(), env)
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, b)
	}
	return out, nil
}

// makeRoot makes a root file system of the host's busybox, or gives the one that
// VITRINE_TEST_ROOTFS names.
func makeRoot(t testing.TB) string {
	t.Helper()
	if p := os.Getenv("VITRINE_TEST_ROOTFS"); p != "" {
		return p
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox is missing: apt-get install busybox-static")
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	if i := bytes.Index(program[:min(len(program), 4096)], []byte("/ld-linux")); i >= 0 {
		t.Skip("busybox is not static: apt-get install busybox-static")
	}
	root := filepath.Join(t.TempDir(), "rootfs")
	must(t, os.Mkdir(root, 0o755))
	for _, d := range []string{"bin", "dev", "etc", "home/user", "proc", "root", "run", "sys", "tmp", "usr/bin", "var/tmp"} {
		must(t, os.MkdirAll(filepath.Join(root, d), 0o755))
	}
	must(t, os.Chmod(root, 0o755))
	must(t, os.Chmod(filepath.Join(root, "tmp"), 0o1777))
	must(t, os.WriteFile(filepath.Join(root, "bin/busybox"), program, 0o755))
	for _, applet := range []string{"sh", "cat", "chmod", "dd", "echo", "head", "id", "kill", "ln", "grep", "ls", "mkdir", "mknod", "mount", "mv", "ps", "rm", "seq", "sleep", "stat", "tail", "touch", "true", "yes"} {
		must(t, os.Symlink("busybox", filepath.Join(root, "bin", applet)))
	}
	must(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(root, "etc/group"), []byte("root:x:0:\nuser:x:1000:\n"), 0o644))
	must(t, os.Chown(filepath.Join(root, "home/user"), 1000, 1000))
	return root
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// snapshot is what of ours there is on the host, one line a thing. mark is a
// string that is part of all of it: the base directory, the machines' ids.
func snapshot(marks ...string) []string {
	var out []string
	has := func(s string) bool {
		for _, m := range marks {
			if strings.Contains(s, m) {
				return true
			}
		}
		return false
	}
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		b, _ := os.ReadFile(p)
		if s := string(bytes.ReplaceAll(b, []byte{0}, []byte{' '})); has(s) && !strings.Contains(p, fmt.Sprintf("/%d/", os.Getpid())) {
			out = append(out, "process "+strings.Split(p, "/")[2]+" "+s)
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for _, l := range strings.Split(string(mounts), "\n") {
		if has(l) {
			out = append(out, "mount "+l)
		}
	}
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, l := range loops {
		if b, _ := os.ReadFile(l); has(string(b)) {
			out = append(out, "loop device "+l+" "+strings.TrimSpace(string(b)))
		}
	}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(p string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && has(p) {
			out = append(out, "cgroup "+p)
		}
		return nil
	})
	sort.Strings(out)
	return out
}

// NeedProgram skips where a runtime's program is not installed, and says how to
// get it.
func NeedProgram(t *testing.T, program, remedy string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is missing: %s", program, remedy)
	}
}
