package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
	"golang.org/x/sys/unix"
)

// The compressions of a disk. What is not compressed costs no time in a guest
// whose kernel is emulated.
const (
	compressZstd = "zstd"
	compressNone = "none"
)

// DiskInfo is disk.json: what the disk of an image is.
type DiskInfo struct {
	Image       string    `json:"image"`  // digest of the image whose tree it holds
	Digest      string    `json:"digest"` // "sha256:…" of the file
	SizeBytes   int64     `json:"size_bytes"`
	Compression string    `json:"compression"` // zstd or none
	MadeAt      time.Time `json:"made_at"`
}

// DiskInfo says what the disk of an image is; false where none was made, or
// where what stands there is no description of this image's disk.
func (s *Store) DiskInfo(img vitrine.Image) (DiskInfo, bool) {
	hex, ok := s.hexOf(img)
	if !ok {
		return DiskInfo{}, false
	}
	d, err := s.loadDisk(hex)
	return d, err == nil
}

// Disk gives the image's tree as a read-only squashfs file, held to its
// recorded digest: the whole of it is read once, and again when its inode has
// changed since, which a hard link or a chown does too. The error is a
// *vitrine.Failure: image_missing where no disk was made, image_corrupt where
// it is not what was made.
func (s *Store) Disk(ctx context.Context, img vitrine.Image) (path string, err error) {
	hex, ok := s.hexOf(img)
	if !ok {
		return "", missing(img.Digest, 0, nil)
	}
	m, _ := s.verifying.LoadOrStore(hex+"/"+diskName, &sync.Mutex{})
	m.(*sync.Mutex).Lock()
	defer m.(*sync.Mutex).Unlock()
	d, err := s.diskOf(img, hex)
	if err != nil {
		return "", err
	}
	path = filepath.Join(s.dir, hex, diskName)
	print, err := inodePrint(path)
	if v, ok := s.lastVerified(hex, diskVerifiedName); err == nil && ok && v.Fingerprint == print {
		return path, nil
	}
	if err := s.readDisk(ctx, img, hex, d); err != nil {
		return "", err
	}
	return path, nil
}

// diskOf reads what the disk of an image should be.
func (s *Store) diskOf(img vitrine.Image, hex string) (DiskInfo, error) {
	d, err := s.loadDisk(hex)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d, noDisk(img, hex)
	case err != nil:
		return d, badDisk(img, hex, fmt.Errorf("%s cannot be used: %w", diskInfoName, err))
	}
	return d, nil
}

// readDisk holds the whole disk to what it should be.
func (s *Store) readDisk(ctx context.Context, img vitrine.Image, hex string, d DiskInfo) error {
	path := filepath.Join(s.dir, hex, diskName)
	print, err := inodePrint(path) // from before the reading: a later change shows
	if err != nil {
		return badDisk(img, hex, fmt.Errorf("%s: expected %d bytes, %s, found nothing: %w", diskName, d.SizeBytes, d.Digest, err))
	}
	sum, size, err := hashFile(ctx, path)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return badDisk(img, hex, err)
	}
	if digestPrefix+sum != d.Digest || size != d.SizeBytes {
		return badDisk(img, hex, fmt.Errorf("%s: expected %d bytes, %s, found %d bytes, %s%s", diskName, d.SizeBytes, d.Digest, size, digestPrefix, sum))
	}
	if err := s.remember(hex, diskVerifiedName, print); err != nil {
		slog.Warn("disk verified, but not noted", "image", hex[:12], "error", err)
	}
	return nil
}

// loadDisk reads disk.json and refuses one that is not of this image.
func (s *Store) loadDisk(hex string) (DiskInfo, error) {
	text, err := readBounded(filepath.Join(s.dir, hex, diskInfoName), 4096)
	if err != nil {
		return DiskInfo{}, err
	}
	d, err := parseDisk(text)
	if err == nil && d.Image != digestPrefix+hex {
		err = fmt.Errorf("it is of the image %s", d.Image)
	}
	return d, err
}

func parseDisk(text []byte) (DiskInfo, error) {
	var d DiskInfo
	if err := json.Unmarshal(text, &d); err != nil {
		return d, err
	}
	if !isDigest(d.Image) || !isDigest(d.Digest) || d.SizeBytes < 1 {
		return d, fmt.Errorf("it has no digests or no size")
	}
	return d, nil
}

// inodePrint is the state of one inode; see fingerprint.
func inodePrint(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", fmt.Errorf("it is not a regular file")
	}
	return fmt.Sprintf("%x", appendStat(nil, ".", &st)), nil
}

// noDisk is the failure of an image without a disk.
func noDisk(img vitrine.Image, hex string) error {
	f := vitrine.NewFailure(vitrine.FailImageMissing, nil, "the image %s (%s) has no disk for machines with a kernel of their own: it was built without one", img.Ref, hex[:12])
	f.Remedy = "vitrine image build " + img.Ref
	return f
}

// badDisk is the failure of a disk that is not what was made. The tree may be
// good all the same, and then the disk is made from it anew.
func badDisk(img vitrine.Image, hex string, cause error) error {
	f := vitrine.NewFailure(vitrine.FailImageCorrupt, []string{cause.Error()}, "the disk of image %s (%s) is damaged: %v", img.Ref, hex[:12], cause)
	f.Remedy = "vitrine image build " + img.Ref
	return f
}

// ensureDisk gives a good disk to an image that has none, or a damaged one.
// The build lock is held.
func (s *Store) ensureDisk(ctx context.Context, r Recipe, img vitrine.Image, report func(Progress)) (vitrine.Image, error) {
	if _, err := s.Disk(ctx, img); err == nil {
		return img, nil
	} else if ctx.Err() != nil {
		return vitrine.Image{}, ctx.Err()
	}
	report(Progress{Stage: StageDisk, Detail: "the image is there, its disk is not"})
	if err := checkSpace(s.dir, r.Name, img.Manifest.SizeBytes>>20); err != nil { // more than it can come to
		return vitrine.Image{}, err
	}
	work, err := os.MkdirTemp(s.dir, tmpPrefix+r.Name+"-disk-")
	if err != nil {
		return vitrine.Image{}, fmt.Errorf("make a directory for the disk: %w", err)
	}
	hex := strings.TrimPrefix(img.Digest, digestPrefix)
	err = makeDisk(ctx, filepath.Join(s.dir, hex), img.Digest, work, r, byBytes(report, StageDisk, 0, 100))
	if err == nil {
		err = s.publishDisk(work, hex)
	}
	if rmErr := os.RemoveAll(work); rmErr != nil && err == nil {
		err = fmt.Errorf("remove the directory for the disk: %w", rmErr)
	}
	if err != nil {
		return vitrine.Image{}, err
	}
	return s.load(hex)
}

// publishDisk moves a disk and its description from the directory from to the
// image's. Without its description a disk is not there, so that comes last,
// and the old one goes first.
func (s *Store) publishDisk(from, hex string) error {
	dir := filepath.Join(s.dir, hex)
	if err := syncDisk(s.dir); err != nil {
		return fmt.Errorf("write the disk of image %s: %w", hex[:12], err)
	}
	for _, name := range []string{diskInfoName, diskVerifiedName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replace the disk of image %s: %w", hex[:12], err)
		}
	}
	for _, name := range []string{diskName, diskInfoName} {
		if err := os.Rename(filepath.Join(from, name), filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("put the disk of image %s in its place: %w", hex[:12], err)
		}
	}
	s.trustDisk(hex)
	return nil
}

// trustDisk notes that a disk just made is good: its digest was taken from what
// was written.
func (s *Store) trustDisk(hex string) {
	if print, err := inodePrint(filepath.Join(s.dir, hex, diskName)); err == nil {
		_ = s.remember(hex, diskVerifiedName, print) // Disk would only read it again
	}
}
