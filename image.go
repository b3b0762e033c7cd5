package vitrine

import (
	"context"
	"time"
)

// Image is a golden root filesystem, addressed by the digest of its manifest's
// file list ("sha256:…"). It is never changed after it was made.
type Image struct {
	Ref      string // the name it was built under: "desktop"
	Digest   string
	RootFS   string // directory on the host
	Manifest Manifest
}

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

// ImageStore finds images that were built on this host.
type ImageStore interface {
	// Resolve finds an image by name or digest: NewFailure(FailImageMissing) as
	// an error when it is not there.
	Resolve(ctx context.Context, ref string) (Image, error)
	// Verify holds the image's files to its manifest before use. Cheap when
	// nothing changed since the last full verification (stat only), whole
	// otherwise. The error is a *Failure with FailImageCorrupt that names the
	// first file that differs.
	Verify(ctx context.Context, img Image) error
	// List gives all images.
	List(ctx context.Context) ([]Image, error)
}
