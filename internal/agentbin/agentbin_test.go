package agentbin

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestInstallWritesOnceAndMendsADamagedFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bin")
	path, err := install(dir, agentName, []byte("agent"))
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil || before.Mode().Perm() != 0o755 {
		t.Fatalf("installed as %v, %v; want mode 0755", before, err)
	}
	if _, err := install(dir, agentName, []byte("agent")); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(path); !os.SameFile(before, after) {
		t.Error("a whole agent was written again: running machines lose their file's page cache")
	}
	if err := os.WriteFile(path, []byte("agen"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := install(dir, agentName, []byte("agent")); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "agent" {
		t.Errorf("a damaged agent was left as %q", b)
	}
	other, err := install(dir, agentName, []byte("newer"))
	if err != nil || other == path {
		t.Errorf("another version was installed at %s, %v; want a name of its own", other, err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 2 {
		t.Errorf("%d files are left, want the two versions", len(list))
	}
}

func TestABinaryBuiltWithoutAProgramSaysSo(t *testing.T) {
	if _, err := installNamed(t.TempDir(), "vitrine-nothing"); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("%v; want ErrNotBuilt", err)
	}
}
