package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

// stageBytes bounds the stage's tmpfs: it holds a few small files.
const stageBytes = 16 << 20

// mountAll puts the machine's file systems together in this process's own mount
// namespace.
func (s *supervisor) mountAll() error {
	p := s.plan
	// Slave: what the host unmounts goes here too (we must not keep its disks
	// busy), what we mount stays here.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("leaving the host's mounts: %w", err)
	}
	if err := tmpfs(stageSource, p.Stage, stageBytes, "755"); err != nil {
		return err
	}
	if p.Jail != nil {
		return s.mountJail()
	}
	if p.VMM {
		share := s.stage(ShareDir)
		if err := os.Mkdir(share, 0o711); err != nil {
			return fmt.Errorf("preparing the stage: %w", err)
		}
		return tmpfs(machinedir.ShareSource(p.MachineID), share, p.ShareBytes, "711")
	}
	for _, d := range []string{"bundle", "rootfs", "lower", "disk", ShareDir, "etc", "state"} {
		if err := os.Mkdir(s.stage(d), 0o755); err != nil {
			return fmt.Errorf("preparing the stage: %w", err)
		}
	}
	for name, text := range p.Etc {
		if err := os.WriteFile(s.stage("etc", filepath.Base(name)), []byte(text), 0o644); err != nil {
			return fmt.Errorf("preparing the stage: %w", err)
		}
	}
	if len(p.Bundle) > 0 {
		if err := os.WriteFile(s.stage("bundle", "config.json"), p.Bundle, 0o600); err != nil {
			return fmt.Errorf("preparing the stage: %w", err)
		}
	}
	if p.Pressure != "" {
		if err := os.WriteFile(s.stage("memory.pressure"), nil, 0o644); err != nil {
			return fmt.Errorf("preparing the stage: %w", err)
		}
		if err := bindReadOnly(p.Pressure, s.stage("memory.pressure"), unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV); err != nil {
			return err
		}
	}
	if err := os.WriteFile(s.stage("agent"), nil, 0o755); err != nil {
		return fmt.Errorf("preparing the stage: %w", err)
	}
	if err := bindReadOnly(p.AgentPath, s.stage("agent"), unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV); err != nil {
		return err
	}
	if err := s.mountShare(); err != nil {
		return err
	}
	switch p.Root {
	case RootReadOnly:
		return s.mountReadOnly()
	case RootOverlay:
		return s.mountOverlay()
	}
	return nil
}

// stageSource is the stage's mount source: how it is told from a directory of
// the host.
const stageSource = "vitrine-stage"

func (s *supervisor) stage(parts ...string) string {
	return filepath.Join(append([]string{s.plan.Stage}, parts...)...)
}

// mountShare makes share/ and puts the agent's config there.
func (s *supervisor) mountShare() error {
	p, dir := s.plan, s.stage(ShareDir)
	if p.ShareBytes > 0 {
		if err := tmpfs(machinedir.ShareSource(p.MachineID), dir, p.ShareBytes, "711"); err != nil {
			return err
		}
	} else {
		src := s.dir.Join(ShareDir)
		if err := os.MkdirAll(src, 0o711); err != nil {
			return fmt.Errorf("making the shared directory: %w", err)
		}
		if err := unix.Mount(src, dir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("binding the shared directory: %w", err)
		}
	}
	var spec struct {
		Spec struct{ AgentConfig []byte }
	}
	if err := s.dir.Read(machinedir.SpecFile, &spec); err != nil {
		return err
	}
	if len(spec.Spec.AgentConfig) > 0 && !json.Valid(spec.Spec.AgentConfig) {
		return fmt.Errorf("the agent's config is not JSON")
	}
	config, agent := filepath.Join(dir, "config.json"), filepath.Join(dir, "agent")
	if err := os.WriteFile(config, spec.Spec.AgentConfig, 0o600); err != nil {
		return fmt.Errorf("writing the agent's config: %w", err)
	}
	if err := os.WriteFile(agent, nil, 0o755); err != nil { // what the agent is mounted on
		return fmt.Errorf("writing the agent's place: %w", err)
	}
	for _, f := range []string{dir, config, agent} {
		if err := os.Lchown(f, p.HostID, p.HostID); err != nil {
			return fmt.Errorf("giving the machine its directory: %w", err)
		}
	}
	if p.Root != RootNone {
		return nil // the OCI runtime mounts it
	}
	return bindReadOnly(s.stage("agent"), agent, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
}

// mountReadOnly makes rootfs/ for a sandbox that brings its own writable layer:
// the image, read-only. runsc would make the places that it mounts on in there,
// so those that the image lacks are laid over it.
func (s *supervisor) mountReadOnly() error {
	p := s.plan
	disk := s.dir.Join("disk")
	if err := os.MkdirAll(disk, 0o700); err != nil {
		return fmt.Errorf("making the machine's disk: %w", err)
	}
	if err := unix.Mount(disk, s.stage("disk"), "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding the machine's disk: %w", err)
	}
	missing := false
	for _, at := range p.Places {
		if _, err := os.Lstat(filepath.Join(p.Lower, at)); err == nil {
			continue
		}
		missing = true
		place := s.stage("places", at)
		err := os.MkdirAll(filepath.Dir(place), 0o755)
		if err == nil && strings.HasPrefix(at, "/etc/") {
			err = os.WriteFile(place, nil, 0o644)
		} else if err == nil {
			err = os.Mkdir(place, 0o755)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("preparing %s: %w", at, err)
		}
	}
	if !missing {
		return bindReadOnly(p.Lower, s.stage("rootfs"), unix.MOUNT_ATTR_NODEV)
	}
	if err := bindReadOnly(p.Lower, s.stage("lower"), unix.MOUNT_ATTR_NODEV); err != nil {
		return err
	}
	opts := "lowerdir=" + s.stage("places") + ":" + s.stage("lower")
	if err := unix.Mount("overlay", s.stage("rootfs"), "overlay", unix.MS_RDONLY|unix.MS_NODEV, opts); err != nil {
		return fmt.Errorf("mounting the machine's root: %w", err)
	}
	return nil
}

// mountOverlay makes rootfs/: the image id-mapped below, the machine's own disk
// above. The mounter is the host's root, so copy-up may chown; files the machine
// makes belong to its own ids on the disk.
func (s *supervisor) mountOverlay() error {
	p := s.plan
	userns, err := userNamespace(p.HostID)
	if err != nil {
		return err
	}
	defer userns.Close()
	if err := bindMapped(p.Lower, s.stage("lower"), userns); err != nil {
		return err
	}
	if err := s.mountDisk(s.stage("disk")); err != nil {
		return err
	}
	upper, work := s.stage("disk", "upper"), s.stage("disk", "work")
	for _, d := range []string{upper, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return fmt.Errorf("preparing the machine's disk: %w", err)
		}
	}
	if err := os.Chown(upper, p.HostID, p.HostID); err != nil { // the merged root is the upper's
		return fmt.Errorf("preparing the machine's disk: %w", err)
	}
	opts := "lowerdir=" + s.stage("lower") + ",upperdir=" + upper + ",workdir=" + work
	// volatile: fsync costs nothing on a disk that nobody reads again (5.10).
	err = unix.Mount("overlay", s.stage("rootfs"), "overlay", unix.MS_NODEV|unix.MS_NOSUID, opts+",volatile")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("overlay", s.stage("rootfs"), "overlay", unix.MS_NODEV|unix.MS_NOSUID, opts)
	}
	if err != nil {
		return fmt.Errorf("mounting the machine's root: overlayfs on an id-mapped image needs Linux 5.19: %w", err)
	}
	return nil
}

func tmpfs(source, target string, bytes int64, mode string) error {
	opts := "mode=" + mode + ",size=" + strconv.FormatInt(bytes, 10) + ",nr_inodes=4096"
	if err := unix.Mount(source, target, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, opts); err != nil {
		return fmt.Errorf("mounting a tmpfs on %s: %w", target, err)
	}
	return nil
}

// bindReadOnly shows src, alone, at target.
func bindReadOnly(src, target string, attrs uint64) error {
	return cloneMount(src, target, &unix.MountAttr{Attr_set: attrs | unix.MOUNT_ATTR_RDONLY})
}

// bindMapped shows src at target, read-only, with its owners mapped by a user
// namespace.
func bindMapped(src, target string, userns *os.File) error {
	err := cloneMount(src, target, &unix.MountAttr{
		Attr_set:  unix.MOUNT_ATTR_IDMAP | unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV,
		Userns_fd: uint64(userns.Fd()),
	})
	if err != nil {
		return fmt.Errorf("id-mapping the image (its file system must be one that can: ext4, xfs, btrfs): %w", err)
	}
	return nil
}

func cloneMount(src, target string, attr *unix.MountAttr) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, src, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("binding %s: %w", src, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, attr); err != nil {
		return fmt.Errorf("binding %s: setting its attributes: %w", src, err)
	}
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("binding %s to %s: %w", src, target, err)
	}
	return nil
}
