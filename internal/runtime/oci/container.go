package oci

import "github.com/opencontainers/runtime-spec/specs-go"

// Container adds to Base what a machine on the host's own kernel needs: a user
// and a cgroup namespace, the seccomp profile, and a /sys of which only what
// programs ask for is there. hostID is the host's id of the machine's root, ids
// how many follow. cgroups are files and directories of the machine's own cgroup
// by their place in the machine, so that the agent can tell of memory.
func Container(s *specs.Spec, hostID, ids uint32, cgroups map[string]string) *specs.Spec {
	mapping := []specs.LinuxIDMapping{{ContainerID: 0, HostID: hostID, Size: ids}}
	s.Linux.UIDMappings, s.Linux.GIDMappings = mapping, mapping
	s.Linux.Namespaces = append(s.Linux.Namespaces,
		specs.LinuxNamespace{Type: specs.UserNamespace}, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	s.Linux.Seccomp = Seccomp()

	// sysfs cannot be mounted by a user namespace that does not own the network
	// namespace, and the host's tells far too much.
	s.Mounts = append(s.Mounts,
		specs.Mount{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		specs.Mount{Destination: "/sys", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "noexec", "nodev", "mode=755", "size=64k"}},
		readOnly("/sys/devices/system/cpu", "/sys/devices/system/cpu"),
	)
	for _, at := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory.pressure"} {
		if src := cgroups[at]; src != "" {
			s.Mounts = append(s.Mounts, readOnly(at, src))
		}
	}
	return s
}

func readOnly(at, src string) specs.Mount {
	return specs.Mount{Destination: at, Type: "bind", Source: src, Options: []string{"rbind", "ro", "nosuid", "noexec", "nodev"}}
}
