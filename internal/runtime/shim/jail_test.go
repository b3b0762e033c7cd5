package shim

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheLogOfAVMMThatWasTakenOverShowsNothingOfTheHost(t *testing.T) {
	host := filepath.Join(t.TempDir(), "shadow")
	if err := os.WriteFile(host, []byte("root:secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		make func(at string) error
		want []string
	}{
		{"it is its log", func(at string) error { return os.WriteFile(at, []byte("one\ntwo\n"), 0o600) }, []string{"one", "two"}},
		{"it is a link to a file of the host", func(at string) error { return os.Symlink(host, at) }, nil},
		{"it is a FIFO without a writer", func(at string) error { return unix.Mkfifo(at, 0o600) }, nil},
		{"it is a directory", func(at string) error { return os.Mkdir(at, 0o700) }, nil},
		{"it is not there", func(string) error { return nil }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := c.make(filepath.Join(dir, "log")); err != nil {
				t.Fatal(err)
			}
			got, err := tailBeneath(dir, "log", 8)
			if !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
				t.Errorf("it gives %q, %v; want %q", got, err, c.want)
			}
		})
	}
}
