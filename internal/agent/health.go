package agent

import (
	"net/http"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// Steps of a start, as agentproto.Health.Step names them.
const (
	stepAgent   = "agent"
	stepDisplay = "display"
	stepBrowser = "browser"
	stepReady   = "ready"
)

func (s *server) health(w http.ResponseWriter, _ *http.Request) {
	h := agentproto.Health{
		Protocol: agentproto.Version,
		Step:     stepReady,
		Memory:   readMemory(),
		Uptime:   time.Since(s.began).Milliseconds(),
		Programs: []agentproto.Program{},
	}
	h.Address, h.Route = readNetwork()
	if s.desk != nil {
		h.Step, h.Programs, h.Problem = s.desk.health()
	}
	reply(w, http.StatusOK, h)
}
