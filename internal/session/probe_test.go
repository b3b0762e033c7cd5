package session

import (
	"testing"

	"github.com/vitrine-dev/vitrine"
)

func TestTheStrongestRuntimeThatPeopleCanUseIsPicked(t *testing.T) {
	all := []vitrine.Runtime{
		&fakeRuntime{name: "firecracker", isolation: vitrine.IsolationMicroVM},
		&fakeRuntime{name: "gvisor", isolation: vitrine.IsolationGVisor},
		&fakeRuntime{name: "container", isolation: vitrine.IsolationContainer},
		&fakeRuntime{name: "qemu", isolation: vitrine.IsolationEmulatedVM},
		&fakeRuntime{name: "process", isolation: vitrine.IsolationNone},
	}
	for _, c := range []struct {
		what  string
		works []string
		name  string
		min   vitrine.Isolation
		want  string
	}{
		{"everything works", []string{"firecracker", "gvisor", "container", "qemu", "process"}, "auto", "", "firecracker"},
		{"KVM runs no guests", []string{"gvisor", "container", "qemu", "process"}, "auto", "", "gvisor"},
		{"only the slow and the open work", []string{"qemu", "process"}, "auto", "", ""},
		{"software emulation is asked for by name", []string{"gvisor", "qemu"}, "qemu", "", "qemu"},
		{"a VM is wanted and only an emulated one works", []string{"gvisor", "qemu"}, "auto", vitrine.IsolationEmulatedVM, ""},
		{"an emulated VM is stronger than a sandbox", []string{"gvisor", "qemu"}, "qemu", vitrine.IsolationGVisor, "qemu"},
		{"and not as strong as a microVM", []string{"qemu"}, "qemu", vitrine.IsolationMicroVM, ""},
		{"what does not work is not picked by name either", []string{"gvisor"}, "firecracker", "", ""},
	} {
		var status []vitrine.RuntimeStatus
		for _, rt := range all {
			ok := false
			for _, w := range c.works {
				ok = ok || w == rt.Name()
			}
			status = append(status, vitrine.RuntimeStatus{Name: rt.Name(), Isolation: rt.Isolation(), Probe: vitrine.Probe{OK: ok}})
		}
		got := ""
		if rt := choose(&Config{Runtimes: all}, status, c.name, c.min); rt != nil {
			got = rt.Name()
		}
		if got != c.want {
			t.Errorf("%s: %q is picked, not %q", c.what, got, c.want)
		}
	}
}
