package network

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// Check says whether machines can be attached here. It changes nothing: it
// looks for the rights, the program, a clash of name or subnet, and a foreign
// firewall that would drop what guests send.
func (n *Network) Check(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return fail("make interfaces", unix.EPERM)
	}
	if _, err := exec.LookPath("nft"); err != nil {
		return fail("write firewall rules", errNoNft)
	}
	link, err := n.findBridge()
	if err != nil {
		return err
	}
	if link == nil {
		if err := n.checkSubnet(); err != nil {
			return err
		}
	}
	// "-c" checks a script against the kernel and applies nothing.
	if _, err := runNft(ctx, n.fullScript(nil, n.resolvers()), "-c", "-f", "-"); err != nil {
		return fail("write firewall rules", err)
	}
	return n.checkForeign(ctx)
}

// checkForeign looks for a table of somebody else's that drops forwarded
// packets unless it knows them, as Docker's does: an accept of ours does not
// overrule it.
func (n *Network) checkForeign(ctx context.Context) error {
	rules, err := runNft(ctx, "", "list", "ruleset")
	if err != nil {
		return nil // what cannot be listed cannot be judged
	}
	for _, table := range strings.Split(rules, "\ntable ") {
		table = strings.TrimPrefix(table, "table ")
		name, body, _ := strings.Cut(table, "{")
		name = strings.TrimSpace(name)
		if strings.HasSuffix(name, " "+n.table()) || strings.Contains(body, `"`+n.bridge+`"`) {
			continue
		}
		for _, line := range strings.Split(body, "\n") {
			if strings.Contains(line, "hook forward") && strings.Contains(line, "policy drop") && !strings.HasPrefix(name, "bridge ") && !strings.HasPrefix(name, "ip6 ") {
				chain := "FORWARD"
				if strings.Contains(body, "chain DOCKER-USER") {
					chain = "DOCKER-USER"
				}
				return clash("iptables -I "+chain+" -i "+n.bridge+" -j ACCEPT && iptables -I "+chain+" -o "+n.bridge+" -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
					"the firewall table %q drops everything it forwards unless a rule lets it through, and has none for %s", name, n.bridge)
			}
		}
	}
	return nil
}

// Repair writes the bridge's rules anew if somebody removed them, as a reload
// of the host's firewall does. It does nothing while no machine is attached.
// Callers run it now and then.
func (n *Network) Repair(ctx context.Context) error {
	unlock, err := n.lock(ctx)
	if err != nil {
		return fail("lock the network", err)
	}
	defer unlock()
	ids, err := n.machines()
	if err != nil || len(ids) == 0 {
		return err
	}
	link, err := n.findBridge()
	if err != nil || link == nil {
		return err
	}
	return errors.Join(n.applyRules(ctx), n.setupBridge(link))
}
