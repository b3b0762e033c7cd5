package vitrine

import (
	"context"
	"time"
)

// Image is a golden root filesystem, addressed by the digest of its manifest's
// file list ("sha256:…"). It is never changed after it was made.
type Image struct {
	Ref    string // the name it was built under: "desktop"
	Digest string
	RootFS string // directory on the host
	// Disk is the same tree as a read-only squashfs file, for machines with a
	// kernel of their own: an absolute path, "" when it was not made.
	Disk     string
	Manifest Manifest
	// LeastMB is the least memory in MiB at which machines of the image were seen
	// to become ready on this host, by runtime; a runtime that was never measured
	// is not in it.
	LeastMB map[string]int
}

// Least is the least memory, in MiB, that a machine of the image may have in a
// runtime: what was measured here, or else what its recipe says.
func (i Image) Least(runtime string) int {
	if mb, ok := i.LeastMB[runtime]; ok {
		return mb
	}
	return i.Manifest.MinMemoryMB
}

// KindKernel is the kind of the image that holds the guest kernel of microVMs.
// It is an image's alone: no session is of this kind, and an ImageStore gives
// such an image neither by name nor in its list.
const KindKernel Kind = "kernel"

// Manifest says what an image is. It is stored beside the root filesystem.
type Manifest struct {
	Name        string    `json:"name"`
	Kind        Kind      `json:"kind"`
	Digest      string    `json:"digest"`
	Recipe      string    `json:"recipe_digest"` // of the recipe's own files
	BuiltAt     time.Time `json:"built_at"`
	SizeBytes   int64     `json:"size_bytes"`
	Files       int       `json:"files"`
	MinMemoryMB int       `json:"min_memory_mb"`
	Packages    []Package `json:"packages"`
}

// Package is one Debian package of an image.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
}

// ImageStore finds images that were built on this host and that a session can
// be started from.
type ImageStore interface {
	// Resolve finds an image by name or digest: NewFailure(FailImageMissing) as
	// an error when it is not there, ClassInvalid when it is a kernel.
	Resolve(ctx context.Context, ref string) (Image, error)
	// Verify holds the image's files to its manifest before use. Cheap when
	// nothing changed since the last full verification (stat only), whole
	// otherwise. The error is a *Failure with FailImageCorrupt that names the
	// first file that differs.
	Verify(ctx context.Context, img Image) error
	// List gives all such images.
	List(ctx context.Context) ([]Image, error)
}
