package image

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/vitrine-dev/vitrine"
)

// maxManifest bounds manifest.json, in bytes; a desktop's has 60 KiB.
const maxManifest = 8 << 20

// parseManifest reads manifest.json and refuses one that cannot be ours.
func parseManifest(text []byte) (vitrine.Manifest, error) {
	var m vitrine.Manifest
	if len(text) > maxManifest {
		return m, fmt.Errorf("it is over %d bytes", maxManifest)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, err
	}
	switch {
	case !nameForm.MatchString(m.Name):
		return m, fmt.Errorf("name %q is not an image's name", m.Name)
	case !slices.Contains(kinds, m.Kind):
		return m, fmt.Errorf("kind %q is neither desktop, terminal nor kernel", m.Kind)
	case !isDigest(m.Digest):
		return m, fmt.Errorf("digest %q is not a SHA-256", m.Digest)
	case !goodMinMemory(m.Kind, m.MinMemoryMB):
		return m, fmt.Errorf("min_memory_mb %d is outside 1..%d", m.MinMemoryMB, vitrine.MaxMemoryMB)
	case m.Files < 1 || m.SizeBytes < 0:
		return m, fmt.Errorf("it counts %d files and %d bytes", m.Files, m.SizeBytes)
	case m.BuiltAt.IsZero():
		return m, fmt.Errorf("built_at is missing")
	}
	return m, nil
}

// isDigest says whether s is "sha256:" and 64 lower-case hex digits.
func isDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, digestPrefix)
	return ok && len(hex) == 64 && isHex(hex)
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}

// readBounded reads a file of at most limit bytes.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is over %d bytes", filepath.Base(name), limit)
	}
	return text, err
}

// writeFile replaces a file whole: a reader sees the old or the new one.
func writeFile(name string, data []byte) error {
	tmp := name + ".new"
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}

// parseStatus reads dpkg's status database: the installed packages, by name.
func parseStatus(text []byte) []vitrine.Package {
	var list []vitrine.Package
	var p vitrine.Package
	var installed bool
	flush := func() {
		if installed && p.Name != "" {
			list = append(list, p)
		}
		p, installed = vitrine.Package{}, false
	}
	sc := bufio.NewScanner(bytes.NewReader(text))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		key, value, _ := strings.Cut(sc.Text(), ": ")
		switch key {
		case "":
			flush()
		case "Package":
			p.Name = value
		case "Version":
			p.Version = value
		case "Architecture":
			p.Arch = value
		case "Status":
			installed = strings.HasSuffix(value, " installed")
		}
	}
	flush()
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
}
