package image

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// emptied are directories whose content is made by the machine at its start, or
// is a cache or a log of the build.
var emptied = []string{
	"dev", "proc", "sys", "run",
	"var/cache/apt", "var/lib/apt/lists", "var/log", "var/tmp",
}

// removed are files that hold the build's moment, the build's host, or a copy
// of another file as it was before.
var removed = []string{
	"etc/.pwd.lock",
	"etc/group-", "etc/gshadow-", "etc/passwd-", "etc/shadow-", "etc/subgid-", "etc/subuid-",
	"etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
	"etc/ssh/ssh_host_*",
	"var/cache/ldconfig/aux-cache",
	"var/cache/debconf/*-old",
	"var/lib/dbus/machine-id",
	"var/lib/dpkg/*-old", "var/lib/dpkg/lock", "var/lib/dpkg/lock-frontend", "var/lib/dpkg/triggers/Lock",
	"var/lib/systemd/random-seed",
}

// scrub makes a tree the same whoever built it and when: it takes out what
// differs between two builds, writes the few files that every machine has its
// own of, and lets no time exceed the recipe's epoch.
func scrub(root string, r Recipe) error {
	for _, dir := range emptied {
		if err := emptyDir(filepath.Join(root, dir)); err != nil {
			return fmt.Errorf("empty /%s of the image: %w", dir, err)
		}
	}
	for _, pattern := range removed {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := os.RemoveAll(name); err != nil {
				return fmt.Errorf("scrub the image: %w", err)
			}
		}
	}
	if err := removeBytecode(root); err != nil {
		return fmt.Errorf("scrub the image: %w", err)
	}
	texts := map[string]string{
		"etc/machine-id":  "", // empty: the machine makes its own (machine-id(5))
		"etc/resolv.conf": "",
		"etc/hostname":    "vitrine\n",
	}
	if exists(filepath.Join(root, "etc/apt")) {
		texts["etc/apt/sources.list"] = ""
		for _, s := range publicSources(r.Suite) {
			texts["etc/apt/sources.list"] += s.String() + "\n"
		}
	}
	for name, text := range texts {
		name = filepath.Join(root, name)
		if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("scrub the image: %w", err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return fmt.Errorf("scrub the image: %w", err)
		}
		if err := os.Chmod(name, 0o644); err != nil { // whatever our umask is
			return fmt.Errorf("scrub the image: %w", err)
		}
	}
	return clampTimes(root, time.Unix(r.SourceDateEpoch, 0))
}

// emptyDir removes what is in dir and makes dir where it is missing.
func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		return os.Chmod(dir, 0o755)
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// removeBytecode removes Python's caches: they hold times, and Python makes do
// without.
func removeBytecode(root string) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "__pycache__" && strings.Contains(p, "/python") {
			if err := os.RemoveAll(p); err != nil {
				return err
			}
			return fs.SkipDir
		}
		return nil
	})
}

// clampTimes sets every time above epoch to epoch, children before parents, and
// takes off the fraction of a second of the rest: archives keep whole seconds.
func clampTimes(root string, epoch time.Time) error {
	var paths []string
	err := filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		paths = append(paths, p)
		return err
	})
	if err != nil {
		return fmt.Errorf("list the image's files: %w", err)
	}
	for i := len(paths) - 1; i >= 0; i-- {
		var st unix.Stat_t
		if err := unix.Lstat(paths[i], &st); err != nil {
			return fmt.Errorf("stat %s: %w", paths[i], err)
		}
		at := unix.Timespec{Sec: min(st.Mtim.Sec, epoch.Unix())}
		if at == st.Mtim {
			continue
		}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, paths[i], []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("set the time of %s: %w", paths[i], err)
		}
	}
	return nil
}
