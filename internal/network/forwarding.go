package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// switched is the note of the interfaces on which we switched forwarding on. It
// is written before the switch, so a kill in between costs nothing.
type switched struct {
	Interfaces []string `json:"interfaces"`
}

func (n *Network) notePath() string { return filepath.Join(n.stateDir, "network-forwarding.json") }

func (n *Network) readNote() switched {
	var s switched
	if text, err := os.ReadFile(n.notePath()); err == nil {
		_ = json.Unmarshal(text, &s) // a damaged note: nothing is switched back
	}
	return s
}

// ensureForwarding lets replies from the way out through to the bridge. The
// kernel asks the interface that a packet comes in by (ip-sysctl,
// conf/interface/forwarding), so where the host forwards nothing it is enough
// to switch on the interfaces of its default routes, and those by which it
// reaches the guests' resolvers.
func (n *Network) ensureForwarding() error {
	out, err := n.waysOut()
	if err != nil {
		return fail("list the routes", err)
	}
	note := n.readNote()
	var off []string
	for _, index := range out {
		link, err := netlink.LinkByIndex(index)
		if err != nil {
			continue // it went away since
		}
		name := link.Attrs().Name
		if name != "lo" && name != n.bridge && sysctl(forwardingKey(name)) == "0" && !slices.Contains(off, name) {
			off = append(off, name)
		}
	}
	if len(off) == 0 {
		return nil
	}
	for _, name := range off {
		if !slices.Contains(note.Interfaces, name) {
			note.Interfaces = append(note.Interfaces, name)
		}
	}
	text, err := json.Marshal(note)
	if err == nil {
		err = os.WriteFile(n.notePath(), append(text, '\n'), 0o644)
	}
	if err != nil {
		return fail("note where forwarding is switched on", err)
	}
	for _, name := range off {
		if err := setSysctl(forwardingKey(name), "1"); err != nil {
			return fail("switch on forwarding", err)
		}
	}
	return nil
}

// waysOut gives the interfaces by which guests' packets leave the host.
func (n *Network) waysOut() ([]int, error) {
	var list []int
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		if r.Dst == nil || r.Dst.IP.IsUnspecified() {
			list = append(list, viaOf(r)...)
		}
	}
	for _, a := range n.resolvers() {
		routes, err := netlink.RouteGet(a.AsSlice())
		if err != nil {
			continue // there is no way to it now; guests will see as much
		}
		for _, r := range routes {
			list = append(list, viaOf(r)...)
		}
	}
	return list, nil
}

// viaOf gives the interfaces of a route, also of one with several hops.
func viaOf(r netlink.Route) []int {
	if r.LinkIndex > 0 {
		return []int{r.LinkIndex}
	}
	var list []int
	for _, hop := range r.MultiPath {
		list = append(list, hop.LinkIndex)
	}
	return list
}

// forwardingKey names an interface's switch. A dot in a name, as VLANs have,
// stays: the path is not sysctl(8)'s dotted form.
func forwardingKey(name string) string { return "ipv4/conf/" + name + "/forwarding" }

// restoreForwarding switches back what we switched on, when no bridge of any
// instance is left.
func (n *Network) restoreForwarding() error {
	note := n.readNote()
	if len(note.Interfaces) == 0 {
		return nil
	}
	links, err := netlink.LinkList()
	if err != nil {
		return fail("list the interfaces", err)
	}
	for _, l := range links {
		if l.Type() == "bridge" && strings.HasPrefix(l.Attrs().Alias, "vitrine/") {
			return nil
		}
	}
	for _, name := range note.Interfaces {
		if err := setSysctl(forwardingKey(name), "0"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fail("switch forwarding back", err)
		}
	}
	if err := os.Remove(n.notePath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail("remove the note of forwarding", fmt.Errorf("%w", err))
	}
	return nil
}
