package image

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/vitrine-dev/vitrine"
)

const (
	digestPrefix = "sha256:"
	// fileListVersion is raised when the meaning of a line changes.
	fileListVersion = 1
	// maxFileList and maxFileLine bound what is read of a files.jsonl: a full
	// desktop has 20 000 lines of 200 bytes.
	maxFileList = 256 << 20
	maxFileLine = 64 << 10
)

// header is the first line of files.jsonl: what the digest covers besides the
// files themselves, so that two images with equal trees but other needs differ.
type header struct {
	Version     int          `json:"vitrine_image"`
	Name        string       `json:"name"`
	Kind        vitrine.Kind `json:"kind"`
	MinMemoryMB int          `json:"min_memory_mb"`
}

// fileType is what a path is. Nothing else may be in an image.
type fileType string

const (
	typeFile fileType = "file"
	typeDir  fileType = "dir"
	typeLink fileType = "link"
)

// entry is one path of the tree, relative to its root; the root itself is ".".
// Mode holds the permission bits with set-uid, set-gid and sticky, as stat(2)
// gives them. Size and SHA256 are a regular file's, Target a link's.
// Capability is the raw security.capability attribute in hex, where there is one.
type entry struct {
	Path       string   `json:"path"`
	Type       fileType `json:"type"`
	Mode       uint32   `json:"mode"`
	UID        uint32   `json:"uid"`
	GID        uint32   `json:"gid"`
	ModTime    int64    `json:"mtime"` // Unix seconds
	Size       int64    `json:"size,omitempty"`
	SHA256     string   `json:"sha256,omitempty"`
	Target     string   `json:"target,omitempty"`
	Capability string   `json:"capability,omitempty"`
}

// encodeFiles writes files.jsonl and gives its digest. Entries are sorted by
// path by the caller; the encoding has one form only, so it is canonical.
func encodeFiles(h header, entries []entry) (text []byte, digest string, err error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	h.Version = fileListVersion
	if err := enc.Encode(h); err != nil {
		return nil, "", fmt.Errorf("encode the header: %w", err)
	}
	for _, e := range entries {
		if !utf8.ValidString(e.Path) || !utf8.ValidString(e.Target) {
			return nil, "", fmt.Errorf("the name %q is not UTF-8", e.Path)
		}
		if err := enc.Encode(e); err != nil {
			return nil, "", fmt.Errorf("encode %s: %w", e.Path, err)
		}
	}
	return b.Bytes(), digestOf(b.Bytes()), nil
}

// digestOf is the digest of a files.jsonl.
func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return digestPrefix + hex.EncodeToString(sum[:])
}

// decodeFiles reads a files.jsonl. It refuses paths that leave the tree, are
// not in their plain form or not in order, so that a caller may join them to a
// root without a further check.
func decodeFiles(text []byte) (header, []entry, error) {
	var h header
	var entries []entry
	if len(text) > maxFileList {
		return h, nil, fmt.Errorf("the file list is over %d bytes", maxFileList)
	}
	sc := bufio.NewScanner(bytes.NewReader(text))
	sc.Buffer(nil, maxFileLine)
	for n := 1; sc.Scan(); n++ {
		dec := json.NewDecoder(bytes.NewReader(sc.Bytes()))
		dec.DisallowUnknownFields()
		if n == 1 {
			if err := dec.Decode(&h); err != nil {
				return h, nil, fmt.Errorf("line 1: %w", err)
			}
			if h.Version != fileListVersion {
				return h, nil, fmt.Errorf("line 1: version %d is not %d", h.Version, fileListVersion)
			}
			continue
		}
		var e entry
		if err := dec.Decode(&e); err != nil {
			return h, nil, fmt.Errorf("line %d: %w", n, err)
		}
		if err := e.check(); err != nil {
			return h, nil, fmt.Errorf("line %d: %w", n, err)
		}
		if len(entries) > 0 && entries[len(entries)-1].Path >= e.Path {
			return h, nil, fmt.Errorf("line %d: %q is out of order", n, e.Path)
		}
		entries = append(entries, e)
	}
	if err := sc.Err(); err != nil {
		return h, nil, err
	}
	if h.Version == 0 || len(entries) == 0 {
		return h, nil, fmt.Errorf("the file list is empty")
	}
	return h, entries, nil
}

func (e entry) check() error {
	if e.Path == "" || path.Clean(e.Path) != e.Path || path.IsAbs(e.Path) || e.Path == ".." || strings.HasPrefix(e.Path, "../") || strings.ContainsRune(e.Path, 0) {
		return fmt.Errorf("%q is not a path within the tree", e.Path)
	}
	switch e.Type {
	case typeFile:
		if len(e.SHA256) != 64 || e.Size < 0 {
			return fmt.Errorf("%q has no SHA-256", e.Path)
		}
	case typeDir, typeLink:
	default:
		return fmt.Errorf("%q has the unknown type %q", e.Path, e.Type)
	}
	return nil
}
