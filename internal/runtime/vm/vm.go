package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
	"github.com/vitrine-dev/vitrine/internal/runtime/shim"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
)

// Files are what a machine's image and kernel are on the host: absolute paths
// of files that are never changed.
type Files struct {
	Kernel  string // uncompressed ELF
	Modules string // newc cpio with /modules/NN-name.ko; "" when all is built in
	Disk    string // the image's tree as a squashfs
}

// Source finds a machine's files by the spec's image. A spec without an image (a
// probe's) asks for the kernel alone: Disk is "" then. Its errors are the
// domain's: kernel_missing, image_missing.
type Source func(ctx context.Context, spec vitrine.MachineSpec) (Files, error)

// Config is what every runtime of this kind is made from.
type Config struct {
	supervised.Config
	Files Source
	// InitPath is the guest's init (cmd/vitrine-init), linked statically.
	InitPath string
	// CacheDir holds what machines share: initramfs and agent drives, by content.
	// It may be emptied when no machine starts.
	CacheDir string
	// KernelArgs are added to the kernel's arguments.
	KernelArgs []string
}

// Kit makes machines' parts.
type Kit struct {
	cfg  Config
	sums *sums
}

// New makes the kit and its cache's directory.
func New(cfg Config) (*Kit, error) {
	if cfg.Files == nil || !filepath.IsAbs(cfg.InitPath) || !filepath.IsAbs(cfg.CacheDir) {
		return nil, fmt.Errorf("a runtime of virtual machines needs a source of kernels, and absolute paths of the guest's init (%q) and a cache directory (%q)", cfg.InitPath, cfg.CacheDir)
	}
	if cfg.DiskBytes == 0 {
		cfg.DiskBytes = supervised.DefaultDiskBytes
	}
	if err := os.MkdirAll(cfg.CacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the cache of virtual machines: %w", err)
	}
	return &Kit{cfg: cfg, sums: newSums()}, nil
}

// Parts is what a VMM is given for one machine: absolute paths.
type Parts struct {
	Kernel    string
	Initramfs string
	Base      string // the image's drive; read-only, shared
	Agent     string // the agent's drive; read-only, shared
	Scratch   string // the machine's own disk
	Boot      string // the machine's boot drive; 0600
	TAP       string // the TAP's name in the machine's network namespace; "" for none
	MAC       string // of the guest's NIC
	UID       int    // uid and gid that the VMM is to run as
}

// Make makes what a start needs, each time anew: the machine's drives, its TAP,
// and what machines share when it is not there yet. All of it lies in the
// machine's directory, its network namespace or the cache, so that deleting the
// machine leaves none of it.
func (k *Kit) Make(ctx context.Context, spec vitrine.MachineSpec, d machinedir.Dir) (Parts, error) {
	files, err := k.cfg.Files(ctx, spec)
	if err != nil {
		return Parts{}, err
	}
	p := Parts{
		Kernel: files.Kernel, Base: files.Disk, UID: UID(spec.Slot), MAC: spec.Net.MAC,
		Scratch: d.Join(machinedir.ScratchFile), Boot: d.Join(machinedir.BootFile),
	}
	if _, err := os.Stat(p.Kernel); err != nil {
		return Parts{}, vitrine.NewFailure(vitrine.FailKernelMissing, nil, "the guest kernel is not there: %v", err).AsError().
			WithRemedy("vitrine image build kernel")
	}
	if _, err := os.Stat(p.Base); err != nil {
		return Parts{}, vitrine.NewFailure(vitrine.FailImageMissing, nil, "the image has no disk: %v", err).AsError().
			WithRemedy("build it again: vitrine image build")
	}
	if p.Initramfs, err = k.initramfs(ctx, files.Modules); err != nil {
		return Parts{}, full(err)
	}
	if p.Agent, err = k.agentDrive(ctx); err != nil {
		return Parts{}, full(err)
	}
	if err := writeBoot(p.Boot, spec); err != nil {
		return Parts{}, full(err)
	}
	if err := k.makeScratch(ctx, p.Scratch); err != nil {
		return Parts{}, full(err)
	}
	if spec.Net.NetNS != "" {
		if err := layTAP(spec.Net, p.UID); err != nil {
			return Parts{}, vitrine.NewFailure(vitrine.FailHostNetworkFailed, nil, "%v", err).AsError().WithCause(err)
		}
		p.TAP = TAPName
	}
	return p, nil
}

// UID is the uid and gid that the VMM of a slot runs as: the first of the range
// that a container in that slot has.
func UID(slot int) int { return 1<<20 + slot*shim.IDs }

// full names a full disk as what it is.
func full(err error) error {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	return vitrine.NewFailure(vitrine.FailHostDiskFull, []string{err.Error()}, "there is no room for a virtual machine's drives: %v", err).AsError().WithCause(err)
}
