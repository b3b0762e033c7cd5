package image

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
	"golang.org/x/sys/unix"
)

// needSquash skips where a disk cannot be made.
func needSquash(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a disk's files belong to several users")
	}
	for _, name := range []string{"mksquashfs", "unsquashfs"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("no disk can be made here: %v", err)
		}
	}
}

// withDisk gives an image that plant made its disk.
func withDisk(t testing.TB, s *Store, r Recipe, img vitrine.Image) vitrine.Image {
	t.Helper()
	img, err := s.ensureDisk(t.Context(), r, img, func(Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestDiskHoldsTheTreeAndNothingOfTheHost(t *testing.T) {
	needSquash(t)
	long := strings.Repeat("long", 40)
	for _, compression := range compressions {
		t.Run("compressed "+compression, func(t *testing.T) {
			var disks [2][]byte
			for i := range disks {
				s := NewStore(t.TempDir())
				work := filepath.Join(s.Dir(), tmpPrefix+"test", "image", rootName)
				names := []string{"a/" + long, "a/ő=é", "a/x y\tz", "bin/ping", "bin/su", "etc/shadow"}
				if i == 1 { // in another order on the disk
					names = []string{"etc/shadow", "bin/su", "a/x y\tz", "bin/ping", "a/ő=é", "a/" + long}
				}
				for _, name := range names {
					name = filepath.Join(work, name)
					if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(name, []byte(name[len(work):]), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				for _, err := range []error{
					os.Chown(filepath.Join(work, "etc/shadow"), 0, 42),
					os.Chmod(filepath.Join(work, "etc/shadow"), 0o640),
					os.Chmod(filepath.Join(work, "bin/su"), 0o755|os.ModeSetuid),
					os.Chmod(filepath.Join(work, "a"), 0o777|os.ModeSticky),
					unix.Setxattr(filepath.Join(work, "bin/ping"), capabilityAttr, []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0),
				} {
					if err != nil {
						t.Fatal(err)
					}
				}
				// One file with two names stays one.
				if err := os.Link(filepath.Join(work, "bin/su"), filepath.Join(work, "bin/login")); err != nil {
					t.Fatal(err)
				}
				if i == 1 { // what only this host adds
					_ = unix.Setxattr(filepath.Join(work, "bin/su"), "user.label", []byte("of the host"), 0)
				}
				r := plainRecipe("odd")
				r.DiskCompression = compression
				img := plantAs(t, s, r, map[string]string{"a/abs": "->/usr/ő", "a/far": "->/" + long, "a/up": "->../../x", "a/z": ""})
				img = withDisk(t, s, r, img)
				path, err := s.Disk(t.Context(), img)
				if err != nil || path != img.Disk {
					t.Fatalf("Disk = %s, %v", path, err)
				}
				if disks[i], err = os.ReadFile(path); err != nil {
					t.Fatal(err)
				}
				if i == 1 {
					continue
				}
				out := filepath.Join(t.TempDir(), "out")
				if text, err := exec.Command("unsquashfs", "-no-progress", "-d", out, path).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, text)
				}
				_, want, err := readFileList(filepath.Dir(img.RootFS), img.Digest)
				if err != nil {
					t.Fatal(err)
				}
				found, err := scanTree(t.Context(), out, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := firstDifference(want, found); err != nil {
					t.Error(err)
				}
				var su, login unix.Stat_t
				if err := errors.Join(unix.Stat(filepath.Join(out, "bin/su"), &su), unix.Stat(filepath.Join(out, "bin/login"), &login)); err != nil || su.Ino != login.Ino {
					t.Errorf("one file with two names became two: %v", err)
				}
			}
			if string(disks[0]) != string(disks[1]) {
				t.Errorf("two disks of one tree differ (%d and %d bytes)", len(disks[0]), len(disks[1]))
			}
		})
	}
}

func TestDamagedDiskIsRefusedAndMadeAgain(t *testing.T) {
	needSquash(t)
	cases := []struct {
		name string
		harm func(dir string) error
		code vitrine.FailureCode
		says string
	}{
		{"one byte flipped, size and time kept", func(dir string) error { flipByte(t, filepath.Join(dir, diskName)); return nil }, vitrine.FailImageCorrupt, "disk.squashfs: expected 4096 bytes, sha256:"},
		{"cut off", func(dir string) error { return os.Truncate(filepath.Join(dir, diskName), 100) }, vitrine.FailImageCorrupt, "found 100 bytes"},
		{"the file is gone", func(dir string) error { return os.Remove(filepath.Join(dir, diskName)) }, vitrine.FailImageCorrupt, "found nothing"},
		{"a link to another file", func(dir string) error {
			if err := os.Rename(filepath.Join(dir, diskName), filepath.Join(dir, "moved")); err != nil {
				return err
			}
			return os.Symlink("moved", filepath.Join(dir, diskName))
		}, vitrine.FailImageCorrupt, "not a regular file"},
		{"never made", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, diskName)), os.Remove(filepath.Join(dir, diskInfoName)))
		}, vitrine.FailImageMissing, "has no disk"},
		{"only half put in its place", func(dir string) error {
			return os.Remove(filepath.Join(dir, diskInfoName))
		}, vitrine.FailImageMissing, "has no disk"},
		{"its description is no JSON", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, diskInfoName), []byte("{"), 0o644)
		}, vitrine.FailImageCorrupt, "disk.json cannot be used"},
		{"the disk of another image", func(dir string) error {
			var d DiskInfo
			text, err := os.ReadFile(filepath.Join(dir, diskInfoName))
			if err == nil {
				err = json.Unmarshal(text, &d)
			}
			d.Image = digestPrefix + strings.Repeat("0", 64)
			text, _ = json.Marshal(d)
			return errors.Join(err, os.WriteFile(filepath.Join(dir, diskInfoName), text, 0o644))
		}, vitrine.FailImageCorrupt, "it is of the image sha256:000"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := NewStore(t.TempDir())
			img := withDisk(t, s, plainRecipe("tiny"), plant(t, s, "tiny"))
			before, _ := s.DiskInfo(img)
			if err := c.harm(filepath.Dir(img.RootFS)); err != nil {
				t.Fatal(err)
			}
			_, err := s.Disk(t.Context(), img)
			f := failure(t, err, c.code)
			if !strings.Contains(f.Message, c.says) || f.Remedy != "vitrine image build tiny" {
				t.Errorf("got %q, remedy %q", f.Message, f.Remedy)
			}
			if c.code == vitrine.FailImageCorrupt {
				if f := failure(t, s.VerifyFull(t.Context(), img), c.code); !strings.Contains(f.Message, c.says) {
					t.Errorf("VerifyFull says %q", f.Message)
				}
			} else if err := s.VerifyFull(t.Context(), img); err != nil {
				t.Errorf("an image without a disk is refused: %v", err)
			}
			if err := s.Verify(t.Context(), img); err != nil {
				t.Errorf("the tree is good, and refused: %v", err)
			}
			img = withDisk(t, s, plainRecipe("tiny"), img)
			if _, err := s.Disk(t.Context(), img); err != nil {
				t.Errorf("made again, and refused: %v", err)
			}
			if after, ok := s.DiskInfo(img); !ok || after.Digest != before.Digest {
				t.Errorf("made again it is %s, before it was %s", after.Digest, before.Digest)
			}
			if left := leftovers(t, s); left != nil {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestDiskIsReadWholeOnlyWhenItChanged(t *testing.T) {
	needSquash(t)
	s := NewStore(t.TempDir())
	img := withDisk(t, s, plainRecipe("tiny"), plant(t, s, "tiny"))
	ended, cancel := context.WithCancel(t.Context())
	cancel() // reading notices, a look at the inode does not
	if _, err := s.Disk(ended, img); err != nil {
		t.Errorf("a disk just made is read again: %v", err)
	}
	if err := os.Chmod(img.Disk, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Disk(ended, img); !errors.Is(err, context.Canceled) {
		t.Errorf("a disk whose inode changed is not read: %v", err)
	}
	if _, err := s.Disk(t.Context(), img); err != nil {
		t.Errorf("a good disk is refused: %v", err)
	}
	if _, err := s.Disk(ended, img); err != nil {
		t.Errorf("a disk just read is read again: %v", err)
	}
}

func TestDiskIsNotMadeOfATreeThatChanged(t *testing.T) {
	needSquash(t)
	s := NewStore(t.TempDir())
	img := plant(t, s, "tiny")
	flipByte(t, filepath.Join(img.RootFS, "bin/sh"))
	_, err := s.ensureDisk(t.Context(), plainRecipe("tiny"), img, func(Progress) {})
	if err == nil || !strings.Contains(err.Error(), "bin/sh to mksquashfs: the image changed") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(img.RootFS), filesName), []byte("{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = s.ensureDisk(t.Context(), plainRecipe("tiny"), img, func(Progress) {})
	failure(t, err, vitrine.FailImageCorrupt)
	if _, ok := s.DiskInfo(img); ok {
		t.Error("there is a disk")
	}
	if left := leftovers(t, s); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

// large is a file that no compression makes small, as large as asked.
func large(t *testing.T, size int) string {
	t.Helper()
	b := make([]byte, size)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHostDiskThatFillsUpWhileTheDiskIsMade(t *testing.T) {
	needSquash(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=12m"); err != nil {
		t.Skipf("cannot mount here: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	s := NewStore(dir)
	r := plainRecipe("large")
	img := plantAs(t, s, r, map[string]string{"a": large(t, 8<<20)})
	for _, hint := range []string{"seen before it begins", "seen when it is full"} {
		t.Run(hint, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := s.ensureDisk(ctx, r, img, func(Progress) {})
			var e *vitrine.Error
			if !errors.As(err, &e) || e.Code != string(vitrine.FailHostDiskFull) || !strings.Contains(e.Remedy, "VITRINE_CACHE_DIR") {
				t.Errorf("got %v", err)
			}
			if left := leftovers(t, s); left != nil {
				t.Errorf("left behind: %v", left)
			}
			if _, ok := s.DiskInfo(img); ok {
				t.Error("there is a disk")
			}
			if err := s.Verify(t.Context(), img); err != nil {
				t.Errorf("the image suffered: %v", err)
			}
		})
		img.Manifest.SizeBytes = 0 // a manifest that is wrong about its tree
	}
}

func TestDiskThatMksquashfsDoesNotFinish(t *testing.T) {
	needSquash(t)
	for name, script := range map[string]string{
		"it is killed":                    "kill -9 $$",
		"it fails and says why":           "echo no memory >&2; exit 1",
		"it leaves without its input":     "exec <&-; exit 0",
		"it says well done and made none": "cat >/dev/null",
	} {
		t.Run(name, func(t *testing.T) {
			s := NewStore(t.TempDir())
			r := plainRecipe("large")
			img := plantAs(t, s, r, map[string]string{"a": large(t, 1<<20)})
			bin := t.TempDir()
			if err := os.WriteFile(filepath.Join(bin, "mksquashfs"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			_, err := s.ensureDisk(t.Context(), r, img, func(Progress) {})
			if err == nil {
				t.Fatal("it went well")
			}
			var e *vitrine.Error
			if strings.Contains(script, "exit 1") && (!errors.As(err, &e) || !strings.Contains(err.Error()+e.Err.Error(), "no memory")) {
				t.Errorf("got %v", err)
			}
			if left := leftovers(t, s); left != nil {
				t.Errorf("left behind: %v", left)
			}
			if _, ok := s.DiskInfo(img); ok {
				t.Error("there is a disk")
			}
		})
	}
}

func TestCancelledDiskLeavesNothing(t *testing.T) {
	needSquash(t)
	s := NewStore(t.TempDir())
	r := plainRecipe("large")
	img := plantAs(t, s, r, map[string]string{"a": large(t, 1<<20), "b": large(t, 1<<20)})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := s.ensureDisk(ctx, r, img, func(p Progress) {
		if p.Percent > 0 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, ok := s.DiskInfo(img); ok {
		t.Error("there is a disk")
	}
	if left := leftovers(t, s); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

func TestImageOnWhoseDiskAMachineRunsIsNotRemoved(t *testing.T) {
	needSquash(t)
	s := NewStore(t.TempDir())
	img := withDisk(t, s, plainRecipe("tiny"), plant(t, s, "tiny"))
	// By another name, as in a jail.
	jailed := filepath.Join(t.TempDir(), "drive")
	if err := os.Link(img.Disk, jailed); err != nil {
		t.Skipf("the temporary directories are not on one disk: %v", err)
	}
	f, err := os.Open(jailed)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Remove(t.Context(), "tiny")
	f.Close()
	var e *vitrine.Error
	if !errors.As(err, &e) || e.Code != "image_in_use" {
		t.Fatalf("got %v", err)
	}
	if err := s.Remove(t.Context(), "tiny"); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(s.Dir()); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestHostWithoutMksquashfsIsTold(t *testing.T) {
	needBuilder(t)
	bin := t.TempDir()
	for _, name := range []string{"mmdebstrap", "unshare"} {
		if err := os.Symlink("/bin/true", filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	var e *vitrine.Error
	if err := checkHost(); !errors.As(err, &e) || e.Code != "builder_missing" || e.Remedy != "apt-get install squashfs-tools" {
		t.Errorf("got %v", err)
	}
}

func FuzzDiskInfo(f *testing.F) {
	f.Add([]byte(`{"image":"sha256:` + strings.Repeat("a", 64) + `","digest":"sha256:` + strings.Repeat("b", 64) + `","size_bytes":4096,"compression":"zstd","made_at":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parseDisk(text)
		if err == nil && (!isDigest(d.Image) || !isDigest(d.Digest) || d.SizeBytes < 1) {
			t.Errorf("took %+v", d)
		}
	})
}
