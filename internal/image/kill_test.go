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

// killedStore and killedStage are set in the copy of the test program that is
// to be killed: where it builds, and the stage at which it stops.
const (
	killedStore = "VITRINE_IMAGE_TEST_STORE"
	killedStage = "VITRINE_IMAGE_TEST_STAGE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killedStore); dir != "" {
		_, err := NewStore(dir).Build(context.Background(), BuildRequest{Recipes: images.Recipes, Name: "tiny", Progress: func(p Progress) {
			if string(p.Stage) == os.Getenv(killedStage) {
				fmt.Println(p.Stage)
				select {}
			}
		}})
		fmt.Println("ended:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestBuilderKilledLeavesNoProcessAndTheNextBuilds(t *testing.T) {
	needBuilder(t)
	for stage, program := range map[Stage]string{StageRetrieving: "mmdebstrap", StageDisk: "mksquashfs"} {
		t.Run(string(stage), func(t *testing.T) { killAt(t, stage, program) })
	}
}

// killAt kills a build at a stage, while it waits for a program.
func killAt(t *testing.T, stage Stage, program string) {
	s := NewStore(t.TempDir())
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), killedStore+"="+s.Dir(), killedStage+"="+string(stage))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(out)
	if !sc.Scan() || sc.Text() != string(stage) {
		t.Fatalf("it did not come to %s: %s", stage, sc.Text())
	}
	if running := processesOf(t, s.Dir()); !strings.Contains(running, program) {
		t.Errorf("%s does not run: %q", program, running)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if len(leftovers(t, s)) == 0 {
		t.Fatal("it was killed too late to leave anything")
	}
	if list, err := s.All(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("half an image is there: %v, %v", list, err)
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

// processesOf gives the command lines of the processes that name dir.
func processesOf(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, name := range files {
		text, _ := os.ReadFile(name)
		if strings.Contains(string(text), dir) {
			all += strings.ReplaceAll(string(text), "\x00", " ") + "\n"
		}
	}
	return all
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
