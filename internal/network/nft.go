package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
)

var errNoNft = errors.New("the program nft is not installed")

// nftError is what nft said.
type nftError struct {
	said string
	err  error
}

func (e *nftError) Error() string { return fmt.Sprintf("nft: %v: %s", e.err, e.said) }
func (e *nftError) Unwrap() error { return e.err }

// runNft applies a script; nft makes it one transaction (nft(8), "-f").
func runNft(ctx context.Context, script string, args ...string) (string, error) {
	if len(args) == 0 {
		args = []string{"-f", "-"}
	}
	cmd := exec.CommandContext(ctx, "nft", args...)
	cmd.Stdin = strings.NewReader(script)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", errNoNft
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		said := strings.TrimSpace(errs.String())
		if line, _, _ := strings.Cut(said, "\n"); line != "" {
			said = line
		}
		return "", &nftError{said, err}
	}
	return out.String(), nil
}

// closed are the ranges that no guest reaches: this host's surroundings, and
// what is nobody's (RFC 6890, IANA's special-purpose registry).
var closed = []string{
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
	"172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"224.0.0.0/4", "240.0.0.0/4",
}

// member is what one machine may send as.
type member struct {
	port string
	addr netip.Addr
}

// elements is the content of the set of ports, " elements = { … }" or nothing.
func elements(members []member) string {
	if len(members) == 0 {
		return ""
	}
	list := make([]string, len(members))
	for i, m := range members {
		list[i] = fmt.Sprintf("%q . %s . %s", m.port, macOf(m.addr), m.addr)
	}
	return "{ " + strings.Join(list, ", ") + " }"
}

// updateScript replaces the members of tables that are there; it fails, and
// changes nothing, when either table has gone.
func (n *Network) updateScript(members []member) string {
	t := n.table()
	script := fmt.Sprintf("flush chain inet %s probe\nflush set bridge %s ports\n", t, t)
	if e := elements(members); e != "" {
		script += fmt.Sprintf("add element bridge %s ports %s\n", t, e)
	}
	return script
}

// fullScript replaces both tables whole.
func (n *Network) fullScript(members []member, dns []netip.Addr) string {
	have := ""
	if e := elements(members); e != "" {
		have = "elements = " + e
	}
	resolvers := make([]string, len(dns))
	for i, a := range dns {
		resolvers[i] = a.String()
	}
	r := strings.NewReplacer(
		"$table", n.table(), "$bridge", n.bridge, "$prefix", n.portPrefix(), "$subnet", n.pool.Subnet.String(),
		"$members", have, "$resolvers", strings.Join(resolvers, ", "), "$closed", strings.Join(closed, ", "))
	return r.Replace(ruleset)
}

// dropScript removes both tables, whether or not they are there: "add" makes a
// missing one so that "delete" cannot fail.
func (n *Network) dropScript() string {
	return strings.NewReplacer("$table", n.table()).Replace(
		"add table bridge $table\ndelete table bridge $table\nadd table inet $table\ndelete table inet $table\n")
}

// ruleset is both tables. The bridge family sees each frame before the bridge
// does; its priority is that of filters there (nft(8)). Where something else on
// the host also filters, both must let a packet through: an accept here ends
// this table's chain only. The inet chains come before those of others, so that
// their accept does not matter and their counters stay true.
//
// "probe" is empty; updateScript touches it to learn whether the table is there.
const ruleset = `add table bridge $table
delete table bridge $table
add table inet $table
delete table inet $table
table bridge $table {
	set ports {
		type ifname . ether_addr . ipv4_addr
		$members
	}
	chain prerouting {
		type filter hook prerouting priority -200; policy accept;
		iifname != "$prefix*" accept
		ether type != { ip, arp } counter drop
		ether type ip iifname . ether saddr . ip saddr @ports accept
		ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 iifname . ether saddr . arp saddr ip @ports iifname . arp saddr ether . arp saddr ip @ports accept
		counter drop
	}
}
table inet $table {
	set resolvers {
		type ipv4_addr
		elements = { $resolvers }
	}
	set closed {
		type ipv4_addr
		flags interval
		elements = { $closed }
	}
	chain probe {
	}
	chain input {
		type filter hook input priority -10; policy accept;
		iifname != "$bridge" accept
		ct state established accept
		ip daddr @resolvers meta l4proto { tcp, udp } th dport 53 accept
		counter drop
	}
	chain forward {
		type filter hook forward priority -10; policy accept;
		oifname "$bridge" iifname != "$bridge" ct state established,related accept
		oifname "$bridge" counter drop
		iifname != "$bridge" accept
		meta nfproto != ipv4 counter drop
		ip saddr != $subnet counter drop
		ct state invalid counter drop
		tcp flags syn tcp option maxseg size set rt mtu
		ip daddr @resolvers meta l4proto { tcp, udp } th dport 53 accept
		ip daddr @closed counter drop
	}
	chain postrouting {
		type nat hook postrouting priority 100; policy accept;
		ip saddr $subnet oifname != "$bridge" masquerade
	}
}
`

// applyRules makes the tables fit the machines that the kernel has.
func (n *Network) applyRules(ctx context.Context) error {
	ports, err := n.ports()
	if err != nil {
		return err
	}
	members := make([]member, 0, len(ports))
	for _, p := range ports {
		members = append(members, member{p.link.Attrs().Name, p.addr})
	}
	if n.fresh {
		if _, err := runNft(ctx, n.updateScript(members)); err == nil || ctx.Err() != nil {
			return err
		}
		// Somebody flushed the host's rules: write ours anew.
	}
	if _, err := runNft(ctx, n.fullScript(members, n.resolvers())); err != nil {
		return fail("write the firewall rules of "+n.bridge, err)
	}
	n.fresh = true
	return nil
}
