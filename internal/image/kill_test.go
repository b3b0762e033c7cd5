package image

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/images"
	"golang.org/x/sys/unix"
)

// killedStore is set in the copy of the test program that is to be killed.
const killedStore = "VITRINE_IMAGE_TEST_STORE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killedStore); dir != "" {
		_, err := NewStore(dir).Build(context.Background(), BuildRequest{Recipes: images.Recipes, Name: "tiny", Progress: func(p Progress) {
			fmt.Println(p.Stage)
		}})
		fmt.Println("ended:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestBuilderKilledLeavesNoProcessAndTheNextBuilds(t *testing.T) {
	needBuilder(t)
	s := NewStore(t.TempDir())
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), killedStore+"="+s.Dir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(out)
	for sc.Scan() && sc.Text() != string(StageRetrieving) {
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if len(leftovers(t, s)) == 0 {
		t.Fatal("it was killed too late to leave anything")
	}
	// The kernel ends the build's PID namespace after its parent's death.
	deadline := time.Now().Add(10 * time.Second)
	for living := processesOf(t, s.Dir()); living != ""; living = processesOf(t, s.Dir()) {
		if time.Now().After(deadline) {
			t.Fatalf("still running: %s", living)
		}
		time.Sleep(20 * time.Millisecond)
	}
	build(t, s, BuildRequest{Name: "tiny"})
	if left := leftovers(t, s); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

// processesOf gives the command line of a process that names dir, or "".
func processesOf(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, _ := os.ReadFile(name)
		if strings.Contains(string(text), dir) {
			return strings.ReplaceAll(string(text), "\x00", " ")
		}
	}
	return ""
}

func TestDiskThatFillsUpDuringTheBuild(t *testing.T) {
	needBuilder(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=20m"); err != nil {
		t.Skipf("cannot mount here: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	recipes := recipe(goodRecipe) // says that it needs 1 MiB, which is not so
	s := NewStore(dir)
	_, err := s.Build(t.Context(), BuildRequest{Recipes: recipes, Name: "x"})
	var e *vitrine.Error
	if !errors.As(err, &e) || e.Code != string(vitrine.FailHostDiskFull) || !strings.Contains(e.Remedy, "VITRINE_CACHE_DIR") {
		t.Errorf("got %v", err)
	}
	if left := leftovers(t, s); left != nil {
		t.Errorf("left behind: %v", left)
	}
}
