package qemu

import (
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

func sample() command {
	return command{
		Program: "/usr/bin/qemu-system-x86_64", Version: version{7, 2}, Accel: accelTCG, Root: "/m/stage/share", UID: 1114112,
		VCPU: 2, Memory: 512 << 20, Kernel: "/k/vmlinux", CommandLine: "console=ttyS0 panic=1", Ports: 2,
		Parts: vm.Parts{
			Kernel: "/k/vmlinux", Initramfs: "/c/initramfs.cpio", Base: "/i/a,b \"c\"/disk.squashfs", Agent: "/c/agent.ext4",
			Scratch: "/m/scratch.img", Boot: "/m/boot.img", TAP: "tap0", MAC: "02:00:00:00:00:07", UID: 1114112,
		},
	}
}

// after gives what follows an option, each time it is there.
func after(line []string, option string) []string {
	var out []string
	for i, a := range line[:len(line)-1] {
		if a == option {
			out = append(out, line[i+1])
		}
	}
	return out
}

func TestTheCommandLineHasAllThatAMachineIsMadeOf(t *testing.T) {
	line := sample().line()
	for option, want := range map[string][]string{
		"-m":      {"size=524288k"},
		"-smp":    {"2"},
		"-append": {"console=ttyS0 panic=1"},
		"-accel":  {"tcg,thread=single,tb-size=64"},
		"-cpu":    {"max"},
		"-runas":  {"1114112:1114112"},
		"-chroot": {"/m/stage/share"},
		"-netdev": {"tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=off"},
	} {
		if got := after(line, option); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", option, got, want)
		}
	}
	for _, flag := range []string{"-S", "-nodefaults", "-no-user-config", "-no-reboot"} {
		if !slices.Contains(line, flag) {
			t.Errorf("%s is not there", flag)
		}
	}
	drives := after(line, "-blockdev")
	if len(drives) != 4 {
		t.Fatalf("there are %d drives: %q", len(drives), drives)
	}
	for i, want := range []string{`"read-only":true`, `"read-only":true`, `"read-only":false`, `"read-only":true`} {
		if !strings.Contains(drives[i], want) {
			t.Errorf("drive %d is %s, want %s", i, drives[i], want)
		}
	}
	if !strings.Contains(drives[0], `/i/a,b \"c\"/disk.squashfs`) {
		t.Errorf("a path with a comma and quotes came out as %s", drives[0])
	}
	if devices := strings.Join(after(line, "-device"), "\n"); strings.Count(devices, "virtserialport") != 2 || !strings.Contains(devices, `"name":"vitrine.1","nr":2`) {
		t.Errorf("the ports are wrong:\n%s", devices)
	}
}

func TestQEMUIsConfinedInTheWordsOfItsVersion(t *testing.T) {
	for _, c := range []struct {
		v    version
		want string
	}{
		{version{7, 2}, "-runas 1114112:1114112 -chroot /m/stage/share"},
		{version{8, 0}, "-runas 1114112:1114112 -chroot /m/stage/share"},
		{version{8, 1}, "-runas 1114112:1114112 -run-with chroot=/m/stage/share"},
		{version{9, 0}, "-runas 1114112:1114112 -run-with chroot=/m/stage/share"},
		{version{9, 1}, "-run-with user=1114112:1114112,chroot=/m/stage/share"},
		{version{10, 0}, "-run-with user=1114112:1114112,chroot=/m/stage/share"},
	} {
		m := sample()
		m.Version = c.v
		if got := strings.Join(m.confine(), " "); got != "-sandbox on,obsolete=deny,spawn=deny,resourcecontrol=deny "+c.want {
			t.Errorf("%v: %s", c.v, got)
		}
	}
}

func TestAProbesMachineHasNoDrivesAndNoNetwork(t *testing.T) {
	c := sample()
	c.Parts, c.CommandLine, c.Accel = vm.Parts{}, "", accelKVM
	line := c.line()
	for _, option := range []string{"-blockdev", "-netdev", "-device", "-initrd", "-append"} {
		if got := after(line, option); got != nil {
			t.Errorf("%s is %q", option, got)
		}
	}
	if got := after(line, "-accel"); !slices.Equal(got, []string{"kvm"}) {
		t.Errorf("-accel is %q", got)
	}
}

func TestTheTimeStampCounterIsMeasured(t *testing.T) {
	khz := tscKHz()
	if khz < 500_000 || khz > 10_000_000 {
		t.Skipf("%d kHz: this host's counter is of no use", khz)
	}
	args := strings.Join(kernelArgs(accelTCG), " ")
	if !strings.Contains(args, "tsc_early_khz=") || !strings.Contains(args, "tsc=reliable") {
		t.Errorf("the emulated kernel is told %s", args)
	}
	if args := kernelArgs(accelKVM); len(args) != 1 {
		t.Errorf("with KVM it is told %q", args)
	}
}
