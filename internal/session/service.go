package session

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Service is the vitrine.Sessions of one host.
type Service struct {
	cfg    Config
	probes *probes
	uses   *uses
	rec    *reconciler
	sweep  *Sweeper
	asks   calls // consoles that are read for callers
}

var _ vitrine.Sessions = (*Service)(nil)

// New makes a service. It does nothing until Run, but takes wishes.
func New(cfg Config) (*Service, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, uses: &uses{}}
	s.probes = &probes{cfg: &s.cfg}
	s.rec = newReconciler(&s.cfg, s.uses)
	s.sweep = NewSweeper(SweepConfig{
		Store: s.cfg.Store, Runtimes: s.cfg.Runtimes, Network: s.cfg.Network, Host: s.cfg.Host,
		BootID: s.cfg.BootID, AgeGuard: s.cfg.AgeGuard, Daemon: true, Log: s.cfg.Log,
	})
	return s, nil
}

// Run makes what is wanted so until ctx is done: it adopts what an earlier
// daemon has left running, goes on with its starts and its teardowns, and
// removes what belongs to no session. When ctx is done it leaves machines as
// they are, for the next one. It may be called once.
func (s *Service) Run(ctx context.Context) error {
	s.probes.ask()
	s.rec.begin(ctx)
	live, err := s.cfg.Store.Unsettled(ctx)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("reading what sessions there are: %w", err)
	}
	for _, one := range live {
		s.rec.kick(one.ID)
	}
	var others sync.WaitGroup
	others.Go(func() { s.sweeping(ctx) })
	others.Go(func() { s.guardDisk(ctx) })
	<-ctx.Done()
	others.Go(func() { s.probes.stop(shutdownLimit) })
	s.rec.wait()
	others.Wait()
	return nil
}

// Create checks the wish, reserves what it needs and gives the pending session.
// It waits for nothing but the store, and at the daemon's start for the probes.
func (s *Service) Create(ctx context.Context, n vitrine.NewSession) (vitrine.Session, bool, error) {
	if err := s.cfg.fill(&n); err != nil {
		return vitrine.Session{}, false, err
	}
	if err := checkFields(&n); err != nil {
		return vitrine.Session{}, false, err
	}
	img, err := s.image(ctx, &n)
	if err != nil {
		return vitrine.Session{}, false, err
	}
	if err := checkKind(&n, img); err != nil {
		return vitrine.Session{}, false, err
	}
	// Before the runtimes' say: on a full disk none of them works.
	if s.cfg.Admit != nil {
		if err := s.cfg.Admit(ctx); err != nil {
			if f := failureOf(err); f != nil {
				return vitrine.Session{}, false, f.AsError()
			}
			return vitrine.Session{}, false, err
		}
	}
	rt, err := s.probes.pick(ctx, n.Runtime, n.MinIsolation)
	if err != nil {
		return vitrine.Session{}, false, err
	}
	if err := s.cfg.checkMemory(&n, img, rt.Name()); err != nil {
		return vitrine.Session{}, false, err
	}
	now := time.Now()
	one := vitrine.Session{
		ID: n.ID, CreatedAt: now, Kind: n.Kind, UserID: n.UserID, Image: n.Image,
		Runtime: rt.Name(), Isolation: rt.Isolation(), MinIsolation: n.MinIsolation,
		VCPU: n.VCPU, MemoryMB: n.MemoryMB, Viewport: n.Viewport, StartURL: n.StartURL,
		Timeout: n.Timeout, IdleTimeout: n.IdleTimeout, Metadata: n.Metadata,
		Desired: vitrine.DesiredRunning, State: vitrine.StatePending,
		MachineID: vitrine.NewID(vitrine.PrefixMachine, now),
	}
	if r, ok := rt.(vitrine.Overheader); ok {
		one.OverheadBytes = r.Overhead(int64(n.MemoryMB) << 20)
	}
	var until time.Time
	if n.Queue > 0 {
		until = now.Add(n.Queue)
	}
	if one.ID == "" {
		one.ID = vitrine.NewID(vitrine.PrefixSession, now)
	}
	made, created, err := s.cfg.Store.CreateSession(ctx, vitrine.CreateSession{
		Session: one, IdempotencyKey: n.IdempotencyKey, RequestHash: n.RequestHash,
		Capacity: s.cfg.Capacity, Addresses: s.cfg.Pool, QueueUntil: until,
	})
	if err != nil {
		return vitrine.Session{}, false, err
	}
	s.rec.kick(made.ID)
	return made, created, nil
}

// image finds the image of a wish. That the default is missing is the host's
// fault; that one of the caller's naming is, is the caller's.
func (s *Service) image(ctx context.Context, n *vitrine.NewSession) (vitrine.Image, error) {
	img, err := s.cfg.Images.Resolve(ctx, n.Image)
	if err == nil {
		return img, nil
	}
	f := failureOf(err)
	if f == nil {
		return vitrine.Image{}, fmt.Errorf("finding the image %q: %w", n.Image, err)
	}
	if f.Code != vitrine.FailImageMissing || n.Image == s.cfg.Defaults[n.Kind].Image {
		return vitrine.Image{}, f.AsError()
	}
	known := "an image that is built (there is none)"
	if list, err := s.cfg.Images.List(ctx); err == nil && len(list) > 0 {
		known = ""
		for i, img := range list {
			if i > 0 {
				known += ", "
			}
			known += img.Ref
		}
	}
	return vitrine.Image{}, wrong("unknown_image", "image", n.Image, known)
}

// Get gives one session.
func (s *Service) Get(ctx context.Context, id string) (vitrine.Session, error) {
	return s.cfg.Store.Session(ctx, id)
}

// List gives one page of sessions and the cursor of the next.
func (s *Service) List(ctx context.Context, f vitrine.SessionFilter) ([]vitrine.Session, string, error) {
	if f.Limit < 0 || f.Limit > 500 {
		return nil, "", wrongNumber("invalid_limit", "limit", f.Limit, 1, 500)
	}
	return s.cfg.Store.Sessions(ctx, f)
}

// Patch changes what may be changed of a session that is not over.
func (s *Service) Patch(ctx context.Context, id string, p vitrine.SessionPatch) (vitrine.Session, error) {
	if err := checkPatch(p); err != nil {
		return vitrine.Session{}, err
	}
	one, err := s.cfg.Store.WishSession(ctx, id, time.Now(), func(x *vitrine.Session) error {
		if x.State.Over() || x.Desired == vitrine.DesiredEnded {
			return over(id, x.State)
		}
		if p.Viewport != nil {
			x.Viewport = *p.Viewport
		}
		if p.Timeout != nil {
			x.Timeout = *p.Timeout
		}
		if p.IdleTimeout != nil {
			x.IdleTimeout = *p.IdleTimeout
		}
		if p.Metadata != nil {
			x.Metadata = maps.Clone(p.Metadata)
		}
		return nil
	})
	if err == nil {
		s.rec.kick(id)
	}
	return one, err
}

func checkPatch(p vitrine.SessionPatch) error {
	if p.Viewport != nil {
		if err := checkViewport(*p.Viewport); err != nil {
			return err
		}
	}
	if p.Timeout != nil {
		if err := checkTimeout("invalid_timeout", "timeout_seconds", *p.Timeout); err != nil {
			return err
		}
	}
	if p.IdleTimeout != nil {
		if err := checkTimeout("invalid_idle_timeout", "idle_timeout_seconds", *p.IdleTimeout); err != nil {
			return err
		}
	}
	return checkMetadata(p.Metadata)
}

func over(id string, state vitrine.State) error {
	return vitrine.Errorf(vitrine.ClassConflict, "session_over", "session %s is over or ending (%s)", id, state).
		WithRemedy("start a new session")
}

// Delete wishes the session ended.
func (s *Service) Delete(ctx context.Context, id string) (vitrine.Session, error) {
	one, err := s.cfg.Store.WishSession(ctx, id, time.Now(), func(x *vitrine.Session) error {
		if !x.State.Over() && x.Desired != vitrine.DesiredEnded {
			x.Desired, x.StopReason = vitrine.DesiredEnded, vitrine.EndedByUser
		}
		return nil
	})
	if err == nil && !one.Released {
		s.rec.kick(id)
	}
	return one, err
}

// WaitSettled blocks until the session is ready or over.
func (s *Service) WaitSettled(ctx context.Context, id string) (vitrine.Session, error) {
	return s.await(ctx, id, func(x *vitrine.Session) bool { return x.State == vitrine.StateReady || x.State.Over() })
}

// WaitReleased blocks until nothing of the session is left.
func (s *Service) WaitReleased(ctx context.Context, id string) (vitrine.Session, error) {
	return s.await(ctx, id, func(x *vitrine.Session) bool { return x.Released })
}

func (s *Service) await(ctx context.Context, id string, enough func(*vitrine.Session) bool) (vitrine.Session, error) {
	for {
		changed := s.cfg.Store.Changed() // before the look, so that no change falls between
		one, err := s.cfg.Store.Session(ctx, id)
		if err != nil || enough(&one) {
			return one, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return one, vitrine.Errorf(vitrine.ClassTimeout, "still_waiting", "session %s is %s", id, one.State).
				WithRemedy("ask again: GET /v1/sessions/%s", id).WithCause(ctx.Err())
		}
	}
}

// Agent gives the hold on a ready session's agent.
func (s *Service) Agent(ctx context.Context, id string) (vitrine.Agent, error) {
	one, err := s.cfg.Store.Session(ctx, id)
	if err != nil {
		return nil, err
	}
	switch one.State {
	case vitrine.StateReady:
	case vitrine.StatePending, vitrine.StateStarting:
		return nil, vitrine.Errorf(vitrine.ClassConflict, "not_ready", "session %s is still %s", id, one.State).
			WithRemedy("wait until it is ready: GET /v1/sessions/%s/events", id)
	default:
		return nil, over(id, one.State)
	}
	rt := s.cfg.runtime(one.Runtime)
	if rt == nil {
		return nil, over(id, one.State)
	}
	return s.cfg.NewAgent(rt, one.MachineID), nil
}

// Ledger gives the boot ledger, also of a session that is over.
func (s *Service) Ledger(ctx context.Context, id string) (vitrine.Ledger, error) {
	return s.cfg.Store.Ledger(ctx, id)
}

// Console gives the last of the machine's console: live, or as it was saved; none
// when there never was one.
func (s *Service) Console(ctx context.Context, id string) ([]byte, error) {
	one, err := s.cfg.Store.Session(ctx, id)
	if err != nil {
		return nil, err
	}
	if rt := s.cfg.runtime(one.Runtime); rt != nil && !one.Released && one.State != vitrine.StatePending {
		cctx, cancel := context.WithTimeout(ctx, askLimit)
		defer cancel()
		var text []byte
		err := s.asks.do(cctx, "reading the console of "+one.MachineID, func(ctx context.Context) (err error) {
			text, err = consoleOf(ctx, rt, one.MachineID)
			return err
		})
		if err == nil {
			return text, nil
		}
	}
	text, err := s.cfg.Store.SavedConsole(ctx, id)
	if vitrine.ClassOf(err) == vitrine.ClassNotFound && err != nil {
		return nil, nil
	}
	return text, err
}

// Touch notes a use.
func (s *Service) Touch(id string) { s.uses.touch(id, time.Now()) }

// Status tells of runtimes and room.
func (s *Service) Status(ctx context.Context) vitrine.ServiceStatus {
	st := vitrine.ServiceStatus{Runtimes: s.probes.status(), Capacity: s.cfg.Capacity}
	if rt := choose(&s.cfg, st.Runtimes, s.cfg.Runtime, ""); rt != nil {
		st.Runtime = rt.Name()
	}
	if held, err := s.cfg.Store.Reserved(ctx); err == nil {
		st.Reserved = held
	}
	return st
}
