package vm

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// askLimit is how long an agent may take to say that it was asked to end.
const askLimit = 5 * time.Second

// AskToEnd asks a machine's agent to end the machine in order. It returns when
// the agent has said that it will.
func AskToEnd(ctx context.Context, spec vitrine.MachineSpec, dial func(context.Context) (net.Conn, error)) error {
	var config struct {
		Secret string `json:"secret"`
	}
	if json.Unmarshal(spec.AgentConfig, &config) != nil {
		return fmt.Errorf("asking machine %s to end: its config is not JSON", spec.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	transport := &http.Transport{
		DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://agent"+agentproto.PathShutdown, nil)
	if err != nil {
		return fmt.Errorf("asking machine %s to end: %w", spec.ID, err)
	}
	req.Header.Set("Authorization", "Bearer "+config.Secret)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("asking machine %s to end: %w", spec.ID, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("asking machine %s to end: its agent answers %d", spec.ID, resp.StatusCode)
	}
	return nil
}
