// Package oci builds the OCI runtime configuration of a machine for crun, runc
// and runsc: what a machine may do and see, in one place, so that the two
// runtimes cannot drift apart where they need not.
//
// The machine's root is root of its own ids only, with the few capabilities that
// the agent needs to start programs as the desktop's user. no_new_privs is on:
// Chromium's user namespace sandbox works with it (only its setuid one does not,
// and that one is not used). The user namespace sandbox needs clone and unshare
// with NEWUSER, NEWPID and NEWNET, and chroot inside; the seccomp profile leaves
// exactly these.
//
// Pure: it touches no file. It must not know where anything lies on the host;
// callers say so in Places.
package oci

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vitrine-dev/vitrine"
)

// Places is where the supervisor put things (package shim).
type Places struct {
	Stage string // the stage's directory
	// CgroupPath is given to runtimes that look for their cgroup; "" leaves it out.
	CgroupPath string
	// ShmBytes is the size of /dev/shm.
	ShmBytes int64
	// NoFile is the limit of open files: it may not be above our own hard limit
	// on hosts without CAP_SYS_RESOURCE.
	NoFile uint64
	// Args are the arguments of the agent.
	Args []string
}

// agentPath is where a machine finds the agent.
const agentPath = "/run/vitrine/agent"

// Hostname is the machine's name: the agent config's, or "vitrine".
func Hostname(spec vitrine.MachineSpec) string {
	var c struct {
		Hostname string `json:"hostname"`
	}
	if json.Unmarshal(spec.AgentConfig, &c) == nil && validHostname(c.Hostname) {
		return c.Hostname
	}
	return "vitrine"
}

// validHostname holds a name to RFC 1123: it goes into /etc/hosts.
func validHostname(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (c != '-' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 63
}

// Etc is the machine's resolv.conf, hosts and hostname.
func Etc(spec vitrine.MachineSpec) map[string]string {
	name := Hostname(spec)
	hosts := "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
	if spec.Net.Address.IsValid() {
		hosts += spec.Net.Address.Addr().String() + " " + name + "\n"
	} else {
		hosts += "127.0.1.1 " + name + "\n"
	}
	resolv := ""
	for _, a := range spec.Net.DNS {
		resolv += "nameserver " + a.String() + "\n"
	}
	return map[string]string{"resolv.conf": resolv, "hosts": hosts, "hostname": name + "\n"}
}

// capabilities are what the machine's root keeps, of its own user namespace:
// giving files to the desktop's user, becoming it, ending its programs. Dropping
// capabilities needs SETPCAP; a port below 1024 is nobody else's here.
var capabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
	"CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
}

// Base is what every machine's configuration has.
func Base(spec vitrine.MachineSpec, p Places) *specs.Spec {
	network := specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: spec.Net.NetNS}
	return &specs.Spec{
		Version:  "1.0.2",
		Hostname: Hostname(spec),
		Root:     &specs.Root{Path: p.Stage + "/rootfs"},
		Process: &specs.Process{
			Args: append([]string{agentPath}, p.Args...), Cwd: "/",
			Env:             []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"},
			NoNewPrivileges: true,
			Capabilities: &specs.LinuxCapabilities{
				Bounding: capabilities, Effective: capabilities, Permitted: capabilities,
			},
			Rlimits: []specs.POSIXRlimit{
				{Type: "RLIMIT_NOFILE", Hard: p.NoFile, Soft: min(p.NoFile, 65536)},
				{Type: "RLIMIT_CORE"}, // core_pattern may pipe into a program of the host's
			},
		},
		Mounts: append([]specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=" + strconv.FormatInt(p.ShmBytes, 10)}},
			{Destination: "/run/vitrine", Type: "bind", Source: p.Stage + "/share", Options: []string{"bind", "rw", "nosuid", "nodev"}},
			{Destination: agentPath, Type: "bind", Source: p.Stage + "/agent", Options: []string{"bind", "ro", "nosuid", "nodev"}},
		}, etcMounts(p.Stage)...),
		Linux: &specs.Linux{
			CgroupsPath: p.CgroupPath,
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
				{Type: specs.MountNamespace}, network,
			},
			MaskedPaths:   maskedPaths,
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

func etcMounts(stage string) []specs.Mount {
	var out []specs.Mount
	for _, name := range []string{"resolv.conf", "hosts", "hostname"} {
		out = append(out, specs.Mount{
			Destination: "/etc/" + name, Type: "bind", Source: stage + "/etc/" + name,
			Options: []string{"bind", "ro", "nosuid", "nodev", "noexec"},
		})
	}
	return out
}

// MountPoints are the places outside /dev and of no other mount that a
// configuration mounts on: they must be there.
func MountPoints(s *specs.Spec) []string {
	out := []string{"/dev"}
	for _, m := range s.Mounts {
		if !strings.HasPrefix(m.Destination, "/dev") && m.Destination != agentPath {
			out = append(out, m.Destination)
		}
	}
	return out
}

// maskedPaths are files of /proc and /sys that tell of the host or reach it.
var maskedPaths = []string{
	"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/kmsg",
	"/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
	"/sys/devices/virtual/powercap", "/sys/firmware",
}

// Marshal gives the configuration as the bytes of config.json.
func Marshal(s *specs.Spec) ([]byte, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("writing the OCI configuration: %w", err)
	}
	return b, nil
}
