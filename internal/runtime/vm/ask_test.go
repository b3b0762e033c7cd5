package vm

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

func TestTheAgentIsAskedWithTheMachinesSecret(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	status, asked := http.StatusAccepted, ""
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.Path + " " + r.Header.Get("Authorization")
		w.WriteHeader(status)
	})}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	dial := func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", l.Addr().String())
	}
	spec := vitrine.MachineSpec{ID: "mch_x", AgentConfig: []byte(`{"secret":"sesame"}`)}
	if err := AskToEnd(t.Context(), spec, dial); err != nil || asked != "POST "+agentproto.PathShutdown+" Bearer sesame" {
		t.Errorf("asked %q, %v", asked, err)
	}
	status = http.StatusForbidden
	if err := AskToEnd(t.Context(), spec, dial); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("an agent that refuses: %v", err)
	}
	gone := errors.New("nobody there")
	if err := AskToEnd(t.Context(), spec, func(context.Context) (net.Conn, error) { return nil, gone }); !errors.Is(err, gone) {
		t.Errorf("an agent that is not there: %v", err)
	}
	spec.AgentConfig = []byte("sesame")
	if err := AskToEnd(t.Context(), spec, dial); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("a config that is none: %v", err)
	}
}
