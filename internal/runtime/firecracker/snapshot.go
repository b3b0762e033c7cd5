package firecracker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker/api"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
	"github.com/vitrine-dev/vitrine/internal/runtime/shim"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

var _ vitrine.Snapshotter = (*Runtime)(nil)

// Files of a snapshot. The VMM writes the first two.
const (
	snapState    = "state"    // of the VMM's devices and processors
	snapMemory   = "mem"      // the guest's, as large as it and sparse
	snapDisk     = "disk"     // the machine's own
	snapAgent    = "agent"    // the agent's drive that the guest has mounted
	snapManifest = "manifest" // JSON, 0600: it holds the machine's secret
)

// manifestVersion is of the layout; another one is refused.
const manifestVersion = 1

// manifest says what a snapshot is and of what it can be restored.
type manifest struct {
	Version     int               `json:"version"`
	MadeAt      time.Time         `json:"made_at"`
	MachineID   string            `json:"machine_id"`
	Firecracker string            `json:"firecracker"`
	Processor   string            `json:"processor"` // digest of what the guest was told of it
	ImageDigest string            `json:"image_digest"`
	VCPU        int               `json:"vcpu"`
	MemoryBytes int64             `json:"memory_bytes"`
	Secret      string            `json:"secret"` // by which the agent in it knows the host
	Digests     map[string]string `json:"digests"`
}

// snapshotAt is where the VMM sees the directory that it writes to.
const snapshotAt = "snapshot"

// cleanLimit bounds what must be done also when the caller has given up.
const cleanLimit = 20 * time.Second

// Snapshot implements vitrine.Snapshotter.
func (r *Runtime) Snapshot(ctx context.Context, id, dir string) error {
	err := r.With(ctx, id, func(spec vitrine.MachineSpec, m supervised.Machine, st vitrine.MachineState) error {
		if st != vitrine.MachineRunning || !m.Dir.Has(machinedir.BootedFile) {
			return notRunning(id)
		}
		return r.driver.snapshot(ctx, spec, m, dir)
	})
	if err != nil {
		return fmt.Errorf("taking a snapshot of machine %s: %w", id, err)
	}
	return nil
}

func (d *driver) snapshot(ctx context.Context, spec vitrine.MachineSpec, m supervised.Machine, dir string) (err error) {
	if !filepath.IsAbs(dir) {
		return vitrine.Errorf(vitrine.ClassInvalid, "bad_directory", "%q is not an absolute path", dir)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return vitrine.Errorf(vitrine.ClassConflict, "directory_exists", "there is something at the place of the snapshot already")
	}
	if err := roomFor(filepath.Dir(dir), spec.MemoryBytes); err != nil {
		return err
	}
	// Made beside its place, and given its name when it is whole.
	part := dir + ".part"
	if err := errors.Join(os.RemoveAll(part), os.Mkdir(part, 0o700)); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(noRoom(err), os.RemoveAll(part))
		}
	}()
	man := manifest{
		Version: manifestVersion, MadeAt: time.Now().UTC(), MachineID: m.ID, ImageDigest: spec.ImageDigest,
		VCPU: spec.VCPU, MemoryBytes: spec.MemoryBytes, Digests: map[string]string{},
	}
	if man.Secret, err = currentSecret(spec); err != nil {
		return err
	}
	if man.Processor, err = processor(d.cfg.CPUConfig); err != nil {
		return err
	}
	var plan shim.Plan
	if err := m.Dir.Read(machinedir.PlanFile, &plan); err != nil {
		return err
	}
	if err := d.write(ctx, m, plan.HostID, part, &man); err != nil {
		return err
	}
	if err := vm.CopySparse(jailSource(plan, fileAgent), filepath.Join(part, snapAgent)); err != nil {
		return fmt.Errorf("copying the agent's drive: %w", err)
	}
	return seal(part, dir, man)
}

// write stops the machine, has the VMM write it, copies its disk, and lets it go
// on whatever happens.
func (d *driver) write(ctx context.Context, m supervised.Machine, uid int, part string, man *manifest) (err error) {
	out := filepath.Join(part, "vmm")
	if err := errors.Join(os.Mkdir(out, 0o700), os.Chown(out, uid, uid)); err != nil {
		return err
	}
	var p machinedir.Process
	if err := m.Dir.Read(machinedir.MachineFile, &p); err != nil {
		return err
	}
	if err := showTo(p, out, snapshotAt); err != nil {
		return fmt.Errorf("showing the VMM a directory: %w", err)
	}
	c := client(m)
	defer c.Close()
	info, err := c.Info(ctx)
	if err == nil {
		man.Firecracker = api.Printable(info.VMMVersion, 40)
		err = os.WriteFile(m.Dir.Join(standingFile), nil, 0o600)
	}
	if err != nil {
		return errors.Join(err, hideFrom(p, snapshotAt))
	}
	began := time.Now()
	if err = c.Pause(ctx); err == nil {
		err = c.CreateSnapshot(ctx, api.SnapshotCreate{Type: "Full", State: "/" + snapshotAt + "/" + snapState, Memory: "/" + snapshotAt + "/" + snapMemory})
	}
	if err == nil {
		err = vm.CopySparse(m.Dir.Join(machinedir.ScratchFile), filepath.Join(part, snapDisk))
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
	defer cancel()
	err = errors.Join(err, goOn(clean, c, m), hideFrom(p, snapshotAt))
	if err != nil {
		return err
	}
	d.log().Info("a machine was written to a snapshot", "machine", m.ID, "stood_ms", time.Since(began).Milliseconds())
	for _, name := range []string{snapState, snapMemory} {
		if err := takeFile(filepath.Join(out, name), filepath.Join(part, name)); err != nil {
			return err
		}
	}
	return os.RemoveAll(out)
}

// standingFile, in a machine's directory, says that the machine was stopped for a
// snapshot: one whose daemon was killed then would stand for ever.
const standingFile = "standing"

// goOn lets a machine go on.
func goOn(ctx context.Context, c *api.Client, m supervised.Machine) error {
	if err := c.Resume(ctx); err != nil {
		return fmt.Errorf("letting the machine go on: %w", err)
	}
	return os.Remove(m.Dir.Join(standingFile))
}

// standingLock is how long a machine's lock is waited for to see whether somebody
// takes a snapshot of it right now.
const standingLock = 50 * time.Millisecond

// List implements vitrine.Runtime. It is how a daemon that starts finds machines,
// and so where one goes on that was left standing.
func (r *Runtime) List(ctx context.Context) ([]vitrine.MachineStatus, error) {
	list, err := r.Runtime.List(ctx)
	for _, st := range list {
		if _, no := os.Lstat(filepath.Join(r.driver.cfg.BaseDir, st.ID, standingFile)); no != nil || st.State != vitrine.MachineRunning {
			continue
		}
		short, cancel := context.WithTimeout(ctx, standingLock)
		err := r.With(short, st.ID, func(_ vitrine.MachineSpec, m supervised.Machine, _ vitrine.MachineState) error {
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
			defer cancel()
			c := client(m)
			defer c.Close()
			return goOn(clean, c, m)
		})
		cancel()
		r.driver.log().Warn("a machine stood for a snapshot whose taker was killed", "machine", st.ID, "err", err)
	}
	return list, err
}

// takeFile takes a file that the VMM wrote: it must be one, and becomes root's.
// The VMM may still hold it open, so it is held to its digest when it is used.
func takeFile(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !ok || !st.Mode().IsRegular() || sys.Nlink != 1 {
		return fmt.Errorf("the VMM's %s is no file of its own", filepath.Base(to))
	}
	return f.Chown(0, 0)
}

// seal writes the manifest and gives the snapshot its name. A VMM with a uid of
// its own is shown the files, so they are readable; nobody gets to them, because
// the directory is not.
func seal(part, dir string, man manifest) error {
	for _, name := range []string{snapState, snapMemory, snapDisk, snapAgent} {
		at := filepath.Join(part, name)
		if err := os.Chmod(at, 0o444); err != nil {
			return err
		}
		sum, err := digest(at)
		if err != nil {
			return err
		}
		man.Digests[name] = sum
	}
	text, err := json.MarshalIndent(man, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(part, snapManifest), append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(part, dir)
}

// jailSource is the file of the host that a jail shows under a name.
func jailSource(p shim.Plan, name string) string {
	if p.Jail != nil {
		for _, f := range p.Jail.Files {
			if f.Name == name {
				return f.Source
			}
		}
	}
	return ""
}

// processor is a digest of what decides whether a guest can go on: the host's
// processor with its features, and how the guest was told otherwise. A guest that
// has found an instruction uses it.
func processor(config json.RawMessage) (string, error) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", fmt.Errorf("reading the host's processor: %w", err)
	}
	return hex.EncodeToString(processorSum(info, config)), nil
}

func processorSum(info, config []byte) []byte {
	h := sha256.New()
	for _, l := range firstProcessor(info) {
		h.Write([]byte(l))
	}
	h.Write(config)
	return h.Sum(nil)
}

// roomFor says whether a file system has room for a guest's memory.
func roomFor(dir string, bytes int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if free := int64(st.Bavail) * st.Bsize; free < bytes+64<<20 {
		return vitrine.NewFailure(vitrine.FailHostDiskFull, nil, "a snapshot needs %d MiB and %d are free", (bytes+64<<20)>>20, free>>20).AsError()
	}
	return nil
}

func noRoom(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return vitrine.NewFailure(vitrine.FailHostDiskFull, nil, "there is no room for the snapshot: %v", err).AsError().WithCause(err)
	}
	return err
}
