package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/host/leftover"
)

// machines finds machines' directories, half-made ones too.
func (l *look) machines() error {
	return l.machinesBelow(l.cfg.machinesDir(), func(t vitrine.Thing) { l.add(t) })
}

func (l *look) machinesBelow(dir string, found func(vitrine.Thing)) error {
	runtimes, err := entries(dir)
	if err != nil {
		return fmt.Errorf("listing machines: %w", err)
	}
	for _, rt := range runtimes {
		list, err := entries(filepath.Join(dir, rt))
		if err != nil {
			return fmt.Errorf("listing machines of %s: %w", rt, err)
		}
		for _, id := range list {
			if !isMachine(id) {
				continue // a cache, or not ours
			}
			t := vitrine.Thing{Kind: vitrine.ThingMachine, Name: filepath.Join(dir, rt, id), Machine: id, Runtime: rt, Since: idTime(id)}
			var rec struct {
				BootID string
				Spec   struct{ SessionID string }
			}
			b, err := os.ReadFile(filepath.Join(t.Name, "spec.json"))
			switch {
			case err != nil:
				t.Detail = "half-made: it has no spec.json"
			case json.Unmarshal(b, &rec) != nil:
				t.Detail = "its spec.json is torn"
			default:
				if t.OldBoot = rec.BootID != "" && rec.BootID != bootID(); t.OldBoot {
					t.Detail = "of an earlier boot"
				} else if rec.Spec.SessionID == "" {
					t.Detail = leftover.DetailProbe
				}
			}
			found(t)
		}
	}
	return nil
}

// probes finds what killed doctors left in the temporary directory, and spares
// what a doctor at work holds.
func (l *look) probes() error {
	list, err := entries(l.cfg.TempDir)
	if err != nil {
		return nil // no temporary directory, no probes
	}
	for _, name := range list {
		if !strings.HasPrefix(name, probePrefix) {
			continue
		}
		dir := filepath.Join(l.cfg.TempDir, name)
		held := isHeld(dir)
		err := l.machinesBelow(filepath.Join(dir, "machines"), func(t vitrine.Thing) {
			// Killed, it is no machine of a runtime's: what runs of it is found
			// by other signs, and the directory goes whole.
			l.spared[t.Machine], l.known[t.Machine] = held, true
		})
		if err != nil {
			return err
		}
		if st, err := os.Lstat(dir); err == nil && !held {
			l.add(vitrine.Thing{Kind: vitrine.ThingProbe, Name: dir, Since: st.ModTime(), OldBoot: st.ModTime().Before(bootTime())})
		}
	}
	return nil
}

// workshop is a directory in which files are made under names that are their
// maker's while it holds the lock beside them.
type workshop struct {
	dir, lock string
	half      func(name string) bool // a name of what is not finished
}

// workshops are those of the image builder, and of the drives that virtual
// machines share.
func (c *Config) workshops() []workshop {
	return []workshop{
		{c.ImageDir, ".lock", func(name string) bool { return strings.HasPrefix(name, buildPrefix) }},
		{filepath.Join(c.DataDir, "vm"), "lock", func(name string) bool {
			return strings.HasPrefix(name, "agent-tree-") || strings.HasSuffix(name, ".tmp")
		}},
	}
}

// builds finds what killed makers left in their workshops.
func (l *look) builds() error {
	for _, w := range l.cfg.workshops() {
		list, err := entries(w.dir)
		if err != nil {
			return fmt.Errorf("listing what is being built: %w", err)
		}
		if isHeld(filepath.Join(w.dir, w.lock)) {
			continue
		}
		for _, name := range list {
			at := filepath.Join(w.dir, name)
			if st, err := os.Lstat(at); err == nil && w.half(name) {
				l.add(vitrine.Thing{Kind: vitrine.ThingBuild, Name: at, Since: st.ModTime(), OldBoot: st.ModTime().Before(bootTime())})
			}
		}
	}
	return nil
}

// socket finds the admin socket of a daemon that was killed.
func (l *look) socket() error {
	path := filepath.Join(l.cfg.DataDir, socketName)
	st, err := os.Lstat(path)
	if err != nil || st.Mode()&fs.ModeSocket == 0 || l.cfg.DaemonDown == nil || !l.cfg.DaemonDown() {
		return nil
	}
	l.add(vitrine.Thing{Kind: vitrine.ThingSocket, Name: path, Since: st.ModTime(), OldBoot: st.ModTime().Before(bootTime())})
	return nil
}

// entries lists the names in a directory; none when there is no such directory.
func entries(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	names := make([]string, 0, len(list))
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names, err
}

// isHeld says whether somebody holds the flock of a file or directory.
func isHeld(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	// Shared, so that two who ask do not see each other.
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// idTime is when an id was made: its first ten letters hold 48 bits of Unix
// milliseconds, with two bits over (id.go).
func idTime(id string) time.Time {
	const letters = "0123456789abcdefghjkmnpqrstvwxyz"
	_, body, _ := strings.Cut(id, "_")
	if len(body) < 10 {
		return time.Time{}
	}
	var bits uint64
	for i := range 10 {
		n := strings.IndexByte(letters, body[i])
		if n < 0 {
			return time.Time{}
		}
		bits = bits<<5 | uint64(n)
	}
	return time.UnixMilli(int64(bits >> 2))
}
