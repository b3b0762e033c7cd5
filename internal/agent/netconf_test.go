package agent

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

func TestConfigureNetwork(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	done := make(chan struct{})
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	go func() {
		defer close(done)
		// A namespace of this thread's own; a goroutine that ends locked takes
		// its thread with it, and that the namespace.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("make a network namespace: %v", err)
			return
		}
		err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "peer"})
		if err != nil {
			t.Error(err)
			return
		}
		peer, err := netlink.LinkByName("peer")
		if err == nil {
			err = netlink.LinkSetUp(peer)
		}
		if err != nil {
			t.Error(err)
			return
		}
		n := agentproto.Network{Configure: true, Device: "eth0", Address: "192.168.100.7/24", Gateway: "192.168.100.1", DNS: []string{"192.168.100.1"}}
		for range 2 {
			if err := configureNetwork(n, resolv); err != nil {
				t.Error(err)
			}
		}
		link, _ := netlink.LinkByName("eth0")
		addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
		if err != nil || len(addrs) != 1 || addrs[0].IPNet.String() != "192.168.100.7/24" {
			t.Errorf("addresses %v, %v", addrs, err)
		}
		routes, err := netlink.RouteList(link, netlink.FAMILY_V4)
		found := false
		for _, r := range routes {
			found = found || r.Gw.String() == "192.168.100.1"
		}
		if err != nil || !found {
			t.Errorf("routes %v, %v", routes, err)
		}
		for name, bad := range map[string]agentproto.Network{
			"no such device":        {Device: "eth7", Address: "192.168.100.7/24"},
			"an address of nothing": {Device: "eth0", Address: "here"},
			"a gateway elsewhere":   {Device: "eth0", Address: "192.168.100.7/24", Gateway: "10.9.9.9"},
			"a name server's name":  {Device: "eth0", Address: "192.168.100.7/24", DNS: []string{"dns\nx"}},
		} {
			if configureNetwork(bad, resolv) == nil {
				t.Errorf("%s was taken", name)
			}
		}
	}()
	<-done
	if data, err := os.ReadFile(resolv); err != nil || strings.TrimSpace(string(data)) != "nameserver 192.168.100.1" {
		t.Errorf("%q %v", data, err)
	}
}
