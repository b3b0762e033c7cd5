package container_test

import (
	"os"
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

func TestMain(m *testing.M) {
	runtimetest.Main(factory)
	os.Exit(m.Run())
}

func TestRuntime(t *testing.T) {
	runtimetest.NeedProgram(t, "crun", "apt-get install crun")
	runtimetest.Run(t, factory)
}

func TestDesktop(t *testing.T) { runtimetest.Desktop(t, factory) }
