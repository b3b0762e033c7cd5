package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// askLimit is how long an agent may take to answer.
const askLimit = 5 * time.Second

// maxSaid bounds what is kept of an agent's words, in bytes: a guest chose them.
const maxSaid = 200

// Dial connects to a machine's agent.
type Dial = func(context.Context) (net.Conn, error)

// Refused is an agent's answer that was not 2xx.
type Refused struct {
	Status int
	Said   string // one line, bounded
}

func (e *Refused) Error() string { return fmt.Sprintf("its agent answers %d: %q", e.Status, e.Said) }

// AskToEnd asks a machine's agent to end the machine in order. It returns when
// the agent has said that it will.
func AskToEnd(ctx context.Context, spec vitrine.MachineSpec, dial Dial) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	secret, err := Secret(spec)
	if err == nil {
		err = Post(ctx, dial, secret, agentproto.PathShutdown, struct{}{})
	}
	if err != nil {
		return fmt.Errorf("asking machine %s to end: %w", spec.ID, err)
	}
	return nil
}

// Secret is the bearer secret of a machine's agent.
func Secret(spec vitrine.MachineSpec) (string, error) {
	var config struct {
		Secret string `json:"secret"`
	}
	if json.Unmarshal(spec.AgentConfig, &config) != nil { // whose error could quote it
		return "", fmt.Errorf("the config of machine %s is not JSON", spec.ID)
	}
	return config.Secret, nil
}

// Post makes one request to an agent. What it answers is not kept.
func Post(ctx context.Context, dial Dial, secret, path string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	transport := &http.Transport{
		DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://agent"+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, maxSaid))
		return &Refused{resp.StatusCode, strings.Join(strings.Fields(strings.ToValidUTF8(string(said), "?")), " ")}
	}
	return nil
}
