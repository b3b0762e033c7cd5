package doctor

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

type judge interface{ Judge() vitrine.Finding }

func goodKernel(change func(*Kernel)) Kernel {
	k := Kernel{
		Release: "6.12.0-1-amd64", Filesystems: map[string]bool{"overlay": true}, Modules: map[string]bool{}, MaxUserNamespaces: 1000,
		Devices: map[string]bool{"/dev/net/tun": true, "/dev/loop-control": true}, DataFS: "ext4", ImageFS: "ext4",
	}
	change(&k)
	return k
}

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func TestJudgements(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	net := netip.MustParsePrefix("192.168.100.0/24")
	use := func(p, dev string, route bool) Subnet {
		return Subnet{Prefix: net, Bridge: "fcbr0", Used: []Use{{netip.MustParsePrefix(p), dev, route}}}
	}
	for _, c := range []struct {
		name   string
		facts  judge
		want   vitrine.Verdict
		says   string
		remedy string
	}{
		{"root", User{}, "pass", "root", ""},
		{"a plain user", User{UID: 1000}, "fail", "1000", "sudo"},

		{"a good kernel", goodKernel(func(*Kernel) {}), "pass", "6.12", ""},
		{"an old kernel", goodKernel(func(k *Kernel) { k.Release = "5.4.0-200-generic" }), "fail", "5.4.0", "6.1"},
		{"a kernel that nobody has tested", goodKernel(func(k *Kernel) { k.Release = "5.15.0" }), "warn", "least that is tested", ""},
		{"a kernel that says nothing of itself", goodKernel(func(k *Kernel) { k.Release = "" }), "fail", "older", "6.1"},
		{"user namespaces are off", goodKernel(func(k *Kernel) { k.MaxUserNamespaces = 0 }), "fail", "switched off", "user.max_user_namespaces"},
		{"no overlay", goodKernel(func(k *Kernel) { delete(k.Filesystems, "overlay") }), "fail", "overlay", "modules"},
		{"overlay is a module", goodKernel(func(k *Kernel) { delete(k.Filesystems, "overlay"); k.Modules["overlay"] = true }), "pass", "overlay", ""},
		{"no tun yet", goodKernel(func(k *Kernel) { delete(k.Devices, "/dev/net/tun"); k.Modules["tun"] = true }), "warn", "/dev/net/tun", "modprobe tun"},
		{"no loop devices at all", goodKernel(func(k *Kernel) { delete(k.Devices, "/dev/loop-control") }), "warn", "so is its module", ""},
		{"the images are on NFS", goodKernel(func(k *Kernel) { k.ImageFS = "nfs" }), "warn", "nfs", "VITRINE_IMAGE_DIR"},
		{"with KVM", goodKernel(func(k *Kernel) { k.Devices["/dev/kvm"] = true }), "pass", ", /dev/kvm", ""},

		{"cgroups v2", Cgroups{map[string]string{"memory": "v2", "cpu": "v2", "pids": "v2"}}, "pass", "memory v2", ""},
		{"no memory controller", Cgroups{map[string]string{"cpu": "v1", "pids": "v1"}}, "fail", "memory", "cgroup_enable=memory"},

		{"room in memory", Memory{Total: 8192, Available: 6000, Reserve: 1024, Desktop: 2048}, "pass", "6000 MB available", ""},
		{"a host that is too small", Memory{Total: 2048, Available: 1900, Reserve: 1024, Desktop: 2048}, "fail", "2048 MB in all", "BROWSER_VM_MEMORY_MB to at most 1024"},
		{"all memory is lent", Memory{Total: 8192, Available: 6000, Reserve: 1024, Desktop: 2048, Held: 6144}, "warn", "no room for another", "vitrine session rm"},
		{"something else uses the memory", Memory{Total: 8192, Available: 500, Reserve: 1024, Desktop: 2048}, "warn", "500 MB available", ""},

		{"room on the disk", Disk{Name: "d", Free: 9000, All: 10000, Low: 2048, Stop: 512, FreeInodes: -1}, "pass", "9000 of 10000", ""},
		{"the disk gets low", Disk{Name: "d", Free: 3000, Low: 2048, Stop: 512, FreeInodes: -1, Remedy: "vitrine gc"}, "warn", "under 2048", "vitrine gc"},
		{"the disk is low", Disk{Name: "d", Free: 1000, Low: 2048, Stop: 512, Remedy: "vitrine gc"}, "fail", "no session is started", "vitrine gc"},
		{"the disk is full", Disk{Name: "d", Free: 100, Low: 2048, Stop: 512, Remedy: "vitrine gc"}, "fail", "running sessions are ended", "vitrine gc"},
		{"no inodes are left", Disk{Name: "d", Free: 9000, Low: 2048, FreeInodes: 12, Remedy: "r"}, "warn", "only 12 files", "r"},
		{"an image will not fit", Disk{Name: "d", Free: 2000, Need: 3000, FreeInodes: -1, Remedy: "r"}, "warn", "about 3000 MB", "r"},
		{"the directory cannot be looked at", Disk{Name: "d", Dir: "/x", Err: "I/O error"}, "fail", "I/O error", "another directory"},

		{"a good clock", Clock{Now: at, Newest: at.Add(-time.Hour), MaxError: 3 * time.Millisecond}, "pass", "within 3ms", ""},
		{"a clock without a battery", Clock{Now: time.Unix(100, 0)}, "fail", "before Vitrine was made", "set-ntp"},
		{"a clock that was set back", Clock{Now: at, Newest: at.Add(time.Hour), Where: "the newest session"}, "fail", "1h0m0s behind the newest session", "set-ntp"},
		{"files that are a moment ahead", Clock{Now: at, Newest: at.Add(30 * time.Second)}, "pass", "", ""},
		{"nobody sets the clock", Clock{Now: at, Unsynced: true}, "warn", "not synchronised", "chrony"},
		{"the kernel does not tell", Clock{Now: at, Unknown: true}, "warn", "does not tell", ""},

		{"no bridge yet", Bridge{Name: "fcbr0"}, "pass", "free", ""},
		{"our bridge", Bridge{Name: "fcbr0", Kind: "bridge", Alias: "vitrine/fcbr0"}, "pass", "ours", ""},
		{"somebody's bridge", Bridge{Name: "fcbr0", Kind: "bridge"}, "fail", "not ours", "ip link delete fcbr0"},
		{"another interface of that name", Bridge{Name: "fcbr0", Kind: "veth", Alias: "vitrine/fcbr0"}, "fail", "veth", "VITRINE_BRIDGE"},
		{"interfaces cannot be listed", Bridge{Name: "fcbr0", Err: "EPERM"}, "fail", "EPERM", "root"},

		{"a free subnet", Subnet{Prefix: net, Bridge: "fcbr0"}, "pass", "nobody else's", ""},
		{"our own bridge's address", use("192.168.100.1/24", "fcbr0", false), "pass", "", ""},
		{"an address in it", use("192.168.100.77/32", "eth0", false), "fail", "eth0 has the address 192.168.100.77/32", "VITRINE_SUBNET"},
		{"a subnet around it", use("192.168.5.1/16", "eth0", false), "fail", "eth0", "VITRINE_SUBNET"},
		{"a route into it", use("192.168.100.128/25", "tun0", true), "fail", "route to 192.168.100.128/25 by tun0", "VITRINE_SUBNET"},
		{"the default route", use("0.0.0.0/0", "eth0", true), "pass", "", ""},
		{"a wider route", use("192.168.0.0/16", "tun0", true), "pass", "", ""},
		{"addresses cannot be listed", Subnet{Prefix: net, Err: "EPERM"}, "fail", "EPERM", "root"},

		{"nft works", Nftables{Path: "/usr/sbin/nft", Version: "nftables v1.0.6"}, "pass", "v1.0.6", ""},
		{"no nft", Nftables{}, "fail", "not on PATH", "apt-get install nftables"},
		{"a kernel without nat", Nftables{Path: "/usr/sbin/nft", Err: "Could not process rule"}, "fail", "Could not process", "modprobe"},

		{"ports are free", Ports{List: []Port{{"TURN", "udp", ":3478", "VITRINE_TURN_PORT", ""}}}, "pass", "3478/udp", ""},
		{"ports are ours", Ports{Running: true}, "pass", "running daemon", ""},
		{"a port is taken", Ports{List: []Port{{"TURN", "udp", ":3478", "VITRINE_TURN_PORT", "address already in use"}}}, "fail", "3478/udp for TURN (address already in use)", "VITRINE_TURN_PORT"},

		{"TURN answers", TURN{Running: true, Reached: []Reach{{Addr: addr("192.0.2.1:3478"), Own: true}}}, "pass", "192.0.2.1:3478", ""},
		{"TURN by UDP is filtered", TURN{Reached: []Reach{{Addr: addr("192.0.2.1:3478"), UDP: "no answer", Own: true}}}, "fail", "UDP no answer, TCP ok", "port 3478"},
		{"TURN at one of two addresses", TURN{Reached: []Reach{{Addr: addr("192.0.2.1:3478"), Own: true}, {Addr: addr("192.0.2.2:3478"), TCP: "refused", Own: true}}}, "warn", "not everywhere", "port 3478"},
		{"TURN behind a router that sends nothing back", TURN{Reached: []Reach{{Addr: addr("192.0.2.9:3478"), UDP: "no answer", TCP: "timeout"}}}, "warn", "not reached", "from outside"},
		{"TURN on a host without an address", TURN{}, "warn", "no address", "VITRINE_PUBLIC_IP"},
		{"TURN's port is taken", TURN{Err: "address already in use"}, "warn", "address already in use", "ports"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := c.facts.Judge()
			if f.Result != c.want || !strings.Contains(f.Detail, c.says) || !strings.Contains(f.Remedy, c.remedy) {
				t.Errorf("%s: %s → %s; want %s, %q, %q", f.Result, f.Detail, f.Remedy, c.want, c.says, c.remedy)
			}
			if f.Check == "" || f.Detail == "" || (f.Remedy == "") != (f.Result == "pass") {
				t.Errorf("a finding must name its check, say what was seen, and have a remedy unless all is well: %+v", f)
			}
		})
	}
}

func TestTheWorstCounts(t *testing.T) {
	for _, c := range []struct{ list, want string }{{"", "pass"}, {"pass pass", "pass"}, {"pass warn pass", "warn"}, {"warn fail warn", "fail"}} {
		var findings []vitrine.Finding
		for _, v := range strings.Fields(c.list) {
			findings = append(findings, vitrine.Finding{Result: vitrine.Verdict(v)})
		}
		if got := Worst(findings); string(got) != c.want {
			t.Errorf("%s: %s", c.list, got)
		}
	}
}

func FuzzSTUN(f *testing.F) {
	id := []byte("abcdefghijkl")
	f.Add(stun(stunSuccess, id))
	f.Add(stun(stunRequest, id))
	f.Add([]byte{1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if isAnswer(b, id) && (len(b) < stunSize || string(b[8:20]) != string(id)) {
			t.Fatalf("%x was taken for an answer", b)
		}
	})
}
