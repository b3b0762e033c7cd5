package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentbin"
	"github.com/vitrine-dev/vitrine/internal/image"
	"github.com/vitrine-dev/vitrine/internal/runtime/container"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker"
	"github.com/vitrine-dev/vitrine/internal/runtime/gvisor"
	"github.com/vitrine-dev/vitrine/internal/runtime/kvm"
	"github.com/vitrine-dev/vitrine/internal/runtime/process"
	"github.com/vitrine-dev/vitrine/internal/runtime/qemu"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// checkRoot refuses a start that could make no machine.
func checkRoot(set settings) error {
	if os.Geteuid() == 0 || set.Dev && set.Runtime == "process" {
		return nil
	}
	return vitrine.Errorf(vitrine.ClassForbidden, "not_root", "the daemon makes namespaces, mounts, cgroups and a bridge, and must be root").
		WithRemedy("sudo vitrine serve")
}

// instance names what two installs on one host must not share.
func instance(set settings) string {
	if set.Bridge == "fcbr0" {
		return "vitrine"
	}
	return "vitrine-" + strings.ReplaceAll(set.Bridge, ".", "_")
}

// newRuntimes lists the runtimes over a directory, the strongest first: the
// order in which `auto` picks. process is among them only in development.
func newRuntimes(set settings, dir string, images *image.Store, log *slog.Logger) ([]vitrine.Runtime, error) {
	if set.Runtime == "process" && !set.Dev {
		return nil, vitrine.Errorf(vitrine.ClassInvalid, "process_runtime_refused", "the process runtime isolates nothing").
			WithRemedy("use VITRINE_RUNTIME=auto; for development set VITRINE_DEV=true as well")
	}
	agent, err := agentbin.Install(filepath.Join(dir, "agent"))
	if err != nil {
		return nil, err
	}
	init, err := agentbin.InstallInit(filepath.Join(dir, "agent"))
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	base := func(name string) supervised.Config {
		return supervised.Config{
			BaseDir: filepath.Join(dir, "machines", name), CgroupParent: "/" + instance(set),
			AgentPath: agent, ShimCommand: []string{self, "shim"}, Log: log,
		}
	}
	virtual := func(name string) vm.Config {
		return vm.Config{Config: base(name), Files: machineFiles(images), InitPath: init, CacheDir: filepath.Join(dir, "vm")}
	}
	f, err := firecracker.New(firecracker.Config{Config: virtual("firecracker"), Program: set.Firecracker, Jailer: set.Jailer})
	if err != nil {
		return nil, err
	}
	g, err := gvisor.New(gvisor.Config{Config: base("gvisor"), Program: set.Runsc})
	if err != nil {
		return nil, err
	}
	c, err := container.New(container.Config{Config: base("container")})
	if err != nil {
		return nil, err
	}
	q, err := qemu.New(qemu.Config{Config: virtual("qemu"), Program: set.QEMU, KVM: func(ctx context.Context) error {
		_, err := kvm.Probe(ctx)
		return err
	}})
	if err != nil {
		return nil, err
	}
	runtimes := []vitrine.Runtime{f, g, c, q}
	if set.Dev {
		p, err := process.New(process.Config{Config: base("process"), Dev: true})
		if err != nil {
			return nil, err
		}
		runtimes = append(runtimes, p)
	}
	return runtimes, nil
}

// machineFiles finds what a virtual machine boots from: the guest kernel and
// the disk of the image, both held to their digests.
func machineFiles(images *image.Store) vm.Source {
	return func(ctx context.Context, spec vitrine.MachineSpec) (vm.Files, error) {
		kernel, modules, err := images.Kernel(ctx)
		if err != nil {
			return vm.Files{}, err
		}
		if spec.ImageDigest == "" { // a probe's machine
			return vm.Files{Kernel: kernel, Modules: modules}, nil
		}
		img, err := images.Resolve(ctx, spec.ImageDigest)
		if err != nil {
			return vm.Files{}, err
		}
		disk, err := images.Disk(ctx, img)
		return vm.Files{Kernel: kernel, Modules: modules, Disk: disk}, err
	}
}
