package image

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/images"
)

// needBuilder skips where an image cannot be built: no root, no mmdebstrap.
func needBuilder(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a real image")
	}
	if err := checkHost(); err != nil {
		t.Skipf("images cannot be built here: %v", err)
	}
}

func build(t *testing.T, s *Store, req BuildRequest) vitrine.Image {
	t.Helper()
	if req.Recipes == nil {
		req.Recipes = images.Recipes
	}
	img, err := s.Build(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// leftovers gives what is in the store besides images and the lock.
func leftovers(t *testing.T, s *Store) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if len(e.Name()) != 64 && e.Name() != lockName {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestTinyImageBuiltTwiceIsTheSameByteForByte(t *testing.T) {
	needBuilder(t)
	one, two := NewStore(t.TempDir()), NewStore(t.TempDir())
	var last float64
	a := build(t, one, BuildRequest{Name: "tiny", Progress: func(p Progress) {
		if p.Percent < last {
			t.Errorf("progress fell from %v to %v at %s", last, p.Percent, p.Stage)
		}
		last = p.Percent
	}})
	if last != 100 {
		t.Errorf("progress ended at %v", last)
	}
	b := build(t, two, BuildRequest{Name: "tiny"})
	if a.Digest != b.Digest {
		fa, _ := os.ReadFile(filepath.Join(filepath.Dir(a.RootFS), filesName))
		fb, _ := os.ReadFile(filepath.Join(filepath.Dir(b.RootFS), filesName))
		la, lb := bytes.Split(fa, []byte("\n")), bytes.Split(fb, []byte("\n"))
		for i := range min(len(la), len(lb)) {
			if !bytes.Equal(la[i], lb[i]) {
				t.Fatalf("the builds differ:\n%s\n%s", la[i], lb[i])
			}
		}
		t.Fatalf("the builds have %d and %d files", len(la), len(lb))
	}
	if len(a.Manifest.Packages) != 1 || a.Manifest.Packages[0].Name != "busybox-static" || a.Manifest.Packages[0].Version == "" {
		t.Errorf("packages: %v", a.Manifest.Packages)
	}
	for _, name := range []string{"bin/sh", "etc/passwd", "home/user", "tmp", "run", "proc", "sys", "dev", "sbin/ip", "usr/bin/nc", "usr/bin/wget", "bin/ping"} {
		if !exists(filepath.Join(a.RootFS, name)) {
			t.Errorf("/%s is missing", name)
		}
	}
	out, err := exec.Command("chroot", "--userspec=1000:1000", a.RootFS, "/bin/sh", "-c", "echo $(id -u) $(id -un)").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "1000 user" {
		t.Errorf("the image's shell said %q, %v", out, err)
	}
	if left := leftovers(t, one); left != nil {
		t.Errorf("left behind: %v", left)
	}

	before := a.Manifest.BuiltAt
	again := build(t, one, BuildRequest{Name: "tiny"})
	if !again.Manifest.BuiltAt.Equal(before) {
		t.Error("an image of the same recipe was built again")
	}
	forced := build(t, one, BuildRequest{Name: "tiny", Force: true})
	if forced.Digest != a.Digest || !forced.Manifest.BuiltAt.After(before) {
		t.Errorf("a forced build gave %s of %v", forced.Digest, forced.Manifest.BuiltAt)
	}
	if list, _ := one.List(t.Context()); len(list) != 1 {
		t.Errorf("%d images after building one thrice", len(list))
	}
}

func TestDamagedImageIsBuiltAnew(t *testing.T) {
	needBuilder(t)
	s := NewStore(t.TempDir())
	img := build(t, s, BuildRequest{Name: "tiny"})
	if err := os.WriteFile(filepath.Join(img.RootFS, "etc/passwd"), []byte("root::0:0::/:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	again := build(t, s, BuildRequest{Name: "tiny"})
	if again.Digest != img.Digest {
		t.Fatalf("the new image is %s, the old %s", again.Digest, img.Digest)
	}
	if err := s.VerifyFull(t.Context(), again); err != nil {
		t.Error(err)
	}
	if left := leftovers(t, s); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

func TestCancelledBuildLeavesNothing(t *testing.T) {
	needBuilder(t)
	s := NewStore(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := s.Build(ctx, BuildRequest{Recipes: images.Recipes, Name: "tiny", Progress: func(p Progress) {
		if p.Stage == StageRetrieving {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if left := leftovers(t, s); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

func TestWhatAKilledBuildLeftIsRemovedByTheNext(t *testing.T) {
	needBuilder(t)
	s := NewStore(t.TempDir())
	if err := os.MkdirAll(filepath.Join(s.Dir(), tmpPrefix+"desktop-123", "image", rootName, "usr"), 0o755); err != nil {
		t.Fatal(err)
	}
	build(t, s, BuildRequest{Name: "tiny"})
	if left := leftovers(t, s); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

func TestSecondBuilderWaitsAndSaysSo(t *testing.T) {
	needBuilder(t)
	s := NewStore(t.TempDir())
	unlock, err := s.lock(t.Context(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, err := s.Build(t.Context(), BuildRequest{Recipes: images.Recipes, Name: "tiny", Progress: func(p Progress) {
			if p.Stage == StageWaiting {
				close(waiting)
			}
		}})
		done <- err
	}()
	select {
	case <-waiting:
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	}
	unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// recipe gives a file system with one recipe.
func recipe(text string) fstest.MapFS {
	return fstest.MapFS{"x/recipe.yaml": {Data: []byte(text)}}
}

const goodRecipe = "name: x\nkind: terminal\nsuite: bookworm\nvariant: extract\npackages: [busybox-static]\nmin_memory_mb: 16\nbuild_space_mb: 1\nsource_date_epoch: 1\n"

func TestBuildsThatCannotBeSayWhy(t *testing.T) {
	needBuilder(t)
	cases := []struct {
		name, recipe, code, remedy string
	}{
		{"asked for a recipe that is not there", "", "unknown_recipe", "x"},
		{"misspelt a key", goodRecipe + "min_memroy: 3\n", "recipe_invalid", "recipe.yaml"},
		{"asked for a package Debian does not have", strings.Replace(goodRecipe, "busybox-static", "no-such-package-at-all", 1), "recipe_invalid", "recipe.yaml"},
		{"the disk is too full", strings.Replace(goodRecipe, "build_space_mb: 1\n", "build_space_mb: 1048576\n", 1), "host_disk_full", "VITRINE_CACHE_DIR"},
		{"the recipe's hook fails", goodRecipe, "image_build_failed", "image build"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			recipes := recipe(c.recipe)
			name := "x"
			if c.recipe == "" {
				name = "y"
			}
			recipes["x/hooks/customize.sh"] = &fstest.MapFile{Data: []byte("exit 3\n")}
			s := NewStore(t.TempDir())
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := s.Build(ctx, BuildRequest{Recipes: recipes, Name: name})
			var e *vitrine.Error
			if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Remedy, c.remedy) {
				t.Fatalf("got %v", err)
			}
			if left := leftovers(t, s); left != nil {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
