package process_test

import (
	"testing"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/process"
	"github.com/vitrine-dev/vitrine/internal/runtime/runtimetest"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
)

var factory = runtimetest.Factory{Shared: true, New: func(e runtimetest.Env) (vitrine.Runtime, error) {
	return process.New(process.Config{Dev: true, Config: supervised.Config{
		BaseDir: e.BaseDir, CgroupParent: e.CgroupParent, AgentPath: e.AgentPath, ShimCommand: e.ShimCommand,
		DiskBytes: e.DiskBytes,
	}})
}}

func TestMain(m *testing.M) { runtimetest.Main(m, factory) }

func TestRuntime(t *testing.T) { runtimetest.Run(t, factory) }

func TestItIsRefusedWithoutTheDevelopmentFlag(t *testing.T) {
	_, err := process.New(process.Config{})
	if vitrine.ClassOf(err) != vitrine.ClassForbidden {
		t.Errorf("New: %v; want forbidden", err)
	}
}
