package shim

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// A later supervisor is in the host's mount namespace, where the stage is some
// directory of the host: what is called "log" there is nobody's business.
func TestOnlyTheStagesLogIsRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mount namespaces are made by root")
	}
	dir := t.TempDir()
	write := func(text string) error { return os.WriteFile(filepath.Join(dir, LogFile), []byte(text), 0o600) }
	if err := write("of the host\n"); err != nil {
		t.Fatal(err)
	}
	p := Plan{Stage: dir}
	if got := p.Log("/proc/self"); got != nil {
		t.Errorf("read %q, which is the host's", got)
	}
	type result struct {
		lines []string
		err   error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "")
		}
		if err == nil {
			err = tmpfs(stageSource, dir, 1<<20, "755")
		}
		if err == nil {
			err = write("of the machine\nits last words\n")
		}
		done <- result{p.Log("/proc/thread-self"), err}
	}()
	if r := <-done; r.err != nil || !slices.Equal(r.lines, []string{"of the machine", "its last words"}) {
		t.Errorf("%q, %v", r.lines, r.err)
	}
}
