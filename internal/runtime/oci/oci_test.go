package oci

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-dev/vitrine"
)

func TestAHostnameOfTheConfigThatIsNoneIsNotWrittenIntoHosts(t *testing.T) {
	for config, want := range map[string]string{
		`{"hostname":"desk-1"}`:                          "desk-1",
		`{"hostname":"a\n10.0.0.1 bank.com"}`:            "vitrine",
		`{"hostname":"-x"}`:                              "vitrine",
		`{"hostname":""}`:                                "vitrine",
		`not json`:                                       "vitrine",
		`{"hostname":"` + strings.Repeat("a", 64) + `"}`: "vitrine",
	} {
		spec := vitrine.MachineSpec{AgentConfig: []byte(config)}
		spec.Net.Address = netip.MustParsePrefix("192.168.100.7/24")
		if got := Hostname(spec); got != want {
			t.Errorf("%s: %q, want %q", config, got, want)
		}
		if hosts := Etc(spec)["hosts"]; !strings.Contains(hosts, "192.168.100.7 "+want+"\n") {
			t.Errorf("%s: hosts is %q", config, hosts)
		}
	}
}

func TestTheSeccompProfileRefusesWhatReachesTheHost(t *testing.T) {
	allowed := map[string]int{}
	for _, rule := range Seccomp().Syscalls {
		for _, n := range rule.Names {
			if rule.Action == "SCMP_ACT_ALLOW" {
				allowed[n] = len(rule.Args) + 1 // 1: with any arguments
			}
		}
	}
	for _, n := range strings.Fields(`mount umount2 pivot_root move_mount open_tree fsopen fsmount mount_setattr setns bpf
		perf_event_open io_uring_setup io_uring_enter userfaultfd keyctl add_key request_key kexec_load kexec_file_load
		init_module finit_module delete_module reboot swapon open_by_handle_at clone3 syslog settimeofday clock_settime
		iopl ioperm acct quotactl nfsservctl lookup_dcookie vhangup`) {
		if allowed[n] != 0 {
			t.Errorf("%s is allowed", n)
		}
	}
	for _, n := range []string{"clone", "unshare", "socket", "personality"} {
		if allowed[n] < 2 {
			t.Errorf("%s is not bound to its arguments (%d)", n, allowed[n])
		}
	}
	// What Chromium's own sandbox is made of.
	for _, n := range strings.Fields("clone unshare chroot seccomp prctl capset setresuid ptrace") {
		if allowed[n] == 0 {
			t.Errorf("%s is refused: Chromium's sandbox needs it", n)
		}
	}
}

func TestEveryMachineIsConfined(t *testing.T) {
	spec := vitrine.MachineSpec{ID: "m", MemoryBytes: 1 << 30}
	s := Container(Base(spec, Places{Stage: "/mnt", ShmBytes: 1 << 29, NoFile: 1024, Args: []string{"init"}}), 1<<20, 65536, nil)
	if !s.Process.NoNewPrivileges || s.Linux.Seccomp == nil || len(s.Linux.UIDMappings) != 1 {
		t.Error("no_new_privs, seccomp and the user mapping must be set")
	}
	for _, c := range []string{"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_PTRACE", "CAP_MKNOD", "CAP_SYS_CHROOT"} {
		if slices.Contains(s.Process.Capabilities.Bounding, c) {
			t.Errorf("the machine's root has %s", c)
		}
	}
	kinds := map[string]bool{}
	for _, n := range s.Linux.Namespaces {
		kinds[string(n.Type)] = true
	}
	for _, k := range []string{"pid", "ipc", "uts", "mount", "network", "user", "cgroup"} {
		if !kinds[k] {
			t.Errorf("no %s namespace of its own", k)
		}
	}
	for _, m := range s.Mounts {
		if m.Type == "bind" && m.Destination != "/run/vitrine" && !slices.Contains(m.Options, "ro") {
			t.Errorf("%s is the host's and writable", m.Destination)
		}
	}
	if points := MountPoints(s); slices.Contains(points, "/dev/shm") || !slices.Contains(points, "/run/vitrine") {
		t.Errorf("mount points are %v", points)
	}
}
