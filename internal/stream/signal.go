package stream

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/stream/hub"
)

// What the node says on the signal socket beside the hub's messages.
type (
	helloMessage struct {
		Type       string              `json:"type"` // "hello"
		ViewerID   string              `json:"viewer_id"`
		Scope      vitrine.Scope       `json:"scope"`
		Viewport   vitrine.Viewport    `json:"viewport"`
		ICEServers []vitrine.ICEServer `json:"ice_servers"`
		Codecs     []vitrine.Codec     `json:"codecs"`
		Resume     string              `json:"resume"`
	}
	answerMessage struct {
		Type string `json:"type"` // "answer"
		SDP  string `json:"sdp"`
	}
	pongMessage struct {
		Type string          `json:"type"` // "pong"
		T    json.RawMessage `json:"t,omitempty"`
	}
)

// said is any message of a viewer.
type said struct {
	Type      string                `json:"type"`
	SDP       string                `json:"sdp"`
	Candidate *vitrine.ICECandidate `json:"candidate"`
	Action    string                `json:"action"`
	To        string                `json:"to"`
	Input     *vitrine.Input        `json:"input"`
	Path      string                `json:"path"`
	Why       string                `json:"why"`
	T         json.RawMessage       `json:"t"`
}

// ourCodecs are what the agent encodes, the cheapest to encode first (measured; streaming.md).
var ourCodecs = []vitrine.Codec{vitrine.CodecH264, vitrine.CodecVP8}

var paths = []string{"udp", "tcp", "turn", "novnc", "none"}

const (
	maxWhy       = 200 // bytes of a path's reason
	maxPingToken = 64
)

// Signal serves a viewer's main socket.
func (s *Streams) Signal(w http.ResponseWriter, r *http.Request, v vitrine.Viewer) {
	conn, err := s.accept(w, r, maxSignal)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	ctx, cancel := context.WithCancel(context.Background()) // the request's ends with the upgrade
	defer cancel()
	out := newSink(conn, cancel)
	go out.run(ctx)
	defer func() { out.Shut("the viewer left"); <-out.done }()
	defer s.live.add(&live{kind: kindSignal, viewer: v, shut: out.shutAs})()

	m, err := s.hub.Join(v, r.URL.Query().Get("resume"), out)
	if err != nil {
		out.Deliver(refused(err))
		out.Shut(refused(err).Code)
		return
	}
	left := false
	defer func() {
		if left {
			m.Depart(out)
		} else {
			m.Leave(out)
		}
	}()
	servers := s.iceServers(v.UserID, hostOf(r), time.Now())
	hello := func(desktop vitrine.Viewport, resume string) any {
		return helloMessage{
			Type: "hello", ViewerID: m.ID(), Scope: v.Scope, Viewport: desktop, ICEServers: servers, Codecs: ourCodecs, Resume: resume,
		}
	}
	if !m.Greet(hello) {
		return
	}
	go keepAlive(ctx, conn, cancel)
	left = s.listen(ctx, conn, out, m)
}

// listen takes the viewer's messages until the socket ends, and says whether
// the viewer closed it of its own will: then it does not come back.
func (s *Streams) listen(ctx context.Context, conn *websocket.Conn, out *sink, m *hub.Member) (left bool) {
	offers := rate.NewLimiter(rate.Every(time.Second), 8) // each costs a handshake
	for {
		kind, b, err := conn.Read(ctx)
		if err != nil {
			status := websocket.CloseStatus(err)
			return status == websocket.StatusNormalClosure || status == websocket.StatusGoingAway
		}
		var msg said
		if kind != websocket.MessageText || json.Unmarshal(b, &msg) != nil {
			out.Deliver(refused(vitrine.Errorf(vitrine.ClassMalformed, "bad_message", "a message is not JSON of the right form")))
			continue
		}
		if err := s.hear(ctx, out, m, &msg, offers); err != nil {
			s.cfg.Log.Debug("a viewer's message was refused", "session", m.Viewer().SessionID, "viewer", m.ID(), "type", msg.Type, "error", err)
			out.Deliver(refused(err))
		}
	}
}

func (s *Streams) hear(ctx context.Context, out *sink, m *hub.Member, msg *said, offers *rate.Limiter) error {
	switch msg.Type {
	case "offer":
		if !offers.Allow() {
			return vitrine.Errorf(vitrine.ClassRateLimited, "too_many_offers", "wait a second between offers")
		}
		_, answer, err := s.call(ctx, m, msg.SDP, nil)
		if err != nil {
			return err
		}
		out.Deliver(answerMessage{Type: "answer", SDP: answer})
		return nil
	case "candidate":
		c, ok := m.CurrentMedia().(*call)
		if !ok || msg.Candidate == nil {
			return nil // of a connection that is gone
		}
		return c.peer.AddCandidate(*msg.Candidate)
	case "control":
		return m.Control(msg.Action, msg.To)
	case "input":
		if msg.Input == nil {
			return vitrine.Errorf(vitrine.ClassInvalid, "bad_input", "an input message has its input under \"input\"")
		}
		return m.Input(*msg.Input)
	case "path":
		if !slices.Contains(paths, msg.Path) {
			return vitrine.Errorf(vitrine.ClassInvalid, "bad_path", "path is one of %s", strings.Join(paths, ", "))
		}
		m.SetPath(msg.Path, strings.ToValidUTF8(msg.Why[:min(len(msg.Why), maxWhy)], ""), true)
		return nil
	case "ping":
		if len(msg.T) > maxPingToken {
			return vitrine.Errorf(vitrine.ClassInvalid, "bad_ping", "t has at most %d bytes", maxPingToken)
		}
		out.Deliver(pongMessage{Type: "pong", T: msg.T})
		return nil
	}
	return vitrine.Errorf(vitrine.ClassInvalid, "unknown_message", "there is no such message")
}
