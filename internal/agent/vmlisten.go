package agent

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mdlayher/vsock"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// errNoChannel says that a virtual machine's agent could not be reached at all.
var errNoChannel = errors.New("the machine has neither vsock nor a virtio-serial port named " + agentproto.PortPrefix +
	"0: its VMM gave it no channel to the host")

// listenVM opens what a virtual machine's VMM gives: vsock, virtio-serial ports,
// or both.
func listenVM(free chan struct{}) ([]net.Listener, error) {
	ports, err := listenPorts("/sys/class/virtio-ports", "/dev", free)
	if err != nil {
		return nil, err
	}
	all := ports
	if hasVsock() {
		// The host reaches us by any of our addresses, so by whichever it gave.
		l, err := vsock.ListenContextID(cidAny, agentproto.VsockPort, nil)
		if err != nil {
			closeListeners(ports)
			return nil, fmt.Errorf("listen on vsock port %d: %w", agentproto.VsockPort, err)
		}
		all = append(all, &door{Listener: hostOnly{l}, free: free, allowed: fromHost})
	}
	if len(all) == 0 {
		return nil, errNoChannel
	}
	return all, nil
}

// cidAny is VMADDR_CID_ANY: all addresses to listen on, and the address of a
// machine whose kernel knows vsock and whose VMM gave it none.
const cidAny = ^uint32(0)

func hasVsock() bool {
	cid, err := vsock.ContextID()
	return err == nil && cid != cidAny
}

// hostOnly takes connections of the host only: what runs in the machine may not
// even hold a place.
type hostOnly struct{ net.Listener }

func (h hostOnly) Accept() (net.Conn, error) {
	for {
		c, err := h.Listener.Accept()
		if err != nil || fromHost(c) {
			return c, err
		}
		_ = c.Close()
	}
}

func fromHost(c net.Conn) bool {
	a, ok := c.RemoteAddr().(*vsock.Addr)
	return ok && a.ContextID == vsock.Host
}

// listenPorts opens the ports that are the agent's, by the names that the VMM
// gave them. Their device files are root's and can be opened once, so who is at
// the other end is the host.
func listenPorts(sys, dev string, free chan struct{}) ([]net.Listener, error) {
	names, err := filepath.Glob(filepath.Join(sys, "*", "name"))
	if err != nil {
		return nil, fmt.Errorf("list the virtio-serial ports: %w", err)
	}
	var all []net.Listener
	for _, file := range names {
		name := strings.TrimSpace(string(readProc(file)))
		if !portName(name) || len(all) == agentproto.MaxPorts {
			continue
		}
		raw, err := openPort(filepath.Join(dev, filepath.Base(filepath.Dir(file))))
		if err != nil {
			closeListeners(all)
			return nil, fmt.Errorf("open the virtio-serial port %s: %w", name, err)
		}
		host := func(net.Conn) bool { return true }
		all = append(all, &door{Listener: agentproto.GuestPort(raw, name), free: free, allowed: host})
	}
	return all, nil
}

func portName(name string) bool {
	number, ok := strings.CutPrefix(name, agentproto.PortPrefix)
	_, err := strconv.ParseUint(number, 10, 16)
	return ok && err == nil
}

func closeListeners(all []net.Listener) {
	for _, l := range all {
		_ = l.Close()
	}
}
