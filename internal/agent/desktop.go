package agent

import "github.com/vitrine-dev/vitrine/internal/agentproto"

type desktop struct{}

func (d *desktop) env() []string { return nil }
func (d *desktop) health() (string, []agentproto.Program, *agentproto.Problem) {
	return stepAgent, nil, nil
}
