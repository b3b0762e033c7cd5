package gvisor_test

import (
	"os"
	"strings"
	"testing"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/gvisor"
	"github.com/vitrine-dev/vitrine/internal/runtime/runtimetest"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
)

var factory = runtimetest.Factory{WholeMachine: true, New: func(e runtimetest.Env) (vitrine.Runtime, error) {
	return gvisor.New(gvisor.Config{Program: runsc(), Config: supervised.Config{
		BaseDir: e.BaseDir, CgroupParent: e.CgroupParent, AgentPath: e.AgentPath, ShimCommand: e.ShimCommand,
		DiskBytes: e.DiskBytes,
	}})
}}

// runsc is the one that VITRINE_TEST_RUNSC names, the one in the cache that
// `make runsc` fills, or the one on PATH.
func runsc() string {
	cached := "/var/cache/vitrine/bin/runsc"
	if p := os.Getenv("VITRINE_TEST_RUNSC"); p != "" {
		return p
	}
	if _, err := os.Stat(cached); err == nil {
		return cached
	}
	return "runsc"
}

func TestMain(m *testing.M) { runtimetest.Main(m, factory) }

func TestRuntime(t *testing.T) {
	runtimetest.NeedProgram(t, runsc(), "make runsc")
	runtimetest.Run(t, factory)
}

func TestDesktop(t *testing.T) { runtimetest.Desktop(t, factory) }

func TestAMissingProgramIsNamedWithItsRemedy(t *testing.T) {
	rt, err := gvisor.New(gvisor.Config{Program: "no-such-runsc", Config: supervised.Config{
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
