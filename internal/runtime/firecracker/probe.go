package firecracker

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker/tiny"
	"github.com/vitrine-dev/vitrine/internal/runtime/kvm"
)

// Probe implements vitrine.Runtime: it looks at the programs, times a guest of
// KVM, and boots the tiny guest in a jailed Firecracker.
func (r *Runtime) Probe(ctx context.Context) vitrine.Probe {
	program, jailer, err := r.driver.find()
	if err != nil {
		return refused(err)
	}
	v, err := r.driver.versions.check(ctx, program, jailer)
	if err != nil {
		return refused(err)
	}
	seen, err := kvm.ProbeFloor(ctx, r.driver.cfg.KVM, r.driver.cfg.Floor)
	if err != nil {
		p := refused(err)
		p.Version, p.Took = v.String(), seen.Took
		return p
	}
	p := r.ProbeMachine(ctx, "Firecracker "+v.String())
	p.Version = v.String()
	if !p.OK && p.Remedy == "" {
		p.Remedy = "run `vitrine doctor`; another runtime can be chosen with VITRINE_RUNTIME=gvisor"
	}
	return p
}

// refused is a probe's answer in the words of an error.
func refused(err error) vitrine.Probe {
	var e *vitrine.Error
	if errors.As(err, &e) {
		p := vitrine.Probe{Reason: e.Message, Remedy: e.Remedy}
		if e.Failure != nil {
			p.Code = e.Failure.Code
		}
		return p
	}
	return vitrine.Probe{Reason: err.Error()}
}

// Proved implements supervised.Prover: a VMM that leaves with 0 has not
// necessarily run anything.
func (d *driver) Proved(console []byte) error {
	if !bytes.Contains(console, []byte(tiny.Up)) {
		return fmt.Errorf("the test machine ended well but its guest said %.100q", console)
	}
	return nil
}
