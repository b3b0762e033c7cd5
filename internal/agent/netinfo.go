package agent

import (
	"bytes"
	"net"
	"strconv"
	"strings"
)

// Flags of a route (linux/route.h) as /proc/net/route shows them.
const (
	routeUp      = 0x1
	routeGateway = 0x2
)

// readNetwork gives the machine's own view: its first address that is not
// loopback's, as CIDR, and whether there is a default route.
func readNetwork() (address string, route bool) {
	return ownAddress(), hasDefaultRoute(readProc("/proc/net/route"))
}

func ownAddress() string {
	interfaces, err := net.Interfaces()
	if err != nil {
		return ""
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback != 0 || i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
				return n.String()
			}
		}
	}
	return ""
}

// hasDefaultRoute reads /proc/net/route: a header, then interface, destination,
// gateway, flags, …, mask, all in hexadecimal.
func hasDefaultRoute(table []byte) bool {
	for line := range bytes.Lines(table) {
		f := strings.Fields(string(line))
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		flags, err := strconv.ParseUint(f[3], 16, 32)
		if err == nil && flags&routeUp != 0 && flags&routeGateway != 0 {
			return true
		}
	}
	return false
}
