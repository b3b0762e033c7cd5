package container_test

import (
	"strings"
	"testing"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/container"
	"github.com/vitrine-dev/vitrine/internal/runtime/runtimetest"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
)

var factory = runtimetest.Factory{New: func(e runtimetest.Env) (vitrine.Runtime, error) {
	return container.New(container.Config{Config: supervised.Config{
		BaseDir: e.BaseDir, CgroupParent: e.CgroupParent, AgentPath: e.AgentPath, ShimCommand: e.ShimCommand,
		DiskBytes: e.DiskBytes,
	}})
}}

func TestMain(m *testing.M) { runtimetest.Main(m, factory) }

func TestRuntime(t *testing.T) {
	runtimetest.NeedProgram(t, "crun", "apt-get install crun")
	runtimetest.Run(t, factory)
}

func TestDesktop(t *testing.T) { runtimetest.Desktop(t, factory) }

func TestAMissingProgramIsNamedWithItsRemedy(t *testing.T) {
	rt, err := container.New(container.Config{Program: "no-such-crun", Config: supervised.Config{
		BaseDir: t.TempDir(), AgentPath: "/nowhere/agent", ShimCommand: []string{"/proc/self/exe", "shim"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	p := rt.Probe(t.Context())
	if p.OK || p.Remedy == "" || !strings.Contains(p.Reason, "not installed") && !strings.Contains(p.Reason, "is installed") {
		t.Errorf("the probe says %+v", p)
	}
}
