package qemu

import (
	"os"
	"os/exec"
	"testing"

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
