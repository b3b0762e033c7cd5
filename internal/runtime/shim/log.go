package shim

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

// logLines is how much of a log is kept, in lines of 400 bytes at most.
const logLines = 200

// Log gives the last lines of what Command logs, as a process sees them: proc is
// its directory in /proc. None when there is no log, and for a process that does
// not see the stage, such as a later supervisor: in its place there may be any
// directory of the host.
func (p Plan) Log(proc string) []string {
	mounts, err := os.ReadFile(filepath.Join(proc, "mountinfo"))
	if err != nil || !strings.Contains(string(mounts), " "+p.Stage+" ") || !strings.Contains(string(mounts), " - tmpfs "+stageSource+" ") {
		return nil
	}
	dir, name := proc+"/root"+p.Stage, LogFile
	if p.Jail != nil {
		dir, name = dir+"/"+p.Jail.Root, p.Jail.Log
	}
	if name == "" {
		return nil
	}
	lines, err := tailBeneath(dir, name, logLines)
	if err != nil {
		return nil // it logged nothing
	}
	return lines
}

// keepLog saves the log from the stage, which goes with the supervisor.
func (s *supervisor) keepLog() {
	if lines := s.plan.Log("/proc/self"); len(lines) > 0 {
		// No room: there is nobody to tell.
		_ = os.WriteFile(s.dir.Join(machinedir.RuntimeLog), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
	}
}
