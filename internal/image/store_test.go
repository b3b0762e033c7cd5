package image

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"golang.org/x/sys/unix"
)

// plant makes a small image in the store without mmdebstrap.
func plant(t testing.TB, s *Store, name string) vitrine.Image {
	t.Helper()
	return plantAs(t, s, plainRecipe(name), map[string]string{"bin/sh": "#!shell", "bin/ash": "->sh", "etc/hostname": "vitrine\n", "etc/name": name})
}

// plainRecipe is that of an image that plant made.
func plainRecipe(name string) Recipe {
	return Recipe{Name: name, Kind: vitrine.KindTerminal, Suite: "bookworm", MinMemoryMB: 16, SourceDateEpoch: 1}
}

// plantAs makes an image of the files given; a text "->x" makes a link to x.
func plantAs(t testing.TB, s *Store, r Recipe, files map[string]string) vitrine.Image {
	t.Helper()
	work := filepath.Join(s.Dir(), tmpPrefix+"test", "image")
	root := filepath.Join(work, rootName)
	for p, text := range files {
		p = filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		target, link := strings.CutPrefix(text, "->")
		var err error
		if link {
			err = os.Symlink(target, p)
		} else {
			err = os.WriteFile(p, []byte(text), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := clampTimes(root, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	m, err := s.seal(t.Context(), work, r, nil, func(Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	img, err := s.publish(t.Context(), work, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	return img
}

// flipByte changes one byte of a file and keeps its size and time.
func flipByte(t testing.TB, name string) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	one := make([]byte, 1)
	if _, err := f.ReadAt(one, st.Size/2); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 1
	if _, err := f.WriteAt(one, st.Size/2); err != nil {
		t.Fatal(err)
	}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{st.Atim, st.Mtim}, 0); err != nil {
		t.Fatal(err)
	}
}

// failure finds the failure of a code in err, or ends the test.
func failure(t *testing.T, err error, code vitrine.FailureCode) *vitrine.Failure {
	t.Helper()
	var f *vitrine.Failure
	if !errors.As(err, &f) || f.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	return f
}

func TestCorruptedImageIsRefusedByName(t *testing.T) {
	cases := []struct {
		name  string
		harm  func(root string) error
		names []string
	}{
		{"one byte flipped, size and time kept", func(root string) error {
			flipByte(t, filepath.Join(root, "bin/sh"))
			return nil
		}, []string{"bin/sh", "expected", "found"}},
		{"a file is gone", func(root string) error { return os.Remove(filepath.Join(root, "etc/hostname")) }, []string{"etc", "expected"}},
		{"a file too many", func(root string) error {
			return os.WriteFile(filepath.Join(root, "etc/preload"), nil, 0o644)
		}, []string{"etc", "found"}},
		{"a set-uid bit", func(root string) error {
			return os.Chmod(filepath.Join(root, "bin/sh"), 0o755|os.ModeSetuid)
		}, []string{"bin/sh", "0755", "4755"}},
		{"a link that leads elsewhere", func(root string) error {
			p := filepath.Join(root, "bin/ash")
			if err := os.Remove(p); err != nil {
				return err
			}
			return os.Symlink("/etc/shadow", p)
		}, []string{"bin"}},
		{"the whole tree is gone", os.RemoveAll, []string{"tiny"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := NewStore(t.TempDir())
			img := plant(t, s, "tiny")
			if err := s.Verify(t.Context(), img); err != nil {
				t.Fatalf("a good image is refused: %v", err)
			}
			if err := c.harm(img.RootFS); err != nil {
				t.Fatal(err)
			}
			f := failure(t, s.Verify(t.Context(), img), vitrine.FailImageCorrupt)
			for _, want := range append(c.names, "tiny") {
				if !strings.Contains(f.Message, want) {
					t.Errorf("the message does not name %q: %s", want, f.Message)
				}
			}
			if !strings.Contains(f.Remedy, "image build tiny") {
				t.Errorf("remedy: %s", f.Remedy)
			}
		})
	}
}

func TestForeignFilesInTheStoreAreErrorsWithNames(t *testing.T) {
	s := NewStore(t.TempDir())
	img := plant(t, s, "tiny")
	dir := filepath.Dir(img.RootFS)
	for name, text := range map[string]string{
		"not JSON":                 "<html>",
		"the manifest of another":  `{"name":"tiny","kind":"terminal","digest":"sha256:` + strings.Repeat("0", 64) + `","built_at":"2026-01-01T00:00:00Z","files":1,"min_memory_mb":1}`,
		"no digest":                `{"name":"tiny","kind":"terminal"}`,
		"a name that is a path":    `{"name":"../../x","kind":"terminal"}`,
		"empty":                    "",
		"nothing but a long blank": strings.Repeat(" ", maxManifest+1),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, manifestName), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			failure(t, s.Verify(t.Context(), vitrine.Image{Digest: img.Digest, Ref: "tiny"}), vitrine.FailImageCorrupt)
			bad, err := s.Damaged(t.Context())
			if err != nil || len(bad) != 1 || !strings.Contains(bad[0].Error(), manifestName) {
				t.Errorf("Damaged gave %v, %v", bad, err)
			}
			_, err = s.Resolve(t.Context(), img.Digest)
			failure(t, err, vitrine.FailImageCorrupt)
			f := failure(t, func() error { _, err := s.Resolve(t.Context(), "tiny"); return err }(), vitrine.FailImageMissing)
			if len(f.Evidence) < 2 {
				t.Errorf("evidence does not show the damaged one: %v", f.Evidence)
			}
			// verified.json is still there: the next round must look again.
			if err := os.Remove(filepath.Join(dir, verifiedName)); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		})
	}
	if err := s.Remove(t.Context(), img.Digest); err != nil {
		t.Errorf("a damaged image cannot be removed: %v", err)
	}
}

func TestResolveByNameDigestAndPrefix(t *testing.T) {
	s := NewStore(t.TempDir())
	if _, err := s.Resolve(t.Context(), "desktop"); err == nil || failure(t, err, vitrine.FailImageMissing).Remedy != "vitrine image build desktop" {
		t.Errorf("an empty store: %v", err)
	}
	a, b := plant(t, s, "tiny"), plant(t, s, "other")
	hex := strings.TrimPrefix(a.Digest, digestPrefix)
	for _, ref := range []string{"tiny", a.Digest, hex, hex[:6], digestPrefix + hex[:12]} {
		if got, err := s.Resolve(t.Context(), ref); err != nil || got.Digest != a.Digest {
			t.Errorf("Resolve(%q) = %s, %v", ref, got.Digest, err)
		}
	}
	for _, ref := range []string{"", "none", hex[:3], "../" + hex, strings.Repeat("f", 64), strings.Repeat("x", 1<<20)} {
		_, err := s.Resolve(t.Context(), ref)
		failure(t, err, vitrine.FailImageMissing)
	}
	list, err := s.List(t.Context())
	if err != nil || len(list) != 2 || list[0].Digest != b.Digest {
		t.Errorf("List = %v, %v", list, err)
	}
}

func TestImageInUseIsNotRemoved(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts")
	}
	s := NewStore(t.TempDir())
	img := plant(t, s, "tiny")
	at := t.TempDir()
	if err := unix.Mount(img.RootFS, at, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("cannot mount here: %v", err)
	}
	err := s.Remove(t.Context(), "tiny")
	if uerr := unix.Unmount(at, 0); uerr != nil {
		t.Fatal(uerr)
	}
	var e *vitrine.Error
	if !errors.As(err, &e) || e.Code != "image_in_use" {
		t.Fatalf("got %v", err)
	}
	if err := s.Remove(t.Context(), "tiny"); err != nil {
		t.Fatal(err)
	}
	if exists(filepath.Dir(img.RootFS)) {
		t.Error("it is still there")
	}
}

// BenchmarkVerify measures the look before each start, on the desktop image
// where VITRINE_CACHE_DIR has one.
func BenchmarkVerify(b *testing.B) {
	s := NewStore(filepath.Join(os.Getenv("VITRINE_CACHE_DIR"), "images"))
	img, err := s.Resolve(b.Context(), "desktop")
	if err != nil {
		s = NewStore(b.TempDir())
		img = plant(b, s, "tiny")
	}
	b.ReportMetric(float64(img.Manifest.Files), "files")
	for b.Loop() {
		if err := s.Verify(b.Context(), img); err != nil {
			b.Fatal(err)
		}
	}
}
