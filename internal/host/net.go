package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/host/leftover"
)

// netns finds the names of machines' network namespaces, also those to which no
// namespace was bound yet.
func (l *look) netns() error {
	list, err := entries(l.cfg.NetnsDir)
	if err != nil {
		return fmt.Errorf("listing network namespaces: %w", err)
	}
	for _, name := range list {
		id, ok := strings.CutPrefix(name, l.cfg.netnsPrefix())
		if ok && isMachine(id) {
			l.add(vitrine.Thing{Kind: vitrine.ThingNetNS, Name: filepath.Join(l.cfg.NetnsDir, name), Machine: id, Since: idTime(id)})
		}
	}
	return nil
}

// links finds the bridge and the ports. A port that was killed before it got its
// alias is known by its name, a hash: of a machine that we know by another sign,
// or of none.
func (l *look) links() error {
	links, err := netlink.LinkList()
	if err != nil {
		l.blind = append(l.blind, leftover.BlindNetwork)
		return nil
	}
	names := map[string]string{}
	for id := range l.known {
		names[l.cfg.portName(id)] = id
	}
	bridge := 0
	l.ports = map[string]bool{}
	for _, link := range links {
		a := link.Attrs()
		l.anyBridge = l.anyBridge || link.Type() == "bridge" && strings.HasPrefix(a.Alias, "vitrine/")
		if a.Name == l.cfg.Bridge {
			t := vitrine.Thing{Kind: vitrine.ThingBridge, Name: a.Name}
			if link.Type() != "bridge" || a.Alias != l.cfg.bridgeAlias() {
				t.Foreign = fmt.Sprintf("it is a %s without our alias", link.Type())
			} else {
				bridge = a.Index
			}
			l.add(t)
		}
	}
	for _, link := range links {
		a := link.Attrs()
		t := vitrine.Thing{Kind: vitrine.ThingPort, Name: a.Name, Detail: link.Type()}
		id, named := l.portOf(a.Alias)
		switch {
		case named && a.Name == l.cfg.portName(id):
			t.Machine, t.Since = id, idTime(id)
		case portForm.MatchString(a.Name) && strings.HasPrefix(a.Name, l.cfg.portPrefix()) && a.Alias == "" && link.Type() == "veth":
			t.Detail = "veth, half-made: it has no alias"
			if t.Machine = names[a.Name]; t.Machine != "" {
				t.Since = idTime(t.Machine)
			} else if bridge == 0 || a.MasterIndex != bridge {
				// Its prefix is twelve bits of a hash: too little to say whose.
				t.Foreign = "nothing but its name says that it is a port of " + l.cfg.Bridge
			}
		case bridge != 0 && a.MasterIndex == bridge:
			t.Foreign = "it is in the bridge, and not by us"
		default:
			continue
		}
		l.ports[a.Name] = true
		l.add(t)
	}
	return nil
}

// portOf reads the machine from a port's alias.
func (l *look) portOf(alias string) (machine string, ok bool) {
	rest, ok := strings.CutPrefix(alias, l.cfg.bridgeAlias()+"/")
	if !ok {
		return "", false
	}
	machine, _, ok = strings.Cut(rest, "/")
	return machine, ok && isMachine(machine)
}

var errNoNft = errors.New("the program nft is not installed")

// nft asks nft, which needs no JSON library for what we ask.
func nft(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "nft", args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errNoNft
	}
	if err != nil {
		return "", fmt.Errorf("nft %s: %w: %.200s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

// rules finds our tables, and what they allow to ports that have gone.
func (l *look) rules() error {
	tables, err := nft(l.ctx, "list", "tables")
	if err != nil {
		l.blind = append(l.blind, "firewall rules: "+err.Error())
		return nil
	}
	for line := range strings.Lines(tables) {
		f := strings.Fields(line) // table FAMILY NAME
		if len(f) != 3 || f[2] != l.cfg.table() || f[1] != "bridge" && f[1] != "inet" {
			continue
		}
		l.add(vitrine.Thing{Kind: vitrine.ThingRules, Name: f[1] + " " + f[2]})
		if f[1] != "bridge" {
			continue
		}
		set, err := nft(l.ctx, "list", "set", "bridge", f[2], "ports")
		if err != nil {
			continue // a table without its set is rewritten whole by the network
		}
		for _, port := range portForm.FindAllString(set, -1) {
			if strings.HasPrefix(port, l.cfg.portPrefix()) && !l.ports[port] {
				l.add(vitrine.Thing{Kind: vitrine.ThingElement, Name: port, Detail: "in set ports of table bridge " + f[2]})
			}
		}
	}
	return nil
}

// forwarding finds the note of what was switched on, when no bridge of any
// instance is left to need it.
func (l *look) forwarding() error {
	b, err := os.ReadFile(l.cfg.note())
	if err != nil || l.anyBridge {
		return nil
	}
	var note struct {
		Interfaces []string `json:"interfaces"`
	}
	if json.Unmarshal(b, &note) != nil {
		l.add(vitrine.Thing{Kind: vitrine.ThingForwarding, Name: l.cfg.note(), Foreign: "it cannot be read, so what was switched on cannot be told"})
		return nil
	}
	l.add(vitrine.Thing{Kind: vitrine.ThingForwarding, Name: l.cfg.note(), Detail: "forwarding is on for " + strings.Join(note.Interfaces, ", ")})
	return nil
}
