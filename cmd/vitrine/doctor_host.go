package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/internal/host/doctor"
	"github.com/vitrine-dev/vitrine/internal/image"
	"github.com/vitrine-dev/vitrine/internal/session"
)

// checkLimit bounds each check that asks somebody.
const checkLimit = 10 * time.Second

// examination is one run of all checks, by the tool or by the daemon. They
// differ in whom they ask for runtimes, leftovers and what is held.
type examination struct {
	set     settings
	say     func(what string)
	daemon  vitrine.Finding // whether one runs
	running bool
	held    int       // MiB that live sessions hold
	newest  time.Time // the newest time in the store

	runtimes func(ctx context.Context) []vitrine.RuntimeStatus
	audit    func(ctx context.Context) (api.Collection, error)
}

// run runs every check, in the order in which a person would mend them.
func (e *examination) run(ctx context.Context) []vitrine.Finding {
	set := e.set
	e.say("the host")
	all := []vitrine.Finding{
		doctor.User{UID: os.Geteuid()}.Judge(), doctor.ReadKernel(set.DataDir, set.ImageDir).Judge(), doctor.ReadCgroups().Judge(),
		doctor.ReadMemory(set.HostReserveMB, set.BrowserMemoryMB, e.held).Judge(),
	}
	for _, d := range e.disks() {
		all = append(all, d.Judge())
	}
	all = append(all, doctor.ReadClock(set.DataDir, e.newest).Judge(), e.daemon)
	e.say("the ports")
	all = append(all, doctor.ReadPorts(ctx, ports(set), e.running).Judge(), e.turn(ctx))
	all = append(all, e.checkRuntimes(ctx)...)
	e.say("the network")
	all = append(all, e.network(ctx)...)
	e.say("the images")
	all = append(all, checkImages(ctx, set)...)
	e.say("leftovers")
	return append(all, e.leftovers(ctx))
}

func (e *examination) disks() []doctor.Disk {
	const remedy = "`vitrine gc --dry-run`; `vitrine image list`, `vitrine image rm DIGEST`; or move VITRINE_DATA_DIR"
	list := []doctor.Disk{doctor.ReadDisk("data directory", e.set.DataDir, e.set.DiskLowMB, e.set.DiskStopMB, remedy)}
	cache := doctor.ReadDisk("cache directory", e.set.CacheDir, 0, 0, remedy)
	cache.Need = 3000 // the desktop's recipe says so; machines write nothing there
	return append(list, cache)
}

func ports(set settings) []doctor.Port {
	host, _, _ := net.SplitHostPort(set.Listen)
	at := func(port int) string { return net.JoinHostPort(host, fmt.Sprint(port)) }
	list := []doctor.Port{
		{What: "page and API", Network: "tcp", Addr: set.Listen, Setting: "VITRINE_LISTEN"},
		{What: "media", Network: "udp", Addr: at(set.MediaPort), Setting: "VITRINE_MEDIA_PORT"},
		{What: "media", Network: "tcp", Addr: at(set.MediaPort), Setting: "VITRINE_MEDIA_PORT"},
		{What: "TURN", Network: "udp", Addr: at(set.TURNPort), Setting: "VITRINE_TURN_PORT"},
		{What: "TURN", Network: "tcp", Addr: at(set.TURNPort), Setting: "VITRINE_TURN_PORT"},
	}
	if set.SSHPort != 0 {
		list = append(list, doctor.Port{What: "SSH", Network: "tcp", Addr: at(set.SSHPort), Setting: "VITRINE_SSH_PORT"})
	}
	return list
}

// turn asks the relay at each address that viewers are given.
func (e *examination) turn(ctx context.Context) vitrine.Finding {
	host, _, _ := net.SplitHostPort(e.set.Listen)
	own := ownAddresses(e.set.Bridge)
	given := own
	if only, err := netip.ParseAddr(host); err == nil && !only.IsUnspecified() {
		given, own = []netip.Addr{only}, append(own, only)
	}
	if e.set.PublicIP.IsValid() {
		given = []netip.Addr{e.set.PublicIP}
	}
	return doctor.ReadTURN(ctx, host, e.set.TURNPort, given, own, e.running).Judge()
}

// ownAddresses are the IPv4 addresses of this host that a viewer may reach.
func ownAddresses(bridge string) []netip.Addr {
	var list []netip.Addr
	links, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, l := range links {
		addrs, err := l.Addrs()
		if err != nil || l.Name == bridge || l.Flags&net.FlagLoopback != 0 || l.Flags&net.FlagUp == 0 {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && p.Addr().Is4() && !p.Addr().IsLinkLocalUnicast() {
				list = append(list, p.Addr())
			}
		}
	}
	return list
}

func (e *examination) checkRuntimes(ctx context.Context) []vitrine.Finding {
	var all []vitrine.Finding
	picked := ""
	for _, rt := range e.runtimes(ctx) {
		f := vitrine.Finding{Check: "runtime " + rt.Name, Result: vitrine.VerdictPass, Detail: rt.Probe.Reason}
		if rt.Probe.Version != "" {
			f.Detail += " (" + rt.Probe.Version + ")"
		}
		switch {
		case !rt.Probe.OK:
			f.Result, f.Remedy = vitrine.VerdictWarn, rt.Probe.Remedy
			if rt.Name == e.set.Runtime { // the one that was asked for
				f.Result = vitrine.VerdictFail
			}
		case picked == "" && session.ForPeople(rt.Isolation):
			picked = rt.Name
		}
		all = append(all, f)
	}
	f := vitrine.Finding{Check: "automatic pick", Result: vitrine.VerdictPass, Detail: picked + ": the strongest that works here"}
	switch {
	case e.set.Runtime != "auto":
		f.Detail = "VITRINE_RUNTIME is " + e.set.Runtime
	case picked == "":
		f = vitrine.Finding{Check: f.Check, Result: vitrine.VerdictFail, Detail: "no runtime works here", Remedy: "follow the remedies above, for one of them"}
	}
	return append(all, f)
}

// network judges bridge, firewall and subnet apart, and lets the network itself
// try the whole.
func (e *examination) network(ctx context.Context) []vitrine.Finding {
	ctx, cancel := shortContext(ctx)
	defer cancel()
	all := []vitrine.Finding{
		doctor.ReadBridge(e.set.Bridge).Judge(), doctor.ReadNftables(ctx).Judge(), doctor.ReadSubnet(e.set.Subnet, e.set.Bridge).Judge(),
	}
	if doctor.Worst(all) == vitrine.VerdictFail {
		return all // it would fail of the same
	}
	n, err := newInstanceNetwork(e.set)
	if err == nil {
		err = n.Check(ctx)
	}
	if err != nil {
		return append(all, fromError("network", err))
	}
	return append(all, vitrine.Finding{Check: "network", Result: vitrine.VerdictPass, Detail: "the kernel takes this instance's rules, and no other firewall is in the way"})
}

// checkImages holds every image to its manifest, cheaply where nothing changed
// since it was last read whole.
func checkImages(ctx context.Context, set settings) []vitrine.Finding {
	images := image.NewStore(set.ImageDir)
	var all []vitrine.Finding
	if _, err := images.Resolve(ctx, string(vitrine.KindDesktop)); err != nil {
		all = append(all, fromError("image desktop", err))
	}
	list, err := images.List(ctx)
	if err != nil {
		return append(all, fromError("images", err))
	}
	for _, img := range list {
		check := "image " + img.Ref
		if err := images.Verify(ctx, img); err != nil {
			all = append(all, fromError(check, err))
			continue
		}
		all = append(all, vitrine.Finding{Check: check, Result: vitrine.VerdictPass,
			Detail: fmt.Sprintf("%s, %d packages, built %s", shortDigest(img.Digest), len(img.Manifest.Packages), ago(img.Manifest.BuiltAt, time.Now()))})
	}
	damaged, _ := images.Damaged(ctx)
	for _, err := range damaged {
		all = append(all, fromError("images", err))
	}
	return all
}

func (e *examination) leftovers(ctx context.Context) vitrine.Finding {
	ctx, cancel := context.WithTimeout(ctx, 2*checkLimit)
	defer cancel()
	const check = "leftovers"
	c, err := e.audit(ctx)
	switch {
	case err != nil:
		return fromError(check, err)
	case len(c.Blind) > 0:
		return vitrine.Finding{Check: check, Result: vitrine.VerdictWarn, Detail: "could not look at: " + c.Blind[0], Remedy: "vitrine audit"}
	case len(c.Leftovers) > 0:
		first := c.Leftovers[0].Things[0]
		return vitrine.Finding{Check: check, Result: vitrine.VerdictWarn, Remedy: "`vitrine audit`, then `vitrine gc`",
			Detail: fmt.Sprintf("%d, the first: %s %s", len(c.Leftovers), first.Kind, filepath.Base(first.Name))}
	}
	return vitrine.Finding{Check: check, Result: vitrine.VerdictPass, Detail: "everything on this host belongs to a live session"}
}
