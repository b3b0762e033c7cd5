package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-dev/vitrine"
)

func TestWhatWasMeasuredIsNotedByRuntime(t *testing.T) {
	hex := strings.Repeat("ab", 32)
	s := NewStore(t.TempDir())
	dir := filepath.Join(s.dir, hex)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	img := vitrine.Image{Ref: "desktop", Digest: digestPrefix + hex}
	if got := s.leastMB(hex); got != nil {
		t.Errorf("nothing was measured and %v is said", got)
	}
	for runtime, mb := range map[string]int{"gvisor": 400, "container": 320} {
		if err := s.Measured(t.Context(), img, runtime, mb); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Measured(t.Context(), img, "gvisor", 416); err != nil {
		t.Fatal(err)
	}
	if got := s.leastMB(hex); got["gvisor"] != 416 || got["container"] != 320 || len(got) != 2 {
		t.Errorf("it is %v", got)
	}
	if err := s.Measured(t.Context(), img, "gvisor", 0); err == nil {
		t.Error("0 MiB is noted")
	}
	for name, text := range map[string]string{"damaged": "{", "out of bounds": `{"least_memory":{"gvisor":{"mb":-1}}}`, "huge": `{"least_memory":{"gvisor":{"mb":99999999}}}`} {
		if err := os.WriteFile(filepath.Join(dir, measuredName), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := s.leastMB(hex); len(got) != 0 {
			t.Errorf("%s: it is %v", name, got)
		}
	}
	if err := s.Measured(t.Context(), img, "container", 300); err != nil {
		t.Errorf("over a damaged file: %v", err)
	}
	if got := s.leastMB(hex); got["container"] != 300 {
		t.Errorf("it is %v", got)
	}
}
