package network

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// wire is a raw socket on one interface: what it sends is put on the wire as it
// is, and it sees every frame that the interface takes in.
type wire struct {
	t  testing.TB
	fd int
}

func openWire(t testing.TB, ns, device string) *wire {
	t.Helper()
	w := &wire{t: t}
	err := in(ns, func() (err error) {
		proto := htons(unix.ETH_P_ALL)
		if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(proto)); err != nil {
			return err
		}
		link, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		tv := unix.NsecToTimeval(patience.Nanoseconds())
		return errors.Join(
			unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: link.Index}),
			unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(w.fd) })
	return w
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

func (w *wire) send(frame []byte) {
	w.t.Helper()
	if _, err := unix.Write(w.fd, frame); err != nil {
		w.t.Fatal(err)
	}
}

// until reads frames until one has the mark, and gives those before it.
func (w *wire) until(mark string) (before [][]byte) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		buf := make([]byte, 2048)
		n, _, err := unix.Recvfrom(w.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			break
		}
		if bytes.Contains(buf[:n], []byte(mark)) {
			return before
		}
		before = append(before, buf[:n])
	}
	w.t.Fatalf("the frame with %q never came", mark)
	return nil
}

// frame puts an Ethernet header before a payload.
func frame(to, from net.HardwareAddr, kind uint16, payload []byte) []byte {
	f := append(append([]byte{}, to...), from...)
	f = binary.BigEndian.AppendUint16(f, kind)
	return append(f, payload...)
}

// ipv4 is a UDP datagram to port 9 with a text.
func ipv4(from, to netip.Addr, text string) []byte {
	n := 28 + len(text)
	p := []byte{0x45, 0, byte(n >> 8), byte(n), 0, 1, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}
	p = append(append(p, from.AsSlice()...), to.AsSlice()...)
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum))
	p = append(p, 0, 9, 0, 9, byte((n-20)>>8), byte(n-20), 0, 0)
	return append(p, text...)
}

// arp is a request or reply (op 1, 2), with a text after it as padding.
func arp(op byte, mac net.HardwareAddr, from, to netip.Addr, text string) []byte {
	p := []byte{0, 1, 8, 0, 6, 4, 0, op}
	p = append(append(p, mac...), from.AsSlice()...)
	p = append(append(p, 0, 0, 0, 0, 0, 0), to.AsSlice()...)
	return append(p, text...)
}

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// TestGuestCannotPassForAnother sends frames that a machine may not send. Each
// is followed by one that it may; frames of one sender keep their order, so when
// the second has come and the first has not, the first was dropped.
func TestGuestCannotPassForAnother(t *testing.T) {
	l := newLab(t)
	one, a1 := l.attach(l.net, 1)
	_, a2 := l.attach(l.net, 2)
	me, other, gw := a1.Address.Addr(), a2.Address.Addr(), a1.Gateway
	myMAC, otherMAC, bridge := macOf(me), macOf(other), macOf(gw)
	outside := netip.MustParseAddr(internet)
	const bad = "forbidden frame"
	vlan := func(inner uint16, p []byte) []byte {
		return append([]byte{0, 0, byte(inner >> 8), byte(inner)}, p...)
	}
	cases := []struct {
		name  string
		frame []byte
	}{
		{"another machine's IP address", frame(bridge, myMAC, unix.ETH_P_IP, ipv4(other, outside, bad))},
		{"the gateway's IP address", frame(bridge, myMAC, unix.ETH_P_IP, ipv4(gw, outside, bad))},
		{"a stranger's IP address", frame(bridge, myMAC, unix.ETH_P_IP, ipv4(outside, other, bad))},
		{"no IP address, as DHCP", frame(broadcast, myMAC, unix.ETH_P_IP, ipv4(netip.IPv4Unspecified(), netip.MustParseAddr("255.255.255.255"), bad))},
		{"another machine's MAC", frame(bridge, otherMAC, unix.ETH_P_IP, ipv4(me, outside, bad))},
		{"the bridge's MAC", frame(bridge, bridge, unix.ETH_P_IP, ipv4(me, outside, bad))},
		{"both of another machine", frame(bridge, otherMAC, unix.ETH_P_IP, ipv4(other, outside, bad))},
		{"ARP: I have the gateway's address", frame(broadcast, myMAC, unix.ETH_P_ARP, arp(2, myMAC, gw, other, bad))},
		{"ARP: I have another machine's address", frame(broadcast, myMAC, unix.ETH_P_ARP, arp(1, myMAC, other, gw, bad))},
		{"ARP: my address is at another MAC", frame(broadcast, myMAC, unix.ETH_P_ARP, arp(2, otherMAC, me, gw, bad))},
		{"ARP from another MAC", frame(broadcast, otherMAC, unix.ETH_P_ARP, arp(1, myMAC, me, gw, bad))},
		{"IPv6", frame(bridge, myMAC, unix.ETH_P_IPV6, append(make([]byte, 40), bad...))},
		{"IPv6 to all", frame(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, myMAC, unix.ETH_P_IPV6, append(make([]byte, 40), bad...))},
		{"a VLAN tag before IPv4", frame(bridge, myMAC, unix.ETH_P_8021Q, vlan(unix.ETH_P_IP, ipv4(me, outside, bad)))},
		{"two VLAN tags", frame(bridge, myMAC, unix.ETH_P_8021AD, vlan(unix.ETH_P_8021Q, vlan(unix.ETH_P_IP, ipv4(me, outside, bad))))},
		{"spanning tree", frame(net.HardwareAddr{1, 0x80, 0xc2, 0, 0, 0}, myMAC, 38, append([]byte{0x42, 0x42, 3}, bad...))},
		{"LLDP", frame(net.HardwareAddr{1, 0x80, 0xc2, 0, 0, 0xe}, myMAC, 0x88cc, []byte(bad))},
		{"PPPoE", frame(broadcast, myMAC, 0x8863, []byte(bad))},
	}
	guest, host := openWire(t, one, Device), openWire(t, node, "fcbr0")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			mark := "allowed after " + c.name
			guest.send(c.frame)
			guest.send(frame(bridge, myMAC, unix.ETH_P_IP, ipv4(me, outside, mark)))
			for _, f := range host.until(mark) {
				if bytes.Contains(f, []byte(bad)) {
					t.Errorf("it came through: %x", f)
				}
			}
		})
	}
	t.Run("what is allowed does come through", func(t *testing.T) {
		guest.send(frame(broadcast, myMAC, unix.ETH_P_ARP, arp(1, myMAC, me, gw, "a good question")))
		host.until("a good question")
	})
}

// TestGuestsDoNotSeeEachOther sends frames that a machine may send, but to
// another machine. The control takes the isolation away.
func TestGuestsDoNotSeeEachOther(t *testing.T) {
	l := newLab(t)
	one, a1 := l.attach(l.net, 1)
	two, a2 := l.attach(l.net, 2)
	me, other, gw := a1.Address.Addr(), a2.Address.Addr(), a1.Gateway
	myMAC, otherMAC, bridge := macOf(me), macOf(other), macOf(gw)
	guest, neighbour, host := openWire(t, one, Device), openWire(t, two, Device), openWire(t, node, "fcbr0")
	const secret = "from machine one"
	try := func(round string) (seen int) {
		guest.send(frame(otherMAC, myMAC, unix.ETH_P_IP, ipv4(me, other, secret)))
		guest.send(frame(otherMAC, myMAC, unix.ETH_P_ARP, arp(1, myMAC, me, other, secret)))
		guest.send(frame(broadcast, myMAC, unix.ETH_P_ARP, arp(1, myMAC, me, other, secret)))
		guest.send(frame(net.HardwareAddr{1, 0, 0x5e, 0, 0, 0xfb}, myMAC, unix.ETH_P_IP, ipv4(me, netip.MustParseAddr("224.0.0.251"), secret)))
		guest.send(frame(net.HardwareAddr{2, 9, 9, 9, 9, 9}, myMAC, unix.ETH_P_IP, ipv4(me, other, secret)))
		// When the host has this one, the bridge has dealt with those above.
		guest.send(frame(bridge, myMAC, unix.ETH_P_IP, ipv4(me, gw, "done, "+round)))
		host.until("done, " + round)
		host.send(frame(otherMAC, bridge, unix.ETH_P_IP, ipv4(gw, other, "end of "+round)))
		for _, f := range neighbour.until("end of " + round) {
			if bytes.Contains(f, []byte(secret)) {
				seen++
			}
		}
		return seen
	}
	if n := try("isolated"); n != 0 {
		t.Errorf("%d frames of one machine reached another", n)
	}
	for _, id := range []string{"mch_00000000000000000000000001", "mch_00000000000000000000000002"} {
		link, err := netlink.LinkByName(l.net.portName(id))
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetIsolated(link, false); err != nil {
			t.Fatal(err)
		}
	}
	if n := try("control"); n == 0 {
		t.Error("without isolation nothing came either: the test proves nothing")
	}
}
