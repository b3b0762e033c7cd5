package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is the daemon's: a copy, so that a build meanwhile changes nothing.
var program string

// full says that everything is to run, however long it takes.
var full = os.Getenv("VITRINE_TEST_FULL") != ""

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if os.Geteuid() != 0 {
		return m.Run(), nil // each test skips
	}
	built := os.Getenv("VITRINE_TEST_VITRINE")
	if built == "" {
		built = "../bin/vitrine"
	}
	// Opened here, so that the test cache notices another build.
	if f, err := os.Open(built); err != nil {
		return 1, fmt.Errorf("%w: run make build", err)
	} else {
		f.Close()
	}
	dir, err := os.MkdirTemp("", "vtf-program-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "vitrine")
	if out, err := exec.Command("cp", "--reflink=auto", built, program).CombinedOutput(); err != nil {
		return 1, fmt.Errorf("copying %s: %w\n%s", built, err, out)
	}
	if out, err := exec.Command(program, "image", "build", "tiny").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building the image tiny: %w\n%s", err, out)
	}
	code := m.Run()
	printTable(os.Stdout)
	return code, nil
}

// imageStore is where the host's images are; it is read only.
func imageStore() string {
	cache := os.Getenv("VITRINE_CACHE_DIR")
	if cache == "" {
		cache = "/var/cache/vitrine"
	}
	return filepath.Join(cache, "images")
}
