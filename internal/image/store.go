package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/vitrine-dev/vitrine"
)

// The names within an image's directory (doc.go).
const (
	rootName     = "rootfs"
	filesName    = "files.jsonl"
	manifestName = "manifest.json"
	verifiedName = "verified.json"
	tmpPrefix    = ".tmp-"
	lockName     = ".lock"

	diskName         = "disk.squashfs"
	diskInfoName     = "disk.json"
	diskVerifiedName = "disk-verified.json"
)

// minPrefix is the least number of hex digits that Resolve takes for a digest.
const minPrefix = 6

// Store is a directory of images. It implements vitrine.ImageStore. All methods
// may be called from any goroutine, and by several processes at once.
type Store struct {
	dir string

	verifying sync.Map // digest → *sync.Mutex: a burst of starts hashes once
}

var _ vitrine.ImageStore = (*Store)(nil)

// NewStore gives the store in dir, which need not exist before the first build.
func NewStore(dir string) *Store { return &Store{dir: dir} }

// Dir is where the store is.
func (s *Store) Dir() string { return s.dir }

// List gives the images that a session can be started from, newest first. An
// image whose manifest cannot be read is left out here; Damaged names it.
func (s *Store) List(ctx context.Context) ([]vitrine.Image, error) {
	list, err := s.All(ctx)
	return slices.DeleteFunc(list, isKernel), err
}

// All gives all images, kernels too, newest first.
func (s *Store) All(ctx context.Context) ([]vitrine.Image, error) {
	list, _, err := s.scan(ctx)
	return list, err
}

func isKernel(img vitrine.Image) bool { return img.Manifest.Kind == vitrine.KindKernel }

// Damaged gives an error for each directory of the store that looks like an
// image but has no manifest that can be used.
func (s *Store) Damaged(ctx context.Context) ([]error, error) {
	_, bad, err := s.scan(ctx)
	return bad, err
}

func (s *Store) scan(ctx context.Context) (list []vitrine.Image, bad []error, err error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list the image store: %w", err)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if !e.IsDir() || len(e.Name()) != 64 || !isHex(e.Name()) {
			continue
		}
		img, err := s.load(e.Name())
		if errors.Is(err, fs.ErrNotExist) && !exists(filepath.Join(s.dir, e.Name())) {
			continue // removed since ReadDir
		}
		if err != nil {
			bad = append(bad, err)
			continue
		}
		list = append(list, img)
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Manifest.BuiltAt.After(list[j].Manifest.BuiltAt) })
	return list, bad, nil
}

// load reads one image by the hex of its digest. A manifest that cannot be used
// is a *vitrine.Failure with image_corrupt.
func (s *Store) load(hex string) (vitrine.Image, error) {
	dir := filepath.Join(s.dir, hex)
	text, err := readBounded(filepath.Join(dir, manifestName), maxManifest)
	if err != nil {
		return vitrine.Image{}, corrupt(hex, fmt.Errorf("%s cannot be read: %w", manifestName, err))
	}
	m, err := parseManifest(text)
	if err == nil && m.Digest != digestPrefix+hex {
		err = fmt.Errorf("it is of %s", m.Digest)
	}
	if err != nil {
		return vitrine.Image{}, corrupt(hex, fmt.Errorf("%s cannot be used: %w", manifestName, err))
	}
	img := vitrine.Image{Ref: m.Name, Digest: m.Digest, RootFS: filepath.Join(dir, rootName), Manifest: m, LeastMB: s.leastMB(hex)}
	if exists(filepath.Join(dir, diskInfoName)) {
		img.Disk = filepath.Join(dir, diskName)
	}
	return img, nil
}

// Resolve finds an image that a session can be started from, as Find does. The
// guest kernel is refused: Kernel gives that.
func (s *Store) Resolve(ctx context.Context, ref string) (vitrine.Image, error) {
	img, err := s.Find(ctx, ref)
	if err == nil && isKernel(img) {
		return vitrine.Image{}, vitrine.Errorf(vitrine.ClassInvalid, "image_is_kernel", "the image %q is the guest kernel of microVMs: no session can be started from it", printable(ref)).
			WithRemedy("name another image; `vitrine image list` shows them")
	}
	return img, err
}

// Find finds an image of any kind by its name (the newest of that name), its
// digest, or at least six hex digits of the digest's beginning.
func (s *Store) Find(ctx context.Context, ref string) (vitrine.Image, error) {
	list, bad, err := s.scan(ctx)
	if err != nil {
		return vitrine.Image{}, err
	}
	for _, img := range list {
		if img.Ref == ref {
			return img, nil
		}
	}
	var found []vitrine.Image
	prefix := strings.TrimPrefix(ref, digestPrefix)
	if len(prefix) >= minPrefix && isHex(prefix) {
		for _, img := range list {
			if strings.HasPrefix(img.Digest, digestPrefix+prefix) {
				found = append(found, img)
			}
		}
		for _, err := range bad {
			var c *corruptError
			if errors.As(err, &c) && strings.HasPrefix(c.hex, prefix) {
				return vitrine.Image{}, err
			}
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return vitrine.Image{}, vitrine.Errorf(vitrine.ClassInvalid, "image_ambiguous", "%d images begin with %q", len(found), ref).
			WithRemedy("give more digits; `vitrine image list` shows them")
	}
	return vitrine.Image{}, missing(ref, len(list), bad)
}

// missing is the failure for an image that is not there.
func missing(ref string, have int, bad []error) error {
	evidence := []string{fmt.Sprintf("images in the store: %d", have)}
	for _, err := range bad {
		evidence = append(evidence, err.Error())
	}
	f := vitrine.NewFailure(vitrine.FailImageMissing, evidence, "the image %q is not in the store", printable(ref))
	if nameForm.MatchString(ref) {
		f.Remedy = "vitrine image build " + ref
	}
	return f
}

// printable bounds what a caller asked for before it is quoted.
func printable(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
