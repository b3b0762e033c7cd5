package qemu

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

func TestAPortIsOnesUntilItIsGivenBack(t *testing.T) {
	d := machinedir.Dir(t.TempDir())
	one, n, err := claim(d, 2)
	if err != nil || n != 0 {
		t.Fatal(n, err)
	}
	two, n, err := claim(d, 2)
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	defer two.Close()
	if _, _, err := claim(d, 2); vitrine.ClassOf(err) != vitrine.ClassUnavailable {
		t.Errorf("a third of two ports: %v; want unavailable", err)
	}
	one.Close()
	again, n, err := claim(d, 2)
	if err != nil || n != 0 {
		t.Errorf("a port that was given back: %d, %v", n, err)
	}
	again.Close()
}

func TestAProcessThatIsKilledGivesItsPortBack(t *testing.T) {
	if _, err := exec.LookPath("flock"); err != nil {
		t.Skip("flock(1) is missing: apt-get install util-linux")
	}
	d := machinedir.Dir(t.TempDir())
	cmd := exec.CommandContext(t.Context(), "flock", "--no-fork", d.Join("port00.lock"), "sh", "-c", "echo held; exec sleep 100")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := claim(d, 1); vitrine.ClassOf(err) != vitrine.ClassUnavailable {
		t.Errorf("another process's port: %v; want unavailable", err)
	}
	_ = cmd.Process.Signal(os.Kill)
	_ = cmd.Wait()
	f, _, err := claim(d, 1)
	if err != nil {
		t.Fatalf("the port of a killed process: %v", err)
	}
	f.Close()
}

// pair gives a connection on a port, the guest's end of it, and the machine's
// directory.
func pair(t *testing.T) (*portConn, net.Conn, machinedir.Dir) {
	t.Helper()
	d := machinedir.Dir(t.TempDir())
	l, err := net.Listen("unix", d.Join("s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial("unix", d.Join("s"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	lock, _, err := claim(d, 1)
	if err != nil {
		t.Fatal(err)
	}
	return &portConn{Conn: ours, lock: lock}, theirs, d
}

func TestAConnectionIsClosedAtOnceAndItsPortFreeWhenTheGuestKnows(t *testing.T) {
	c, guest, d := pair(t)
	woken := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		woken <- err
	}()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-woken; !errors.Is(err, net.ErrClosed) {
		t.Errorf("who read was told %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after it: %v", err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a second close: %v", err)
	}
	// The guest still talks: nobody else may have the port.
	if b, err := io.ReadAll(guest); err != nil || len(b) > 0 {
		t.Errorf("the guest read %q, %v; want the end", b, err)
	}
	if _, err := guest.Write([]byte("its last words")); err != nil {
		t.Errorf("the host did not listen to the end: %v", err)
	}
	if _, _, err := claim(d, 1); vitrine.ClassOf(err) != vitrine.ClassUnavailable {
		t.Errorf("before the guest was done the port was another's: %v", err)
	}
	guest.Close()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if f, _, err := claim(d, 1); err == nil {
			f.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the port was never given back")
		}
	}
}

func TestAGuestThatNeverEndsCostsAPortForSecondsOnly(t *testing.T) {
	c, _, d := pair(t)
	began := time.Now()
	if err := c.Close(); err != nil || time.Since(began) > goodbyeTime/2 {
		t.Errorf("Close took %s, %v", time.Since(began), err)
	}
	for {
		if f, _, err := claim(d, 1); err == nil {
			f.Close()
			break
		}
		if time.Since(began) > 2*goodbyeTime {
			t.Fatal("the port was never given back")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
