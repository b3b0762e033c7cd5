package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
)

// imageFaults are those of images and of the guest kernel. The store of the host
// is never damaged: the rows have stores of their own, with copies of tiny, and
// with the host's larger images shown in them read-only.
func imageFaults() []fault {
	return []fault{
		{
			name: "the image was never built", code: vitrine.FailImageMissing, on: []string{host},
			before: func(w *world) { w.ownImages() },
			make: func(w *world) told {
				return w.refused(client.CreateSession{Kind: vitrine.KindDesktop})
			},
			cure: func(w *world, remedy string) {
				w.says(remedy, "vitrine image build desktop")
				w.show("desktop") // as that command leaves it, minutes later
			},
			works: func(w *world) { w.works(client.CreateSession{Kind: vitrine.KindDesktop}) },
		},
		{
			name: "one byte of the image has changed", code: vitrine.FailImageCorrupt, on: []string{container, gvisor}, quick: true,
			before: func(w *world) { w.ownImages("tiny") },
			make: func(w *world) told {
				w.flip(filepath.Join(w.copied("tiny"), "rootfs/bin/busybox"), 100_000)
				return w.refused(tiny(0))
			},
			cure: func(w *world, remedy string) { w.rebuildTiny(remedy) },
		},
		{
			name: "one byte of the image's disk has changed", code: vitrine.FailImageCorrupt, on: []string{qemu},
			before: func(w *world) { w.ownImages("tiny"); w.show("kernel") },
			make: func(w *world) told {
				w.flip(filepath.Join(w.copied("tiny"), "disk.squashfs"), 100_000)
				return w.refused(tiny(0))
			},
			cure: func(w *world, remedy string) { w.follow(remedy, "vitrine image build tiny") }, // which makes the disk anew
		},
		{
			name: "a file of the image is gone", code: vitrine.FailImageCorrupt, on: []string{host},
			before: func(w *world) { w.ownImages("tiny") },
			make: func(w *world) told {
				if err := os.Remove(filepath.Join(w.copied("tiny"), "rootfs/bin/busybox")); err != nil {
					w.t.Fatal(err)
				}
				return w.refused(tiny(0))
			},
			cure: func(w *world, remedy string) { w.rebuildTiny(remedy) },
		},
		{
			name: "the guest kernel was never built", code: vitrine.FailKernelMissing, on: []string{qemu},
			before: func(w *world) { w.ownImages("tiny") },
			make:   func(w *world) told { return w.refused(tiny(0)) },
			cure: func(w *world, remedy string) {
				w.says(remedy, "vitrine image build kernel")
				w.show("kernel") // as that command leaves it
				w.probedAgain()
			},
		},
	}
}

// ownImages gives the world an image store of its own with copies of images.
func (w *world) ownImages(names ...string) {
	w.t.Helper()
	dir := filepath.Join(w.dir, "images")
	if err := os.Mkdir(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	w.set("VITRINE_IMAGE_DIR=" + dir)
	for _, name := range names {
		w.must("cp", "-a", "--reflink=auto", w.hostImage(name), dir+"/")
	}
}

// hostImage is the directory of the host's newest image of a name.
func (w *world) hostImage(name string) string {
	w.t.Helper()
	dir, err := imageIn(imageStore(), name)
	if err != nil {
		w.t.Skipf("%v: vitrine image build %s", err, name)
	}
	return dir
}

// copied is the directory of an image in the world's own store.
func (w *world) copied(name string) string {
	w.t.Helper()
	dir, err := imageIn(w.env["VITRINE_IMAGE_DIR"], name)
	if err != nil {
		w.t.Fatal(err)
	}
	return dir
}

func imageIn(store, name string) (string, error) {
	manifests, _ := filepath.Glob(filepath.Join(store, "*/manifest.json"))
	best, at := "", ""
	for _, path := range manifests {
		var m struct {
			Name    string `json:"name"`
			BuiltAt string `json:"built_at"` // RFC 3339 in UTC: sorts as text
		}
		b, err := os.ReadFile(path)
		if err == nil && json.Unmarshal(b, &m) == nil && m.Name == name && m.BuiltAt >= at {
			best, at = filepath.Dir(path), m.BuiltAt
		}
	}
	if best == "" {
		return "", fmt.Errorf("there is no image %s in %s", name, store)
	}
	return best, nil
}

// show has the host's image of a name in the world's store, read-only.
func (w *world) show(name string) {
	w.t.Helper()
	from := w.hostImage(name)
	at := filepath.Join(w.env["VITRINE_IMAGE_DIR"], filepath.Base(from))
	if err := os.Mkdir(at, 0o755); err != nil {
		w.t.Fatal(err)
	}
	w.must("mount", "--bind", from, at)
	w.atEnd(func() { w.must("umount", at) })
	w.must("mount", "-o", "remount,bind,ro", at)
}

// flip changes one byte of a file and leaves its time as it was, as a bad disk
// does.
func (w *world) flip(path string, at int64) {
	w.t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		w.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	b := []byte{0}
	if _, err := f.ReadAt(b, at); err != nil {
		w.t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{^b[0]}, at); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Chtimes(path, st.ModTime(), st.ModTime()); err != nil {
		w.t.Fatal(err)
	}
}

// rebuildTiny follows the remedy of a damaged image to the letter.
func (w *world) rebuildTiny(remedy string) {
	w.t.Helper()
	digest := filepath.Base(w.copied("tiny"))[:12]
	w.follow(remedy, "vitrine image rm "+digest+" && vitrine image build tiny")
	if b, err := os.ReadFile(filepath.Join(w.copied("tiny"), "manifest.json")); err != nil || !bytes.Contains(b, []byte(strings.TrimSpace(digest))) {
		w.t.Errorf("what was built is another image: %s, %v", b, err)
	}
}
