package network

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/vitrine-dev/vitrine"
)

// Config says where machines are attached.
type Config struct {
	// Bridge is the bridge's name: a letter, then letters, digits, dots and
	// underscores, at most 15 bytes (IFNAMSIZ). Two instances on one host need
	// two bridges and two subnets.
	Bridge string
	// Pool is the bridge's subnet.
	Pool vitrine.AddressPool
	// DNS are the resolvers that guests are given, reachable on port 53 even
	// where their address is a private one. Empty: those of /etc/resolv.conf
	// that a guest can reach, or public ones.
	DNS []netip.Addr
	// StateDir holds the lock and the note of what was switched on; "" is
	// /run/vitrine. All instances of a host share it.
	StateDir string
}

// Network implements vitrine.Network on Linux.
type Network struct {
	bridge   string
	pool     vitrine.AddressPool
	dns      []netip.Addr
	stateDir string

	mu    sync.Mutex // one change at a time in this process; flock among processes
	fresh bool       // the tables were written whole by this process
}

var _ vitrine.Network = (*Network)(nil)

const (
	netnsDir = "/run/netns"
	// Device is the interface's name in every machine.
	Device = "eth0"
	// maxDNS is how many resolvers resolv.conf(5) takes.
	maxDNS = 3
)

var (
	bridgeForm  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]{0,14}$`)
	machineForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$`)
)

// New checks the configuration. It changes nothing on the host.
func New(c Config) (*Network, error) {
	if !bridgeForm.MatchString(c.Bridge) {
		return nil, fmt.Errorf("%q cannot be a bridge's name: a letter, then letters, digits, dots and underscores, 15 at most", c.Bridge)
	}
	pool, err := vitrine.NewAddressPool(c.Pool.Subnet)
	if err != nil {
		return nil, err
	}
	if len(c.DNS) > maxDNS {
		return nil, fmt.Errorf("%d resolvers are given, %d are possible", len(c.DNS), maxDNS)
	}
	for _, a := range c.DNS {
		if !a.Is4() || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() {
			return nil, fmt.Errorf("%s cannot be a guest's resolver: it takes an IPv4 address that is not this host's loopback", a)
		}
	}
	if c.StateDir == "" {
		c.StateDir = "/run/vitrine"
	}
	return &Network{bridge: c.Bridge, pool: pool, dns: c.DNS, stateDir: c.StateDir}, nil
}

// The names of what belongs to a bridge and to a machine. Interface names have
// 15 bytes, so those of ports are hashes; the alias says whose they are.

func (n *Network) table() string { return "vitrine_" + strings.ReplaceAll(n.bridge, ".", "_") }

func (n *Network) bridgeAlias() string { return "vitrine/" + n.bridge }

// portPrefix begins the names of all ports of this bridge and of no other.
func (n *Network) portPrefix() string { return "vt" + hash(n.bridge)[:3] }

func (n *Network) portName(machineID string) string {
	return n.portPrefix() + hash(n.bridge + "/" + machineID)[:10]
}

func (n *Network) portAlias(machineID string, addr netip.Addr) string {
	return n.bridgeAlias() + "/" + machineID + "/" + addr.String()
}

// parsePortAlias is portAlias backwards; ok is false for any other alias.
func (n *Network) parsePortAlias(alias string) (machineID string, addr netip.Addr, ok bool) {
	rest, ok := strings.CutPrefix(alias, n.bridgeAlias()+"/")
	if !ok {
		return "", netip.Addr{}, false
	}
	machineID, text, ok := strings.Cut(rest, "/")
	if !ok || !machineForm.MatchString(machineID) {
		return "", netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(text)
	return machineID, addr, err == nil && addr.Is4()
}

func (n *Network) netnsPrefix() string { return "vt-" + n.bridge + "-" }

func (n *Network) netnsPath(machineID string) string {
	return filepath.Join(netnsDir, n.netnsPrefix()+machineID)
}

// macOf is a locally administered address (IEEE 802, second-lowest bit of the
// first byte) that follows from the IPv4 address, so it never changes for one.
func macOf(addr netip.Addr) net.HardwareAddr {
	b := addr.As4()
	return net.HardwareAddr{0x02, 0xfc, b[0], b[1], b[2], b[3]}
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
