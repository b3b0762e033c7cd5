package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"sort"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/vitrine-dev/vitrine"
)

// world is everything behind the API, in memory: enough of the service, the
// stores and the streams to answer every call, and to see what reached them.
type world struct {
	mu       sync.Mutex
	now      time.Time
	sessions map[string]vitrine.Session
	idem     map[string]vitrine.NewSession
	ids      map[string]string // idempotency key → session
	ledger   vitrine.Ledger
	console  []byte
	agent    *fakeAgent
	status   vitrine.ServiceStatus
	touched  map[string]int
	createAs error // what Create gives, when set
	stuck    bool  // what is deleted is never released

	events  []vitrine.Event
	changed chan struct{}
	moved   chan struct{} // closed at each change of a session

	keys    map[string]vitrine.APIKey
	tickets map[string]vitrine.Ticket
	logins  map[[32]byte]vitrine.Login
	sshKeys []vitrine.SSHKey

	images []vitrine.Image

	bundles map[string][]byte // by session

	offers map[vitrine.Viewer]string
	seen   []vitrine.Viewer // who reached a stream
	closed []string         // tickets closed
}

func newWorld() *world {
	return &world{
		now: time.Date(2026, 3, 4, 5, 6, 7, 890_000_000, time.UTC), sessions: map[string]vitrine.Session{}, idem: map[string]vitrine.NewSession{}, ids: map[string]string{},
		touched: map[string]int{}, changed: make(chan struct{}), moved: make(chan struct{}),
		keys: map[string]vitrine.APIKey{}, tickets: map[string]vitrine.Ticket{}, logins: map[[32]byte]vitrine.Login{},
		bundles: map[string][]byte{}, offers: map[vitrine.Viewer]string{}, agent: &fakeAgent{}, console: []byte("one\ntwo\nthree\n"),
		images: []vitrine.Image{{Ref: "desktop", Digest: "sha256:ab", RootFS: "/secret/path", Manifest: vitrine.Manifest{
			Name: "desktop", Kind: vitrine.KindDesktop, MinMemoryMB: 512, SizeBytes: 1 << 30, Files: 3, Packages: []vitrine.Package{{Name: "chromium"}}}}},
		status: vitrine.ServiceStatus{Runtime: "gvisor", Runtimes: []vitrine.RuntimeStatus{
			{Name: "gvisor", Isolation: vitrine.IsolationGVisor, Probe: vitrine.Probe{OK: true, Reason: "ran true", Took: 180 * time.Millisecond}},
			{Name: "container", Isolation: vitrine.IsolationContainer, Probe: vitrine.Probe{Reason: "no crun", Remedy: "apt install crun"}}}},
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// put keeps a session and logs it; the lock is held.
func (w *world) put(kind vitrine.EventType, s vitrine.Session) {
	s.UpdatedAt = w.now
	w.sessions[s.ID] = s
	w.log(s.ID, s.UserID, kind, s)
	close(w.moved)
	w.moved = make(chan struct{})
}

func (w *world) log(id, user string, kind vitrine.EventType, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.events = append(w.events, vitrine.Event{ID: int64(len(w.events) + 1), SessionID: id, UserID: user, Type: kind, At: w.now, Data: data})
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) phase(id string, p vitrine.Phase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ledger.Phases = append(w.ledger.Phases, p)
	w.log(id, w.sessions[id].UserID, vitrine.EventBootPhase, p)
}

func (w *world) move(id string, to vitrine.State, change func(*vitrine.Session)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sessions[id]
	s.State = to
	switch to {
	case vitrine.StateReady:
		s.ReadyAt, s.ImageDigest, s.Node, s.Address = w.now, "sha256:ab", "here", netip.MustParseAddr("192.168.100.2")
	case vitrine.StateEnded, vitrine.StateFailed:
		s.EndedAt, s.Released = w.now, true
	}
	if change != nil {
		change(&s)
	}
	w.put(vitrine.EventSessionState, s)
}

// The flight recorder.

func (w *world) keep(id, bundle string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bundles[id] = []byte(bundle)
}

func (w *world) Bundle(id string) (vitrine.Bundle, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.bundles[id]
	return vitrine.Bundle{SizeBytes: int64(len(b)), CreatedAt: w.now}, ok
}

func (w *world) OpenBundle(id string) (io.ReadSeekCloser, vitrine.Bundle, error) {
	b, ok := w.Bundle(id)
	if !ok {
		return nil, b, vitrine.Errorf(vitrine.ClassNotFound, "no_bundle", "there is no bundle of session %s", id).WithRemedy("look at the console")
	}
	return nopSeekCloser{bytes.NewReader(w.bundles[id])}, b, nil
}

type nopSeekCloser struct{ io.ReadSeeker }

func (nopSeekCloser) Close() error { return nil }

// The session service.

func (w *world) Create(_ context.Context, n vitrine.NewSession) (vitrine.Session, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.createAs != nil {
		return vitrine.Session{}, false, w.createAs
	}
	if key := n.UserID + "/" + n.IdempotencyKey; n.IdempotencyKey != "" {
		if first, ok := w.idem[key]; ok {
			if first.RequestHash != n.RequestHash {
				return vitrine.Session{}, false, vitrine.Errorf(vitrine.ClassConflict, "idempotency_key_reused", "the key was used for another request").WithRemedy("use a new key")
			}
			return w.sessions[w.ids[key]], false, nil
		}
	}
	if n.ID == "" {
		n.ID = vitrine.NewID(vitrine.PrefixSession, w.now)
	}
	if n.Viewport == (vitrine.Viewport{}) {
		n.Viewport = vitrine.DefaultViewport
	}
	if n.IdempotencyKey != "" {
		key := n.UserID + "/" + n.IdempotencyKey
		w.idem[key], w.ids[key] = n, n.ID
	}
	s := vitrine.Session{ID: n.ID, CreatedAt: w.now, Kind: n.Kind, UserID: n.UserID, Image: "desktop", Runtime: "gvisor", Isolation: vitrine.IsolationGVisor,
		VCPU: max(n.VCPU, 2), MemoryMB: max(n.MemoryMB, 2048), Viewport: n.Viewport, StartURL: n.StartURL, Timeout: n.Timeout, IdleTimeout: n.IdleTimeout,
		Metadata: n.Metadata, State: vitrine.StatePending}
	w.put(vitrine.EventSessionCreated, s)
	return s, true, nil
}

func (w *world) Get(_ context.Context, id string) (vitrine.Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.sessions[id]
	if !ok {
		return s, vitrine.NotFound("session", id)
	}
	return s, nil
}

func (w *world) List(_ context.Context, f vitrine.SessionFilter) (list []vitrine.Session, next string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sessions {
		if (f.State == "" || s.State == f.State) && (f.UserID == "" || s.UserID == f.UserID) && (f.Cursor == "" || s.ID < f.Cursor) {
			list = append(list, s)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].ID > list[j].ID })
	if len(list) > f.Limit {
		list = list[:f.Limit]
		next = list[f.Limit-1].ID
	}
	return list, next, nil
}

func (w *world) Patch(_ context.Context, id string, p vitrine.SessionPatch) (vitrine.Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sessions[id]
	if p.Viewport != nil {
		s.Viewport = *p.Viewport
	}
	if p.Timeout != nil {
		s.Timeout = *p.Timeout
	}
	if p.Metadata != nil {
		s.Metadata = p.Metadata
	}
	w.put(vitrine.EventSessionUpdated, s)
	return s, nil
}

func (w *world) Delete(ctx context.Context, id string) (vitrine.Session, error) {
	s, err := w.Get(ctx, id)
	if err == nil && !s.State.Over() {
		w.move(id, vitrine.StateEnded, func(s *vitrine.Session) { s.EndedReason, s.Released = vitrine.EndedByUser, !w.stuck })
	}
	return w.Get(ctx, id)
}

func (w *world) await(ctx context.Context, id string, done func(vitrine.Session) bool) (vitrine.Session, error) {
	for {
		w.mu.Lock()
		s, moved := w.sessions[id], w.moved
		w.mu.Unlock()
		if done(s) {
			return s, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}

func (w *world) WaitSettled(ctx context.Context, id string) (vitrine.Session, error) {
	return w.await(ctx, id, func(s vitrine.Session) bool { return s.State == vitrine.StateReady || s.State.Over() })
}

func (w *world) WaitReleased(ctx context.Context, id string) (vitrine.Session, error) {
	return w.await(ctx, id, func(s vitrine.Session) bool { return s.Released })
}

func (w *world) Ledger(_ context.Context, id string) (vitrine.Ledger, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ledger, nil
}
func (w *world) Console(context.Context, string) ([]byte, error) { return w.console, nil }
func (w *world) Touch(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.touched[id]++
}
func (w *world) Status(context.Context) vitrine.ServiceStatus           { return w.status }
func (w *world) Agent(context.Context, string) (vitrine.Agent, error)   { return w.agent, nil }
func (w *world) Resolve(context.Context, string) (vitrine.Image, error) { return w.images[0], nil }
func (w *world) Verify(context.Context, vitrine.Image) error            { return nil }

// The event store.

func (w *world) Events(ctx context.Context, after int64, sessionID, userID string, limit int) (list []vitrine.Event, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.ID > after && (sessionID == "" || e.SessionID == sessionID) && (userID == "" || e.UserID == userID) && len(list) < limit {
			list = append(list, e)
		}
	}
	return list, ctx.Err()
}

func (w *world) LastEventID(context.Context) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(len(w.events)), nil
}

func (w *world) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// fakeImages is apart because two interfaces have a List.
type fakeImages struct{ *world }

func (w fakeImages) List(context.Context) ([]vitrine.Image, error) { return w.images, nil }

// fakeAgent answers for a machine.
type fakeAgent struct {
	vitrine.Agent
	execs []vitrine.ExecRequest
	res   vitrine.ExecResult
	png   []byte
	cdp   []string // what the browser says
	err   error
}

func (a *fakeAgent) Exec(_ context.Context, r vitrine.ExecRequest) (vitrine.ExecResult, error) {
	a.execs = append(a.execs, r)
	return a.res, a.err
}

func (a *fakeAgent) Screenshot(context.Context) ([]byte, error) {
	if a.png != nil {
		return a.png, a.err
	}
	return []byte("\x89PNG\r\n\x1a\nrest"), a.err
}

func (a *fakeAgent) OpenCDP(context.Context) (vitrine.MessageStream, error) {
	says := a.cdp
	if says == nil {
		says = []string{`{"method":"Target.targetCreated"}`,
			`{"id":1,"result":{"protocolVersion":"1.3","product":"Chrome/140.0","userAgent":"Mozilla/5.0","jsVersion":"14.0"}}`}
	}
	return &fakeCDP{says: says}, a.err
}

type fakeCDP struct{ says []string }

func (c *fakeCDP) ReadMessage() ([]byte, error) {
	if len(c.says) == 0 {
		return nil, io.EOF
	}
	m := c.says[0]
	c.says = c.says[1:]
	return []byte(m), nil
}
func (c *fakeCDP) WriteMessage([]byte) error { return nil }
func (c *fakeCDP) Close() error              { return nil }

// The streams: each socket tells its viewer's scope and stays until its context
// ends or the peer goes.

func (w *world) serveSocket(rw http.ResponseWriter, r *http.Request, v vitrine.Viewer, what string) {
	w.mu.Lock()
	w.seen = append(w.seen, v)
	w.mu.Unlock()
	conn, err := websocket.Accept(rw, r, &websocket.AcceptOptions{InsecureSkipVerify: true, Subprotocols: []string{"binary"}})
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	_ = conn.Write(r.Context(), websocket.MessageText, []byte(what+" "+string(v.Scope)))
	_, _, err = conn.Read(r.Context())
	if err != nil && r.Context().Err() != nil {
		_ = conn.Close(websocket.StatusPolicyViolation, "put out")
	}
}

func (w *world) Signal(rw http.ResponseWriter, r *http.Request, v vitrine.Viewer) {
	w.serveSocket(rw, r, v, "signal")
}
func (w *world) VNC(rw http.ResponseWriter, r *http.Request, v vitrine.Viewer, viewerID string) {
	w.serveSocket(rw, r, v, "vnc"+viewerID)
}
func (w *world) CDP(rw http.ResponseWriter, r *http.Request, v vitrine.Viewer) {
	w.serveSocket(rw, r, v, "cdp")
}

const fakeSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"

func (w *world) Offer(_ context.Context, v vitrine.Viewer, sdp string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, v)
	w.offers[v] = sdp
	return fakeSDP, nil
}

func (w *world) Answer(_ context.Context, v vitrine.Viewer) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.offers[v]; !ok {
		return "", vitrine.Errorf(vitrine.ClassNotFound, "no_offer", "there was no offer").WithRemedy("POST an offer first")
	}
	return fakeSDP, nil
}
func (w *world) AddCandidate(context.Context, vitrine.Viewer, vitrine.ICECandidate) error { return nil }
func (w *world) Candidates(context.Context, vitrine.Viewer) ([]vitrine.ICECandidate, error) {
	mid := "0"
	return []vitrine.ICECandidate{{Candidate: "candidate:1 1 udp 1 127.0.0.1 4001 typ host", SDPMid: &mid}}, nil
}
func (w *world) WHEP(context.Context, vitrine.Viewer, string) (string, string, error) {
	return "res1", fakeSDP, nil
}
func (w *world) PatchWHEP(_ context.Context, _ vitrine.Viewer, resource, _ string) error {
	return w.CloseWHEP(context.Background(), vitrine.Viewer{}, resource)
}
func (w *world) CloseWHEP(_ context.Context, _ vitrine.Viewer, resource string) error {
	if resource != "res1" {
		return vitrine.NotFound("playback", resource)
	}
	return nil
}
func (w *world) ICEServers(userID string, _ time.Time) []vitrine.ICEServer {
	return []vitrine.ICEServer{{URLs: []string{"stun:127.0.0.1:3478"}}, {URLs: []string{"turn:127.0.0.1:3478"}, Username: "u:" + userID, Credential: "c"}}
}
func (w *world) CloseTicket(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = append(w.closed, id)
}
func (w *world) CloseSession(string) {}
func (w *world) Viewers(string) int  { return 1 }
func (w *world) StreamFigures() vitrine.StreamFigures {
	return vitrine.StreamFigures{
		ViewersByPath: map[string]int{"udp": 1}, Sockets: map[string]int{"signal": 1}, Relays: 2,
		Video: map[vitrine.Codec]vitrine.VideoFigures{vitrine.CodecVP8: {Viewers: 1, Frames: 600, Bytes: 90_000, Dropped: 3, Keyframes: 2, Opened: 1}},
	}
}

func (w *world) ServiceFigures() vitrine.ServiceFigures {
	return vitrine.ServiceFigures{Sweeps: 7, SweepsFailed: 1, LastSweep: w.clock(), Retries: 5}
}
