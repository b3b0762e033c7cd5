package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/vitrine-dev/vitrine"
)

// Config says whose things are looked for, and who removes what has a maker.
type Config struct {
	Bridge   string // the instance's bridge
	Instance string // its cgroup parent, without the slash
	DataDir  string
	ImageDir string
	TempDir  string // where doctors probe; os.TempDir's
	StateDir string // of the network; "" is /run/vitrine
	NetnsDir string // "" is /run/netns

	// DaemonDown says that no daemon works over the data directory.
	DaemonDown func() bool

	// DeleteMachine deletes by the runtime that made it, and by its directory
	// alone when there is no such runtime here any more.
	DeleteMachine func(ctx context.Context, runtime, id string) error
	// RemoveCgroup kills what is in a cgroup, by its path, and removes it.
	RemoveCgroup func(ctx context.Context, path string) error
	// Detach takes a machine off the network; that of an id that nobody has
	// removes bridge and rules when no machine is attached.
	Detach func(ctx context.Context, id string) error
	// MendRules writes the firewall rules of what is attached anew.
	MendRules func(ctx context.Context) error
}

// Host implements vitrine.Host.
type Host struct{ cfg Config }

var _ vitrine.Host = (*Host)(nil)

// New makes a Host. It touches nothing.
func New(cfg Config) (*Host, error) {
	if cfg.Bridge == "" || cfg.Instance == "" || !filepath.IsAbs(cfg.DataDir) || !filepath.IsAbs(cfg.ImageDir) || !filepath.IsAbs(cfg.TempDir) {
		return nil, errors.New("host: Config lacks Bridge, Instance, DataDir, ImageDir or TempDir")
	}
	if cfg.StateDir == "" {
		cfg.StateDir = "/run/vitrine"
	}
	if cfg.NetnsDir == "" {
		cfg.NetnsDir = "/run/netns"
	}
	return &Host{cfg: cfg}, nil
}

// Things implements vitrine.Host.
func (h *Host) Things(ctx context.Context) ([]vitrine.Thing, []string, error) {
	l := &look{cfg: &h.cfg, ctx: ctx, known: map[string]bool{}, elsewhere: map[string]string{}, spared: map[string]bool{}}
	// Processes before all else: they say which machines are another's.
	for _, step := range []func() error{
		l.probes, l.machines, l.processes, l.cgroups, l.netns, l.links, l.rules, l.forwarding, l.strays, l.loops, l.mounts, l.builds, l.socket,
	} {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if err := step(); err != nil {
			return nil, nil, err
		}
	}
	return l.settled(), l.blind, nil
}

// look is one look at the host.
type look struct {
	cfg    *Config
	ctx    context.Context
	things []vitrine.Thing
	blind  []string

	procs     []process
	ports     map[string]bool   // interfaces of our ports that are there
	anyBridge bool              // a bridge of any instance is there
	known     map[string]bool   // machines that we have seen the name of
	elsewhere map[string]string // machines whose supervisor keeps them in another directory
	spared    map[string]bool   // machines of a doctor that is at work
}

func (l *look) add(t vitrine.Thing) {
	if t.Machine != "" {
		l.known[t.Machine] = true
	}
	l.things = append(l.things, t)
}

// settled drops what a doctor at work has, and marks what is another's.
func (l *look) settled() []vitrine.Thing {
	var out []vitrine.Thing
	for _, t := range l.things {
		if l.spared[t.Machine] {
			continue
		}
		if dir := l.elsewhere[t.Machine]; dir != "" && t.Foreign == "" {
			t.Foreign = "its supervisor keeps it in " + dir
		}
		out = append(out, t)
	}
	return out
}

// The names that things have before they are made.

func (c *Config) machinesDir() string { return filepath.Join(c.DataDir, "machines") }

func (c *Config) netnsPrefix() string { return "vt-" + c.Bridge + "-" }

func (c *Config) portPrefix() string { return "vt" + hash(c.Bridge)[:3] }

func (c *Config) portName(machine string) string {
	return c.portPrefix() + hash(c.Bridge + "/" + machine)[:10]
}

func (c *Config) bridgeAlias() string { return "vitrine/" + c.Bridge }

func (c *Config) table() string { return "vitrine_" + strings.ReplaceAll(c.Bridge, ".", "_") }

const forwardingNote = "network-forwarding.json"

func (c *Config) note() string { return filepath.Join(c.StateDir, forwardingNote) }

const (
	probePrefix = "vitrine-doctor-"
	buildPrefix = ".tmp-"
	socketName  = "vitrine.sock"
	supervisors = "supervisors"
)

var portForm = regexp.MustCompile(`vt[0-9a-f]{13}`)

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func isMachine(name string) bool { return vitrine.ValidID(vitrine.PrefixMachine, name) }

// machineIn finds the machine's id that a path goes through below dir:
// dir/RUNTIME/mch_…/….
func machineIn(dir, path string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(path, dir+"/")
	parts := strings.SplitN(rest, "/", 3)
	if !ok || len(parts) < 2 || !isMachine(parts[1]) {
		return "", false
	}
	return parts[1], true
}
