package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/diagnose"
)

// boot is one start under way. Every step of it may have been done before, by a
// daemon that was killed: it is then done again, and its line stays.
type boot struct {
	w      *worker
	s      *vitrine.Session
	rt     vitrine.Runtime
	lines  map[vitrine.PhaseName]vitrine.Phase // of an earlier daemon
	image  vitrine.Image
	attach vitrine.Attachment
}

// ledgerLimit bounds the write of a line that ends a phase, in a start that is
// itself already over.
const ledgerLimit = 5 * time.Second

// emulationFactor lengthens every deadline of a machine whose processor is
// emulated: a desktop that paints after 4 s elsewhere was measured at 30 to 120 s
// (runtimes.md).
const emulationFactor = 8

// boot starts the machine and waits until it is ready. It gives a failure, or
// the error that kept it from finding out (the context's cause, the store's).
func (w *worker) boot(ctx context.Context, s *vitrine.Session) (*vitrine.Failure, error) {
	b := &boot{w: w, s: s, rt: w.cfg.runtime(s.Runtime), lines: map[vitrine.PhaseName]vitrine.Phase{}}
	if !w.fresh {
		l, err := w.cfg.Store.Ledger(ctx, s.ID)
		if err != nil {
			return nil, err
		}
		for _, p := range l.Phases {
			b.lines[p.Name] = p
		}
	}
	d := w.cfg.Deadlines
	for _, p := range []struct {
		name  vitrine.PhaseName
		limit time.Duration
		do    func(context.Context) (detail string, err error)
	}{
		{vitrine.PhasePlacement, d.Machine, b.place},
		{vitrine.PhaseImage, d.Image, b.findImage},
		{vitrine.PhaseNetwork, d.Network, b.attachNetwork},
		{vitrine.PhaseMachine, d.Machine, b.startMachine},
		{vitrine.PhaseAgent, d.Agent, b.awaitAgent},
		{vitrine.PhaseDisplay, d.Display, b.awaitDisplay},
		{vitrine.PhaseBrowser, d.Browser, b.awaitBrowser},
	} {
		desktop := s.Kind == vitrine.KindDesktop
		if !b.networked() && p.name == vitrine.PhaseNetwork || !desktop && (p.name == vitrine.PhaseDisplay || p.name == vitrine.PhaseBrowser) {
			continue
		}
		if b.rt.Isolation() == vitrine.IsolationEmulatedVM {
			p.limit *= emulationFactor
		}
		if f, err := b.phase(ctx, p.name, p.limit, p.do); f != nil || err != nil {
			return f, err
		}
	}
	w.looked = true
	now := time.Now()
	ready, err := w.update(ctx, func(s *vitrine.Session) { s.State, s.ReadyAt = vitrine.StateReady, now })
	if err == nil {
		w.log.Info("the session is ready", "runtime", s.Runtime, "after", ready.ReadyAt.Sub(s.CreatedAt))
	}
	return nil, err
}

// networked says whether the machine gets a place on the bridge: a runtime that
// isolates nothing runs in the host's own network.
func (b *boot) networked() bool { return b.rt.Isolation() != vitrine.IsolationNone }

// phase runs one phase under its deadline and writes its line.
func (b *boot) phase(ctx context.Context, name vitrine.PhaseName, limit time.Duration, do func(context.Context) (string, error)) (*vitrine.Failure, error) {
	line, before := b.lines[name]
	done := before && line.Outcome == vitrine.OutcomeOK
	if !done {
		if !before {
			line = vitrine.Phase{Name: name, StartedAt: time.Now()}
		}
		line.Outcome, line.Duration, line.Detail = vitrine.OutcomeRunning, 0, ""
		if err := b.w.cfg.Store.PutPhase(ctx, b.s.ID, line); err != nil {
			return nil, err
		}
	}
	pctx, cancel := context.WithTimeout(ctx, limit)
	detail, err := do(pctx)
	late := pctx.Err() != nil
	cancel()
	var failure *vitrine.Failure
	switch {
	case err == nil && done:
		return nil, nil
	case err == nil:
		line.Outcome, line.Detail = vitrine.OutcomeOK, detail
	case ctx.Err() != nil:
		return nil, context.Cause(ctx) // ended by a user, or the daemon stops and the next one goes on here
	case isStoreTrouble(err):
		return nil, err
	default:
		failure = b.w.judgeStart(ctx, b.s, name, err, late, limit)
		line.Outcome, line.Detail, err = vitrine.OutcomeFailed, string(failure.Code)+": "+failure.Message, nil
	}
	line.Duration = time.Since(line.StartedAt)
	wctx, stop := within(ctx, ledgerLimit)
	defer stop()
	if werr := b.w.cfg.Store.PutPhase(wctx, b.s.ID, line); werr != nil && err == nil && failure == nil {
		err = werr
	}
	return failure, err
}

// storeTrouble marks an error of the store inside a phase: not the machine's
// fault, so the phase is tried again.
type storeTrouble struct{ error }

func (e storeTrouble) Unwrap() error { return e.error }

func isStoreTrouble(err error) bool { return errors.As(err, new(storeTrouble)) }

func (b *boot) place(context.Context) (string, error) {
	return fmt.Sprintf("%s (%s) on %s", b.rt.Name(), b.rt.Isolation(), b.w.cfg.Node), nil
}

func (b *boot) findImage(ctx context.Context) (string, error) {
	err := b.w.asks.do(ctx, "finding the image", func(ctx context.Context) (err error) {
		// By digest once it is known: a start never changes its image half-way.
		ref := b.s.Image
		if b.s.ImageDigest != "" {
			ref = b.s.ImageDigest
		}
		img, err := b.w.cfg.Images.Resolve(ctx, ref)
		if err != nil {
			return err
		}
		b.image = img
		return b.w.cfg.Images.Verify(ctx, img)
	})
	if err != nil {
		return "", err
	}
	digest := b.image.Digest
	if _, err := b.w.update(ctx, func(s *vitrine.Session) { s.ImageDigest = digest }); err != nil {
		return "", storeTrouble{err}
	}
	return b.image.Ref + " " + digest[:min(len(digest), 19)], nil
}

func (b *boot) attachNetwork(ctx context.Context) (string, error) {
	err := b.w.makes.do(ctx, "attaching the network", func(ctx context.Context) (err error) {
		b.attach, err = b.w.cfg.Network.Attach(ctx, b.s.MachineID, b.s.Slot, b.s.Address)
		return err
	})
	return b.s.Address.String(), err
}

func (b *boot) startMachine(ctx context.Context) (string, error) {
	detail := fmt.Sprintf("%s, %d vCPU, %d MiB", b.rt.Name(), b.s.VCPU, b.s.MemoryMB)
	if !b.w.fresh {
		running, err := b.earlierMachine(ctx)
		if running || err != nil {
			return detail, err
		}
	}
	agentConfig, err := b.w.cfg.AgentConfig(*b.s, b.attach)
	if err != nil {
		return "", fmt.Errorf("making the agent's configuration: %w", err)
	}
	pids := b.w.cfg.Defaults[b.s.Kind].MaxPIDs
	if pids == 0 {
		pids = defaultMaxPIDs
	}
	spec := vitrine.MachineSpec{
		ID: b.s.MachineID, SessionID: b.s.ID, Slot: b.s.Slot, Kind: b.s.Kind,
		RootFS: b.image.RootFS, ImageDigest: b.image.Digest,
		VCPU: b.s.VCPU, MemoryBytes: int64(b.s.MemoryMB) << 20, MaxPIDs: pids,
		Net: b.attach, AgentConfig: agentConfig,
	}
	err = b.w.makes.do(ctx, "making the machine", func(ctx context.Context) error { return b.rt.Create(ctx, spec) })
	if err == nil {
		err = b.w.makes.do(ctx, "starting the machine", func(ctx context.Context) error { return b.rt.Start(ctx, spec.ID) })
	}
	b.w.applied = b.s.Viewport
	return detail, err
}

// earlierMachine deals with what a daemon before this one had made: a machine
// that runs is taken over, one that was only made may be half-made and is made
// anew, one that has run and is not there any more has failed.
func (b *boot) earlierMachine(ctx context.Context) (running bool, err error) {
	begun := b.lines[vitrine.PhaseMachine].Outcome == vitrine.OutcomeOK
	st, err := b.w.inspect(ctx, b.rt, b.s.MachineID)
	switch {
	case vitrine.ClassOf(err) == vitrine.ClassNotFound && begun:
		b.w.machine.gone = true
		return false, fmt.Errorf("the machine was gone when the daemon came back")
	case vitrine.ClassOf(err) == vitrine.ClassNotFound:
		return false, nil
	case err != nil:
		return false, err
	case st.State == vitrine.MachineRunning:
		b.w.applied = b.s.Viewport
		return true, nil
	case st.State == vitrine.MachineExited && begun:
		b.w.machine.status, b.w.machine.exited = &st, true
		return false, vitrine.ErrMachineExited
	}
	return false, b.w.makes.do(ctx, "removing a half-made machine", func(ctx context.Context) error { return b.rt.Delete(ctx, b.s.MachineID) })
}

// noSpace says whether the host's disk was full: the error itself, or the word of
// a program that prepares a machine (mke2fs).
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || strings.Contains(strings.ToLower(err.Error()), syscall.ENOSPC.Error())
}

// judgeStart names the failure of a phase: the one the error carries, what the
// machine's signs prove, or what the phase was about.
func (w *worker) judgeStart(ctx context.Context, s *vitrine.Session, phase vitrine.PhaseName, err error, late bool, limit time.Duration) *vitrine.Failure {
	f := failureOf(err)
	if full := noSpace(err); full && (f == nil || f.Code == vitrine.FailVMMFailed) {
		f = vitrine.NewFailure(vitrine.FailHostDiskFull, diagnose.Quote(err.Error()), "the host's disk is full")
	}
	if f != nil && f.Code == vitrine.FailVMMFailed {
		// A runtime sees a program that left; why, its memory's limit may know.
		signs := w.gather(ctx, s, phase)
		if signs.Exited = true; signs.Status != nil && signs.Status.OOMKills > 0 {
			if better := diagnose.Diagnose(signs); better != nil && better.Code == vitrine.FailGuestOOM {
				better.Evidence = f.Evidence
				f = better
			}
		}
	}
	if f == nil {
		signs := w.signs(s, phase)
		if slices.Index(vitrine.Phases, phase) >= slices.Index(vitrine.Phases, vitrine.PhaseMachine) {
			signs = w.gather(ctx, s, phase)
		}
		if late {
			signs.Deadline = limit
		}
		f = diagnose.Diagnose(signs)
	}
	if f == nil {
		quote := diagnose.Quote(err.Error())
		switch phase {
		case vitrine.PhaseNetwork:
			f = vitrine.NewFailure(vitrine.FailHostNetworkFailed, quote, "the machine's place on the network could not be made")
		case vitrine.PhaseImage:
			f = vitrine.NewFailure(vitrine.FailImageCorrupt, quote, "the image could not be read")
		default:
			f = vitrine.NewFailure(vitrine.FailVMMFailed, quote, "the machine could not be started")
		}
	}
	named := *f
	if named.Phase = phase; len(named.Evidence) == 0 {
		named.Evidence = diagnose.Quote(err.Error())
	}
	return &named
}
