package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/image"
	"github.com/vitrine-dev/vitrine/internal/network"
)

// checkCgroups looks for the controllers that limits need, in either version.
func checkCgroups() finding {
	have := map[string]string{}
	if b, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		for _, c := range strings.Fields(string(b)) {
			have[c] = "v2"
		}
	}
	for _, c := range []string{"memory", "cpu", "pids"} {
		if _, err := os.Stat(filepath.Join("/sys/fs/cgroup", c, "cgroup.procs")); err == nil {
			have[c] = "v1"
		}
	}
	var found, missing []string
	for _, c := range []string{"memory", "cpu", "pids"} {
		if v, ok := have[c]; ok {
			found = append(found, c+" "+v)
		} else {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		return finding{Check: "cgroups", Result: fail, Detail: "no controller for " + strings.Join(missing, ", "),
			Remedy: "boot with cgroup_enable=memory, or mount cgroup2 on /sys/fs/cgroup"}
	}
	return finding{Check: "cgroups", Result: pass, Detail: strings.Join(found, ", ")}
}

// The least free space: a desktop image and its build need about 3 GB; under
// 1 GB databases and overlays begin to fail.
const (
	diskWarnMB = 5 << 10
	diskFailMB = 1 << 10
)

func checkDisk(name, dir string) finding {
	at := dir
	for {
		if _, err := os.Stat(at); err == nil || at == "/" {
			break
		}
		at = filepath.Dir(at)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		return finding{Check: name, Result: fail, Detail: fmt.Sprintf("%s: %v", dir, err), Remedy: "set another directory"}
	}
	freeMB := int(st.Bavail * uint64(st.Bsize) >> 20)
	f := finding{Check: name, Result: pass, Detail: fmt.Sprintf("%s, %d MB free", dir, freeMB)}
	switch {
	case freeMB < diskFailMB:
		f.Result, f.Remedy = fail, "free space: vitrine image list, vitrine image rm DIGEST"
	case freeMB < diskWarnMB:
		f.Result, f.Remedy = warn, "an image and its build need about 3000 MB"
	}
	return f
}

// runningDaemon says whether a daemon works over this data directory.
func runningDaemon(ctx context.Context, set settings) finding {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	api, err := (&remote{dataDir: set.DataDir}).client(ctx)
	if err != nil {
		return finding{Check: "daemon", Result: warn, Detail: "none is running over " + set.DataDir, Remedy: "vitrine serve"}
	}
	h, err := api.Health(ctx)
	if err != nil {
		return fromError("daemon", err)
	}
	f := finding{Check: "daemon", Result: pass, Detail: "running, version " + h.Version}
	var bad []string
	for _, c := range h.Checks {
		if !c.OK {
			bad = append(bad, c.Name+": "+c.Message)
		}
	}
	if len(bad) > 0 {
		f.Result, f.Detail, f.Remedy = fail, "running, but "+strings.Join(bad, "; "), "see its log"
	}
	if h.Version != version {
		f.Detail += "; this program is " + version
	}
	return f
}

// checkPorts tries to take each port for a moment, unless our daemon holds it.
func checkPorts(set settings, running bool) []finding {
	host, port, _ := net.SplitHostPort(set.Listen)
	ports := []struct{ name, network, addr string }{
		{"page and API", "tcp", net.JoinHostPort(host, port)},
		{"media", "udp", net.JoinHostPort(host, fmt.Sprint(set.MediaPort))},
		{"media", "tcp", net.JoinHostPort(host, fmt.Sprint(set.MediaPort))},
		{"TURN", "udp", net.JoinHostPort(host, fmt.Sprint(set.TURNPort))},
		{"TURN", "tcp", net.JoinHostPort(host, fmt.Sprint(set.TURNPort))},
	}
	if set.SSHPort != 0 {
		ports = append(ports, struct{ name, network, addr string }{"SSH", "tcp", net.JoinHostPort(host, fmt.Sprint(set.SSHPort))})
	}
	var busy []string
	for _, p := range ports {
		var err error
		if p.network == "udp" {
			var c net.PacketConn
			if c, err = net.ListenPacket("udp", p.addr); err == nil {
				c.Close()
			}
		} else {
			var l net.Listener
			if l, err = net.Listen("tcp", p.addr); err == nil {
				l.Close()
			}
		}
		if err != nil {
			busy = append(busy, fmt.Sprintf("%s %s (%s)", p.network, p.addr, p.name))
		}
	}
	switch {
	case running:
		return []finding{{Check: "ports", Result: pass, Detail: "held by the running daemon"}}
	case len(busy) > 0:
		return []finding{{Check: "ports", Result: fail, Detail: "in use: " + strings.Join(busy, ", "),
			Remedy: "stop what listens there (ss -lntup), or set VITRINE_LISTEN, VITRINE_MEDIA_PORT, VITRINE_TURN_PORT, VITRINE_SSH_PORT"}}
	}
	detail := fmt.Sprintf("%s, %d and %d are free", set.Listen, set.MediaPort, set.TURNPort)
	if set.SSHPort != 0 {
		detail = fmt.Sprintf("%s, %d, %d and %d are free", set.Listen, set.MediaPort, set.TURNPort, set.SSHPort)
	}
	return []finding{{Check: "ports", Result: pass, Detail: detail}}
}

func checkNetwork(ctx context.Context, set settings) finding {
	pool, err := newPool(set.Subnet)
	if err == nil {
		var n *network.Network
		if n, err = network.New(network.Config{Bridge: set.Bridge, Pool: pool, DNS: set.DNS}); err == nil {
			err = n.Check(ctx)
		}
	}
	if err != nil {
		return fromError("network", err)
	}
	return finding{Check: "network", Result: pass, Detail: fmt.Sprintf("bridge %s, %s: can be made", set.Bridge, set.Subnet)}
}

// checkImage holds the desktop image to its manifest, cheaply where nothing
// changed since it was last read whole.
func checkImage(ctx context.Context, set settings) finding {
	images := image.NewStore(set.ImageDir)
	img, err := images.Resolve(ctx, string(vitrine.KindDesktop))
	if err == nil {
		err = images.Verify(ctx, img)
	}
	if err != nil {
		return fromError("desktop image", err)
	}
	return finding{Check: "desktop image", Result: pass,
		Detail: fmt.Sprintf("%s, %d packages, built %s", shortDigest(img.Digest), len(img.Manifest.Packages), ago(img.Manifest.BuiltAt, time.Now()))}
}
