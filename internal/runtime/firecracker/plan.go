package firecracker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker/tiny"
	"github.com/vitrine-dev/vitrine/internal/runtime/shim"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// The jail's files, by the names that the VMM sees them under.
const (
	fileKernel    = "kernel"
	fileInitramfs = "initramfs"
	fileBase      = "base"
	fileAgent     = "agent"
	fileDisk      = "disk"
	fileBoot      = "boot"
	fileLog       = "log"
	fileMetrics   = "metrics"
	socketAPI     = "api.sock"
	socketVsock   = "v.sock"
)

// filesBytes is room in the jail for log and metrics: a line of metrics is 10 KB
// and one is written each minute.
const filesBytes = 16 << 20

// maxFiles is how many files a VMM may have open: drives, sockets, and one for
// each connection to its agent.
const maxFiles = 4096

// Plan implements supervised.Driver.
func (d *driver) Plan(ctx context.Context, spec vitrine.MachineSpec, m supervised.Machine) (shim.Plan, error) {
	program, jailer, err := d.find()
	if err != nil {
		return shim.Plan{}, err
	}
	if _, err := d.versions.check(ctx, program, jailer); err != nil {
		return shim.Plan{}, err
	}
	uid := vm.UID(spec.Slot)
	if !m.Probe() { // those of several daemons have the same slot, and nothing to lose
		if err := checkUID(uid); err != nil {
			return shim.Plan{}, err
		}
	}
	files, err := d.files(ctx, spec, m)
	if err != nil {
		return shim.Plan{}, err
	}
	// The stage hides what lies below it, so none of these may.
	paths := []string{spec.RootFS, string(m.Dir), d.cfg.AgentPath, d.cfg.ShimCommand[0], program, jailer}
	for _, f := range files {
		paths = append(paths, f.Source)
	}
	stage, err := shim.Stage(paths...)
	if err != nil {
		return shim.Plan{}, err
	}
	st, err := os.Stat(program)
	if err != nil {
		return shim.Plan{}, fmt.Errorf("looking at firecracker: %w", err)
	}

	// The jailer's names: BASE/PROGRAM/ID/root, and no underscore in an id.
	id, name := strings.ReplaceAll(m.ID, "_", "-"), filepath.Base(program)
	jail := &shim.Jail{
		Root: filepath.Join("jail", name, id, "root"), Bytes: st.Size() + filesBytes, Files: files, Log: fileLog,
	}
	command := []string{
		jailer, "--id", id, "--exec-file", program, "--uid", strconv.Itoa(uid), "--gid", strconv.Itoa(uid),
		"--chroot-base-dir", filepath.Join(stage, "jail"), "--new-pid-ns", "--resource-limit", "no-file=" + strconv.Itoa(maxFiles),
	}
	command = append(command, "--", "--api-sock", "/"+socketAPI,
		"--log-path", "/"+fileLog, "--level", "Error", "--metrics-path", "/"+fileMetrics)
	return shim.Plan{
		// The supervisor enters the network namespace, as for all runtimes, so that
		// the jailer is in it too; without one it gets an empty one.
		Stage: stage, HostID: uid, Jail: jail, NetNS: spec.Net.NetNS, Command: command,
		PIDFile: filepath.Join(stage, jail.Root, name+".pid"),
	}, nil
}

// files makes what the machine is given and says how the jail shows it.
func (d *driver) files(ctx context.Context, spec vitrine.MachineSpec, m supervised.Machine) ([]shim.JailFile, error) {
	if m.Probe() {
		kernel, err := tiny.Install(d.cfg.CacheDir)
		if err != nil {
			return nil, vitrine.NewFailure(vitrine.FailKernelMissing, nil, "%s", err).AsError().WithCause(err)
		}
		return []shim.JailFile{{Name: fileKernel, Source: kernel}}, nil
	}
	from, err := restoring(m)
	if err != nil {
		return nil, err
	}
	p, err := d.kit.Make(ctx, spec, m.Dir)
	if err != nil {
		return nil, err
	}
	files := []shim.JailFile{
		{Name: fileKernel, Source: p.Kernel}, {Name: fileInitramfs, Source: p.Initramfs},
		{Name: fileBase, Source: p.Base}, {Name: fileAgent, Source: p.Agent}, {Name: fileBoot, Source: p.Boot},
		{Name: fileDisk, Source: p.Scratch, Write: true},
	}
	if from != "" {
		if files, err = restoreFiles(p, from); err != nil {
			return nil, err
		}
	}
	for _, own := range []string{p.Scratch, p.Boot} {
		if err := os.Lchown(own, p.UID, p.UID); err != nil {
			return nil, fmt.Errorf("giving the VMM its drives: %w", err)
		}
	}
	return files, nil
}
