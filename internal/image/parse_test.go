package image

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/vitrine-dev/vitrine"
)

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"name":"tiny","kind":"terminal","digest":"sha256:` + strings.Repeat("a", 64) + `","recipe_digest":"sha256:00","built_at":"2026-01-01T00:00:00Z","size_bytes":1,"files":1,"min_memory_mb":16,"packages":[{"name":"a","version":"1","arch":"amd64"}]}`))
	f.Add([]byte(`{"min_memory_mb":1e999}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseManifest(text)
		if err == nil && (!isDigest(m.Digest) || !nameForm.MatchString(m.Name) || m.MinMemoryMB < 1) {
			t.Errorf("took %+v", m)
		}
	})
}

func FuzzFileList(f *testing.F) {
	good, _, err := encodeFiles(header{Name: "tiny", Kind: vitrine.KindTerminal, MinMemoryMB: 1}, []entry{
		{Path: ".", Type: typeDir, Mode: 0o755},
		{Path: "bin/sh", Type: typeFile, Mode: 0o4755, SHA256: strings.Repeat("a", 64), Size: 7, Capability: "01"},
		{Path: "bin/x", Type: typeLink, Target: "sh"},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"vitrine_image":1}` + "\n" + `{"path":"../../etc/passwd","type":"link"}`))
	f.Add([]byte(`{"vitrine_image":1}` + "\n" + `{"path":"a\u0000b","type":"dir"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		h, entries, err := decodeFiles(text)
		if err != nil {
			return
		}
		for _, e := range entries {
			if !filepath.IsLocal(e.Path) {
				t.Errorf("took the path %q", e.Path)
			}
		}
		again, _, err := encodeFiles(h, entries)
		if err != nil {
			return
		}
		if _, back, err := decodeFiles(again); err != nil || !reflect.DeepEqual(entries, back) {
			t.Errorf("does not survive a round: %v", err)
		}
	})
}

func FuzzRecipe(f *testing.F) {
	f.Add([]byte(goodRecipe))
	f.Add([]byte("packages: [\"a; rm -rf /\"]"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRecipe(text)
		if err != nil {
			return
		}
		for _, p := range r.Packages {
			if strings.ContainsAny(p, " ,;'\"$/\n") || strings.HasPrefix(p, "-") {
				t.Errorf("took the package %q", p)
			}
		}
	})
}

func TestHostsOwnMirrorIsUsedAndKeptOutOfTheImage(t *testing.T) {
	etc := t.TempDir()
	write := func(name, text string) {
		p := filepath.Join(etc, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lines := func() (out []string) {
		for _, s := range buildSources(etc, filepath.Join(etc, "none.gpg"), "bookworm") {
			out = append(out, s.String())
		}
		return out
	}
	want := func(name string, w ...string) {
		t.Helper()
		if got := lines(); !reflect.DeepEqual(got, w) {
			t.Errorf("%s: got\n%s", name, strings.Join(got, "\n"))
		}
	}
	security := "deb http://deb.debian.org/debian-security bookworm-security main"
	want("no sources at all", "deb http://deb.debian.org/debian bookworm main", "deb http://deb.debian.org/debian bookworm-updates main", security)
	write("sources.list", "# deb http://old/ bookworm main\ndeb-src http://src/ bookworm main\ndeb [arch=amd64 signed-by=/k.gpg] http://u:p@mirror/debian bookworm main contrib\ndeb cdrom:[x]/ bookworm main\n")
	want("one-line form", "deb [signed-by=/k.gpg] http://u:p@mirror/debian bookworm main", "deb http://deb.debian.org/debian bookworm-updates main", security)
	write("sources.list.d/debian.sources", "Types: deb deb-src\n# note\nURIs: http://m2/debian\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k2.gpg\n\nTypes: deb\nURIs: http://m3/\nSuites: bookworm-security\nComponents: main\nEnabled: no\n")
	want("paragraph form too", "deb [signed-by=/k.gpg] http://u:p@mirror/debian bookworm main", "deb [signed-by=/k2.gpg] http://m2/debian bookworm-updates main", security)
	write("sources.list", "deb http://archive.ubuntu.com/ubuntu noble main\n")
	write("sources.list.d/debian.sources", "")
	want("another distribution", "deb http://deb.debian.org/debian bookworm main", "deb http://deb.debian.org/debian bookworm-updates main", security)

	for _, s := range publicSources("bookworm") {
		if strings.Contains(s.String(), "@") {
			t.Errorf("an image is left with %s", s)
		}
	}
	if got := redact("Get:1 http://u:p@mirror/debian bookworm InRelease"); strings.Contains(got, "u:p") {
		t.Errorf("a password is shown: %s", got)
	}
}

func TestPackageDatabaseOfHalfInstalledTree(t *testing.T) {
	got := parseStatus([]byte("Package: b\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2\nDescription: x\n Version: no\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 9\n\nPackage: a\nStatus: install ok installed\nVersion: 3\nArchitecture: all\n"))
	want := []vitrine.Package{{Name: "a", Version: "3", Arch: "all"}, {Name: "b", Version: "1:2", Arch: "amd64"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}
