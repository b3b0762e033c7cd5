package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/vitrine-dev/vitrine"
)

// Port is one that the daemon listens on.
type Port struct {
	What    string // "page and API"
	Network string // tcp or udp
	Addr    string // host:port, host may be empty
	Setting string
	Err     string // why it cannot be taken; "" when it was free
}

// Ports are all of them. Running says that our own daemon holds them.
type Ports struct {
	List    []Port
	Running bool
}

// ReadPorts takes each port for a moment, unless our daemon runs.
func ReadPorts(ctx context.Context, list []Port, running bool) Ports {
	p := Ports{List: list, Running: running}
	if running {
		return p
	}
	var c net.ListenConfig
	for i := range p.List {
		one := &p.List[i]
		if one.Network == "udp" {
			conn, err := c.ListenPacket(ctx, "udp", one.Addr)
			if err != nil {
				one.Err = reason(err)
				continue
			}
			conn.Close()
			continue
		}
		l, err := c.Listen(ctx, "tcp", one.Addr)
		if err != nil {
			one.Err = reason(err)
			continue
		}
		l.Close()
	}
	return p
}

// reason is what the kernel said, without the address that is said already.
func reason(err error) string {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no.Error()
	}
	return err.Error()
}

// Judge wants every port free, or ours.
func (p Ports) Judge() vitrine.Finding {
	const check = "ports"
	if p.Running {
		return pass(check, "held by the running daemon")
	}
	var busy, settings, free []string
	for _, one := range p.List {
		name := fmt.Sprintf("%s/%s", strings.TrimPrefix(one.Addr, ":"), one.Network)
		if one.Err == "" {
			free = append(free, name)
			continue
		}
		busy, settings = append(busy, fmt.Sprintf("%s for %s (%s)", name, one.What, one.Err)), append(settings, one.Setting)
	}
	if len(busy) > 0 {
		return fail(check, "stop what listens there (`ss -lntup`), or set "+strings.Join(unique(settings), ", "), "cannot be had: %s", strings.Join(busy, ", "))
	}
	return pass(check, "free: %s", strings.Join(free, ", "))
}

func unique(list []string) (out []string) {
	seen := map[string]bool{}
	for _, s := range list {
		if !seen[s] {
			seen[s], out = true, append(out, s)
		}
	}
	return out
}
