package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/vitrine-dev/vitrine/internal/image"
)

func TestNoKernelToBeHadCostsADesktopOnlyAWarning(t *testing.T) {
	said, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	store := image.NewStore(filepath.Join(t.TempDir(), "images"))
	if err := buildKernel(t.Context(), store, fstest.MapFS{}, said); err != nil {
		t.Fatalf("the desktop's build fails: %v", err)
	}
	text, err := os.ReadFile(said.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"warning:", "no microVM can start", "there is no recipe", "remedy:", "vitrine image build kernel"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not said:\n%s", want, text)
		}
	}
}
