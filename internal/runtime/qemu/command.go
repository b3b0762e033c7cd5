package qemu

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// command is all that QEMU's command line is made of.
type command struct {
	Program string
	Version version
	Accel   accel
	Root    string // QEMU's root directory, and where it is started
	UID     int
	VCPU    int
	Memory  int64 // bytes
	Kernel  string
	// CommandLine is the kernel's.
	CommandLine string
	Ports       int
	// Parts is zero for a probe: then there are no drives, NIC and ports.
	Parts vm.Parts
}

// Names in QEMU's root.
const qmpSocket = "qmp.sock"

func portSocket(n int) string { return fmt.Sprintf("port%02d.sock", n) }

// line composes the command line. What lies in Root is named relative to it,
// since a socket's path must be short. JSON where QEMU takes it, because commas
// in paths need no escape there.
func (c command) line() []string {
	args := []string{
		c.Program,
		// Linux finds the devices by ACPI. PCI is for the serial ports alone: by MMIO
		// QEMU offers queues of 1024 entries and Linux fills them, 4 MiB a port.
		// Memory is neither shared with other machines' by content (its presence
		// could be measured) nor put into a core dump.
		"-machine", "microvm,acpi=on,pcie=on,rtc=on,isa-serial=on,mem-merge=off,dump-guest-core=off",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-global", "virtio-mmio.force-legacy=false", // virtio 1.0
		"-S", // Boot lets it run
		"-m", "size=" + strconv.FormatInt(c.Memory>>10, 10) + "k",
		"-smp", strconv.Itoa(c.VCPU),
	}
	args = append(args, c.accelArgs()...)
	args = append(args, "-kernel", c.Kernel)
	if c.CommandLine != "" {
		args = append(args, "-append", c.CommandLine)
	}
	args = append(args,
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-chardev", "socket,id=qmp,path="+qmpSocket+",server=on,wait=off", "-mon", "chardev=qmp,mode=control",
	)
	if c.Parts.Kernel != "" {
		args = append(args, "-initrd", c.Parts.Initramfs)
		args = append(args, c.devices()...)
	}
	return append(args, c.confine()...)
}

func (c command) accelArgs() []string {
	if c.Accel == accelKVM {
		return []string{"-accel", "kvm", "-cpu", "host"}
	}
	// One thread for all vCPUs: with one each, a guest that patches its own code
	// while another vCPU runs it (the kernel's static keys) was once seen to meet
	// the breakpoint that stands there meanwhile, and to panic ("Oops: int3").
	return []string{"-accel", "tcg,thread=single,tb-size=" + strconv.FormatInt(translated(c.Memory)>>20, 10), "-cpu", "max"}
}

// confine is what is left to QEMU once it has opened its files. The seccomp
// filter must let it change its user itself; no_new_privs and that user then see
// to it that it is the last time.
func (c command) confine() []string {
	ids := strconv.Itoa(c.UID) + ":" + strconv.Itoa(c.UID)
	args := []string{"-sandbox", "on,obsolete=deny,spawn=deny,resourcecontrol=deny"}
	switch {
	case c.Version.atLeast(9, 1):
		return append(args, "-run-with", "user="+ids+",chroot="+escape(c.Root))
	case c.Version.atLeast(8, 1):
		return append(args, "-runas", ids, "-run-with", "chroot="+escape(c.Root))
	}
	return append(args, "-runas", ids, "-chroot", c.Root)
}

func (c command) devices() []string {
	p := c.Parts
	var args []string
	for _, d := range []struct {
		name, file string
		readOnly   bool
	}{{"base", p.Base, true}, {"agent", p.Agent, true}, {"scratch", p.Scratch, false}, {"boot", p.Boot, true}} {
		args = append(args, "-blockdev", object{
			"node-name": d.name, "driver": "raw", "read-only": d.readOnly, "discard": "unmap",
			// What a machine wrote is of no use after a crash of the host, so its
			// flushes need not reach the platter.
			"cache": object{"no-flush": true},
			"file":  object{"driver": "file", "filename": d.file, "discard": "unmap"},
		}.String())
		// A full host disk is an error of the guest's; by default the machine
		// would stand still.
		args = append(args, "-device", object{"driver": "virtio-blk-device", "drive": d.name, "werror": "report", "rerror": "report"}.String())
	}
	if p.TAP != "" {
		args = append(args,
			"-netdev", "tap,id=net0,ifname="+p.TAP+",script=no,downscript=no,vhost=off",
			"-device", object{"driver": "virtio-net-device", "netdev": "net0", "mac": p.MAC}.String(),
		)
	}
	args = append(args, "-device", object{"driver": "virtio-serial-pci", "disable-legacy": "on", "id": "serial0", "max_ports": MaxPorts + 1}.String())
	for n := range c.Ports {
		id := "port" + strconv.Itoa(n)
		args = append(args,
			"-chardev", "socket,id="+id+",path="+portSocket(n)+",server=on,wait=off",
			"-device", object{"driver": "virtserialport", "chardev": id, "nr": n + 1, "name": agentproto.PortPrefix + strconv.Itoa(n)}.String(),
		)
	}
	return append(args,
		"-object", object{"qom-type": "rng-builtin", "id": "rng0"}.String(),
		// 64 KiB a second: a seed, and no way to burn the host's CPU.
		"-device", object{"driver": "virtio-rng-device", "rng": "rng0", "max-bytes": 64 << 10, "period": 1000}.String(),
		"-device", object{"driver": "virtio-balloon-device", "deflate-on-oom": true, "free-page-reporting": true}.String(),
	)
}

// escape doubles commas, as QEMU's option lists want them.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// object is a JSON argument; its keys come out in order.
type object map[string]any

func (o object) String() string {
	b, err := json.Marshal(o)
	if err != nil {
		panic("qemu: an argument that is not JSON: " + err.Error()) // only strings, numbers and booleans
	}
	return string(b)
}
