package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/vitrine-dev/vitrine"
	"golang.org/x/sys/unix"
)

// BuildRequest says what to build.
type BuildRequest struct {
	Recipes fs.FS  // directories of recipes: images.Recipes, or os.DirFS of a checkout's
	Name    string // which of them
	// Force builds although an image of the same recipe is there: for newer
	// packages.
	Force bool
	// Progress is told how far it is, from one goroutine at a time; may be nil.
	Progress func(Progress)
}

// Build makes the image that a recipe describes, or gives the one that is there
// when it was made from the same recipe. On error, and when ctx ends, nothing
// of the build is left.
func (s *Store) Build(ctx context.Context, req BuildRequest) (vitrine.Image, error) {
	report := req.Progress
	if report == nil {
		report = func(Progress) {}
	}
	r, err := loadRecipe(req.Recipes, req.Name)
	if err != nil {
		return vitrine.Image{}, err
	}
	if err := checkKind(r.Kind, runtime.GOARCH); err != nil {
		return vitrine.Image{}, err
	}
	if err := checkHost(); err != nil {
		return vitrine.Image{}, err
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return vitrine.Image{}, fmt.Errorf("make the image store: %w", err)
	}
	unlock, err := s.lock(ctx, func() {
		report(Progress{Stage: StageWaiting, Detail: "another build is running; waiting for it"})
	})
	if err != nil {
		return vitrine.Image{}, err
	}
	defer unlock()
	if err := s.sweep(); err != nil {
		return vitrine.Image{}, err
	}
	if !req.Force {
		if img, ok := s.built(ctx, r); ok {
			if r.Kind != vitrine.KindKernel {
				if img, err = s.ensureDisk(ctx, r, img, report); err != nil {
					return vitrine.Image{}, full(err, s.dir, r)
				}
			}
			report(Progress{Stage: StageReady, Percent: 100, Detail: "already built from this recipe"})
			return img, nil
		}
	}
	img, err := s.build(ctx, r, req.Recipes, report)
	if err != nil {
		return vitrine.Image{}, full(err, s.dir, r)
	}
	report(Progress{Stage: StageReady, Percent: 100, Detail: img.Digest})
	return img, nil
}

// built finds a good image that was made from exactly this recipe.
func (s *Store) built(ctx context.Context, r Recipe) (vitrine.Image, bool) {
	list, err := s.All(ctx)
	if err != nil {
		return vitrine.Image{}, false
	}
	for _, img := range list {
		if img.Ref == r.Name && img.Manifest.Recipe == r.digest && s.Verify(ctx, img) == nil {
			return img, true
		}
	}
	return vitrine.Image{}, false
}

// build does the work in a directory of its own and removes that, whatever
// happens.
func (s *Store) build(ctx context.Context, r Recipe, recipes fs.FS, report func(Progress)) (img vitrine.Image, err error) {
	report(Progress{Stage: StagePreparing})
	if err := checkSpace(s.dir, r.Name, int64(r.BuildSpaceMB)); err != nil {
		return img, err
	}
	work, err := os.MkdirTemp(s.dir, tmpPrefix+r.Name+"-")
	if err != nil {
		return img, fmt.Errorf("make a build directory: %w", err)
	}
	defer func() {
		if rmErr := os.RemoveAll(work); rmErr != nil && err == nil {
			err = fmt.Errorf("remove the build directory: %w", rmErr)
		}
	}()
	// Programs that drop root, apt's fetchers among them, pass through here.
	if err := os.Chmod(work, 0o755); err != nil {
		return img, err
	}
	final := filepath.Join(work, "image")
	root := filepath.Join(final, rootName)
	if err := os.Mkdir(final, 0o755); err != nil {
		return img, err
	}
	b := &bootstrapper{recipe: r, recipes: recipes, work: work, root: root, report: report}
	if err := b.run(ctx); err != nil {
		return img, err
	}
	finish := scrub
	if r.Kind == vitrine.KindKernel {
		b.packages = kernelPackages(b.packages)
		finish = func(root string, r Recipe) error { return finishKernel(work, root, r) }
	}
	if err := finish(root, r); err != nil {
		return img, err
	}
	m, err := s.seal(ctx, final, r, b.packages, report)
	if err != nil {
		return img, err
	}
	if r.Kind != vitrine.KindKernel {
		if err := makeDisk(ctx, final, m.Digest, final, r, byBytes(report, StageDisk, endHashing, endDisk)); err != nil {
			return img, err
		}
	}
	return s.publish(ctx, final, m)
}

// seal lists and hashes the tree and writes the files beside it.
func (s *Store) seal(ctx context.Context, final string, r Recipe, fetched []vitrine.Package, report func(Progress)) (vitrine.Manifest, error) {
	root := filepath.Join(final, rootName)
	entries, err := scanTree(ctx, root, byBytes(report, StageHashing, endFinishing, endHashing))
	if err != nil {
		return vitrine.Manifest{}, err
	}
	text, digest, err := encodeFiles(header{Name: r.Name, Kind: r.Kind, MinMemoryMB: r.MinMemoryMB}, entries)
	if err != nil {
		return vitrine.Manifest{}, err
	}
	m := vitrine.Manifest{
		Name: r.Name, Kind: r.Kind, Digest: digest, Recipe: r.digest, BuiltAt: time.Now().UTC(),
		Files: len(entries), MinMemoryMB: r.MinMemoryMB, Packages: fetched,
	}
	for _, e := range entries {
		m.SizeBytes += e.Size
	}
	if status, err := readBounded(filepath.Join(root, "var/lib/dpkg/status"), 64<<20); err == nil {
		if installed := parseStatus(status); len(installed) > 0 {
			m.Packages = installed
		}
	}
	if err := os.WriteFile(filepath.Join(final, filesName), text, 0o644); err != nil {
		return m, fmt.Errorf("write the file list: %w", err)
	}
	return m, writeManifest(final, m)
}

func writeManifest(dir string, m vitrine.Manifest) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, manifestName), append(text, '\n')); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	return nil
}

// publish moves the finished image to its place. An equal one that is there and
// good stays, as machines may run from it, and only learns its new build; one
// that is damaged makes way.
func (s *Store) publish(ctx context.Context, final string, m vitrine.Manifest) (vitrine.Image, error) {
	hex := m.Digest[len(digestPrefix):]
	dir := filepath.Join(s.dir, hex)
	img := vitrine.Image{Ref: m.Name, Digest: m.Digest, RootFS: filepath.Join(dir, rootName), Manifest: m}
	if exists(dir) {
		if err := s.verifyTree(ctx, img); err == nil {
			return s.renew(ctx, final, img)
		} else if ctx.Err() != nil {
			return vitrine.Image{}, ctx.Err()
		}
		if err := os.Rename(dir, filepath.Join(filepath.Dir(final), "damaged")); err != nil {
			return vitrine.Image{}, fmt.Errorf("take the damaged image %s away: %w", hex[:12], err)
		}
	}
	// What was hashed must be on the disk before its name is: a crash of the
	// host must not leave a name for half a tree.
	if err := syncDisk(s.dir); err != nil {
		return vitrine.Image{}, fmt.Errorf("write image %s to the disk: %w", hex[:12], err)
	}
	if err := os.Rename(final, dir); err != nil {
		return vitrine.Image{}, fmt.Errorf("put image %s in its place: %w", hex[:12], err)
	}
	// Just hashed, so known to be good: spare the first start a full reading.
	if print, err := fingerprint(ctx, img.RootFS); err == nil {
		_ = s.remember(hex, verifiedName, print) // Verify would only read it again
	}
	s.trustDisk(hex)
	return s.load(hex)
}

// renew gives the image that is there the manifest of an equal one built again
// into final, and its disk where the old one is missing or damaged.
func (s *Store) renew(ctx context.Context, final string, img vitrine.Image) (vitrine.Image, error) {
	hex := img.Digest[len(digestPrefix):]
	if exists(filepath.Join(final, diskName)) {
		if _, err := s.Disk(ctx, img); ctx.Err() != nil {
			return vitrine.Image{}, ctx.Err()
		} else if err != nil {
			if err := s.publishDisk(final, hex); err != nil {
				return vitrine.Image{}, err
			}
		}
	}
	if err := writeManifest(filepath.Join(s.dir, hex), img.Manifest); err != nil {
		return vitrine.Image{}, err
	}
	return s.load(hex)
}

// syncDisk waits until the file system that holds dir has written everything.
func syncDisk(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

// checkSpace refuses a build that the disk cannot hold.
func checkSpace(dir, name string, needMiB int64) error {
	if free, err := freeMiB(dir); err == nil && free < needMiB {
		return diskFull(dir, name, needMiB)
	}
	return nil
}

// full turns a disk that was full into the failure that says so.
func full(err error, dir string, r Recipe) error {
	if errors.Is(err, unix.ENOSPC) && vitrine.ClassOf(err) == vitrine.ClassInternal {
		return diskFull(dir, r.Name, int64(r.BuildSpaceMB)).WithCause(err)
	}
	return err
}

func freeMiB(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize >> 20, nil
}

func diskFull(dir, name string, needMiB int64) *vitrine.Error {
	free, _ := freeMiB(dir)
	f := vitrine.NewFailure(vitrine.FailHostDiskFull, []string{fmt.Sprintf("free: %d MiB, needed: %d MiB", free, needMiB)},
		"the disk of the image store is too full to build %s: %d MiB free, about %d MiB needed", name, free, needMiB)
	f.Remedy = "free space on that disk (`vitrine image list`, `vitrine image rm DIGEST`), or set VITRINE_CACHE_DIR to a larger one"
	return f.AsError()
}
