package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// verified is verified.json: what the tree looked like when it was last read in
// full and found to be what files.jsonl says. disk-verified.json says the same
// of the disk and disk.json.
type verified struct {
	Digest      string    `json:"digest"`
	Fingerprint string    `json:"fingerprint"`
	At          time.Time `json:"at"`
}

// corruptError carries the hex of the image beside its failure.
type corruptError struct {
	hex     string
	failure *vitrine.Failure
}

func (e *corruptError) Error() string { return e.failure.Error() }
func (e *corruptError) Unwrap() error { return e.failure }

// corrupt is the failure of an image that is not what its digest says.
func corrupt(hex string, cause error) error {
	f := vitrine.NewFailure(vitrine.FailImageCorrupt, []string{cause.Error()}, "the image %s%s is damaged: %v", digestPrefix, hex[:12], cause)
	f.Remedy = fmt.Sprintf("vitrine image rm %s && vitrine image build NAME", hex[:12])
	return &corruptError{hex, f}
}

// Verify holds the image to its digest. When no inode has changed since the
// last full reading, that is all it looks at; otherwise it reads everything.
func (s *Store) Verify(ctx context.Context, img vitrine.Image) error {
	hex, ok := s.hexOf(img)
	if !ok {
		return missing(img.Digest, 0, nil)
	}
	if _, err := s.load(hex); err != nil {
		return s.named(img, err)
	}
	m, _ := s.verifying.LoadOrStore(hex, &sync.Mutex{})
	m.(*sync.Mutex).Lock()
	defer m.(*sync.Mutex).Unlock()
	print, err := fingerprint(ctx, filepath.Join(s.dir, hex, rootName))
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return s.named(img, corrupt(hex, err))
	}
	if v, ok := s.lastVerified(hex, verifiedName); ok && v.Fingerprint == print {
		return nil
	}
	return s.named(img, s.readAll(ctx, hex, print))
}

// VerifyFull reads every byte, whatever was seen before: of the tree, and of
// the disk where one was made.
func (s *Store) VerifyFull(ctx context.Context, img vitrine.Image) error {
	if err := s.verifyTree(ctx, img); err != nil {
		return err
	}
	hex, _ := s.hexOf(img)
	if !exists(filepath.Join(s.dir, hex, diskInfoName)) {
		return nil
	}
	d, err := s.diskOf(img, hex)
	if err != nil {
		return err
	}
	return s.readDisk(ctx, img, hex, d)
}

// verifyTree reads the whole tree.
func (s *Store) verifyTree(ctx context.Context, img vitrine.Image) error {
	hex, ok := s.hexOf(img)
	if !ok {
		return missing(img.Digest, 0, nil)
	}
	print, err := fingerprint(ctx, filepath.Join(s.dir, hex, rootName))
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return s.named(img, corrupt(hex, err))
	}
	return s.named(img, s.readAll(ctx, hex, print))
}

func (s *Store) hexOf(img vitrine.Image) (string, bool) {
	if !isDigest(img.Digest) {
		return "", false
	}
	hex := img.Digest[len(digestPrefix):]
	return hex, exists(filepath.Join(s.dir, hex))
}

// named puts the image's name into the remedy of a corruption.
func (s *Store) named(img vitrine.Image, err error) error {
	var c *corruptError
	if errors.As(err, &c) && img.Ref != "" {
		c.failure.Message = fmt.Sprintf("image %s: %s", img.Ref, c.failure.Message)
		c.failure.Remedy = fmt.Sprintf("vitrine image rm %s && vitrine image build %s", c.hex[:12], img.Ref)
	}
	return err
}

func (s *Store) lastVerified(hex, name string) (verified, bool) {
	var v verified
	text, err := readBounded(filepath.Join(s.dir, hex, name), 4096)
	if err != nil || json.Unmarshal(text, &v) != nil {
		return verified{}, false
	}
	return v, v.Digest == digestPrefix+hex && v.Fingerprint != ""
}

// readAll compares the whole tree with files.jsonl and, when they agree,
// remembers print, the fingerprint from before the reading: a change made
// meanwhile shows at the next look.
func (s *Store) readAll(ctx context.Context, hex, print string) error {
	dir := filepath.Join(s.dir, hex)
	h, want, err := readFileList(dir, digestPrefix+hex)
	if err != nil {
		return corrupt(hex, err)
	}
	img, err := s.load(hex)
	if err != nil {
		return err
	}
	if m := img.Manifest; m.Name != h.Name || m.Kind != h.Kind || m.MinMemoryMB != h.MinMemoryMB {
		return corrupt(hex, fmt.Errorf("%s: expected %s, %s, %d MiB, found %s, %s, %d MiB", manifestName, h.Name, h.Kind, h.MinMemoryMB, m.Name, m.Kind, m.MinMemoryMB))
	}
	found, err := scanTree(ctx, filepath.Join(dir, rootName), nil)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = firstDifference(want, found)
	}
	if err != nil {
		return corrupt(hex, err)
	}
	if err := s.remember(hex, verifiedName, print); err != nil {
		// The image is good all the same; the next look costs more.
		slog.Warn("image verified, but not noted", "image", hex[:12], "error", err)
	}
	return nil
}

// readFileList reads files.jsonl of the image directory dir and holds it to the
// image's digest.
func readFileList(dir, digest string) (header, []entry, error) {
	text, err := readBounded(filepath.Join(dir, filesName), maxFileList)
	if err != nil {
		return header{}, nil, fmt.Errorf("%s cannot be read: %w", filesName, err)
	}
	if found := digestOf(text); found != digest {
		return header{}, nil, fmt.Errorf("%s: expected %s, found %s", filesName, digest, found)
	}
	h, list, err := decodeFiles(text)
	if err != nil {
		return header{}, nil, fmt.Errorf("%s: %w", filesName, err)
	}
	return h, list, nil
}

// remember writes verified.json, or another of that form.
func (s *Store) remember(hex, name, print string) error {
	text, err := json.Marshal(verified{digestPrefix + hex, print, time.Now().UTC()})
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(s.dir, hex, name), append(text, '\n')); err != nil {
		return fmt.Errorf("note that image %s is verified: %w", hex[:12], err)
	}
	return nil
}

// firstDifference names the first path, in order, that is not as it should be.
func firstDifference(want, found []entry) error {
	for i := 0; i < len(want) || i < len(found); i++ {
		switch {
		case i == len(found) || (i < len(want) && want[i].Path < found[i].Path):
			return fmt.Errorf("%s: expected %s, found nothing", want[i].Path, want[i].describe())
		case i == len(want) || want[i].Path > found[i].Path:
			return fmt.Errorf("%s: expected nothing, found %s", found[i].Path, found[i].describe())
		case want[i] != found[i]:
			w, f := want[i].describe(), found[i].describe()
			return fmt.Errorf("%s: expected %s, found %s", want[i].Path, w, f)
		}
	}
	return nil
}

// describe says all that the digest covers of one path.
func (e entry) describe() string {
	s := fmt.Sprintf("%s mode %04o owner %d:%d time %d", e.Type, e.Mode, e.UID, e.GID, e.ModTime)
	switch e.Type {
	case typeFile:
		s += fmt.Sprintf(" size %d %s%s", e.Size, digestPrefix, e.SHA256)
	case typeLink:
		s += fmt.Sprintf(" to %q", e.Target)
	}
	if e.Capability != "" {
		s += " capability " + e.Capability
	}
	return s
}
