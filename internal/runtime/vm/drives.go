package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
	"github.com/vitrine-dev/vitrine/internal/runtime/oci"
)

// Labels of the drives that are ext4: by them the guest's init tells them apart.
const (
	AgentLabel   = "vitrine-agent"
	ScratchLabel = "vitrine-disk"
)

// agentName is the agent's name on its drive.
const agentName = "vitrine-agent"

// mkfsLimit is how long making a file system may take: it takes 20 ms.
const mkfsLimit = 20 * time.Second

// agentDrive gives the drive with the agent on it, made once for each agent.
func (k *Kit) agentDrive(ctx context.Context) (string, error) {
	key, err := k.sums.of(k.cfg.AgentPath)
	if err != nil {
		return "", fmt.Errorf("making the agent's drive: %w", err)
	}
	return k.cached(ctx, "agent-"+key+".ext4", func(tmp string) error {
		dir, err := os.MkdirTemp(k.cfg.CacheDir, "agent-tree-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		size, err := copyFile(k.cfg.AgentPath, filepath.Join(dir, agentName))
		if err != nil {
			return fmt.Errorf("making the agent's drive: %w", err)
		}
		// An eighth and 1 MiB more than the file, for the file system itself.
		size = (size + size/8 + 2<<20) >> 20 << 20
		if err := sparse(tmp, size, 0o644); err != nil {
			return fmt.Errorf("making the agent's drive: %w", err)
		}
		return mke2fs(ctx, tmp, "-L", AgentLabel, "-d", dir)
	})
}

func copyFile(from, to string) (int64, error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, in)
	return n, errors.Join(err, out.Close())
}

// makeScratch makes the machine's own disk anew: an empty file system in a
// sparse file. All of one size are copies of one that was made once, because
// making 8 GiB of it takes longer than all else that a start makes, and copying
// the hundred kilobytes that are not holes does not.
func (k *Kit) makeScratch(ctx context.Context, at string) error {
	size := k.cfg.DiskBytes
	empty, err := k.cached(ctx, "scratch-"+strconv.FormatInt(size, 10)+".ext4", func(tmp string) error {
		if err := sparse(tmp, size, 0o600); err != nil {
			return fmt.Errorf("making the machine's disk: %w", err)
		}
		// As the other runtimes' (shim): nobody mounts it twice, so no journal; tables
		// are written when used, so it takes almost no room.
		return mke2fs(ctx, tmp, "-L", ScratchLabel, "-i", "32768")
	})
	if err != nil {
		return err
	}
	if err := os.Remove(at); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := CopySparse(empty, at); err != nil {
		return fmt.Errorf("making the machine's disk: %w", err)
	}
	return nil
}

// sparse makes an empty file of a size.
func sparse(at string, size int64, mode os.FileMode) error {
	if err := os.Remove(at); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

func mke2fs(ctx context.Context, at string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, mkfsLimit)
	defer cancel()
	args = append([]string{"-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=1,nodiscard"}, args...)
	out, err := exec.CommandContext(ctx, "mke2fs", append(args, at)...).CombinedOutput()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return vitrine.NewFailure(vitrine.FailRuntimeMissing, nil, "mke2fs is not installed").AsError().WithRemedy("apt-get install e2fsprogs")
	case noRoom(at, string(out)):
		return fmt.Errorf("making %s: mke2fs: %w", filepath.Base(at), syscall.ENOSPC)
	}
	return fmt.Errorf("making %s: mke2fs: %w: %.300s", filepath.Base(at), err, strings.TrimSpace(string(out)))
}

// noRoom says whether a tool failed for want of room, which it only says in
// words: also when it was cut short and its file system is full.
func noRoom(at, said string) bool {
	var st syscall.Statfs_t
	return strings.Contains(said, "No space left") ||
		syscall.Statfs(filepath.Dir(at), &st) == nil && st.Bavail == 0
}

// Boot is what a machine is told before its agent runs: what the other runtimes
// put into its directory.
func Boot(spec vitrine.MachineSpec) agentproto.Boot {
	etc := oci.Etc(spec)
	return agentproto.Boot{Hostname: oci.Hostname(spec), Files: []agentproto.BootFile{
		{Path: agentproto.Dir + "/" + agentproto.ConfigFile, Mode: 0o600, Data: spec.AgentConfig},
		{Path: "/etc/resolv.conf", Mode: 0o644, Data: []byte(etc["resolv.conf"])},
		{Path: "/etc/hosts", Mode: 0o644, Data: []byte(etc["hosts"])},
		{Path: "/etc/hostname", Mode: 0o644, Data: []byte(etc["hostname"])},
	}}
}

// writeBoot writes the machine's boot drive.
func writeBoot(at string, spec vitrine.MachineSpec) error {
	drive, err := agentproto.EncodeBoot(Boot(spec))
	if err != nil {
		return err
	}
	if err := sparse(at, 0, 0o600); err != nil {
		return fmt.Errorf("making the boot drive: %w", err)
	}
	if err := os.WriteFile(at, drive, 0o600); err != nil {
		return fmt.Errorf("making the boot drive: %w", err)
	}
	return nil
}

// threads is how many of a guest's threads are its kernel's: counted at 55 with
// one vCPU and 70 with two (Debian's 6.12), with room for more.
func threads(vcpu int) int { return 96 + 24*vcpu }

// CommandLine gives the kernel's arguments that both VMMs share, with more after
// them. The process limit is the guest kernel's own: its root may raise it, and
// then only its memory bounds it, which costs the host nothing.
func (k *Kit) CommandLine(spec vitrine.MachineSpec, more ...string) string {
	args := []string{
		// A panic reaches the console and ends the machine; it is never booted again.
		"console=ttyS0", "reboot=k", "panic=1",
		// Up to notices: "Linux version …" and all of a panic and an OOM, of which
		// the head is a warning, but not what each driver says of itself.
		"loglevel=6",
		// A machine that was paused has not hung.
		"nosoftlockup", "rcupdate.rcu_cpu_stall_suppress=1",
		"sysctl.kernel.threads-max=" + strconv.Itoa(spec.MaxPIDs+threads(spec.VCPU)),
	}
	return strings.Join(append(append(args, more...), k.cfg.KernelArgs...), " ")
}
