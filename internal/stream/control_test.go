package stream

import (
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/vitrine-dev/vitrine"
)

type object = map[string]any

func key(k string) object {
	return object{"type": "input", "input": object{"t": "key", "k": k, "c": "Key" + strings.ToUpper(k), "d": true}}
}

// got waits for an input that fits and gives those before it.
func (n *node) got(what string, fits func(vitrine.Input) bool) (before []vitrine.Input) {
	n.t.Helper()
	eventually(n.t, what, func() bool {
		select {
		case in := <-n.agent.inputs:
			if fits(in) {
				return true
			}
			before = append(before, in)
		default:
		}
		return false
	})
	return before
}

func isKeyDown(k string) func(vitrine.Input) bool {
	return func(in vitrine.Input) bool { return in.Type == vitrine.InputKey && in.Key == k }
}

func isRelease(in vitrine.Input) bool { return in.Type == vitrine.InputRelease }

// ready waits until the control channel is open: it begins with a release.
func (n *node) ready() { n.t.Helper(); n.got("the control channel's first release", isRelease) }

func TestOnlyTheViewerInControlTypes(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a")
	a.controller(a.id)
	n.ready()
	b := n.tab("scope=control&user=b")
	v := n.tab("scope=view&user=v")
	b.controller(a.id)

	b.send(key("b"))
	v.send(key("v"))
	b.send(object{"type": "ping", "t": 1}) // its messages are taken in order: b's key has been dropped by then
	b.wait("pong", func(m message) bool { return m.Type == "pong" && m.T == 1 })
	v.send(object{"type": "control", "action": "take"})
	v.wait("a viewer may not take control", func(m message) bool { return m.Code == "view_only" })
	a.send(key("a"))
	if before := n.got("a's key", isKeyDown("a")); len(before) != 0 {
		t.Errorf("came before it: %+v", before)
	}

	b.send(object{"type": "control", "action": "request"})
	a.wait("the request", func(m message) bool { return m.Type == "control_requested" && m.ViewerID == b.id })
	a.send(object{"type": "control", "action": "give", "to": b.id})
	b.controller(b.id)
	n.got("what a held down is let go", isRelease)
	a.send(key("a"))
	a.send(object{"type": "ping", "t": 2})
	a.wait("pong", func(m message) bool { return m.Type == "pong" && m.T == 2 })
	b.send(key("b"))
	if before := n.got("b's key", isKeyDown("b")); len(before) != 0 {
		t.Errorf("came before it: %+v", before)
	}
	a.send(object{"type": "control", "action": "take"})
	b.controller(a.id)
	a.send(object{"type": "control", "action": "release"})
	b.controller("")
}

func TestAReconnectKeepsIdAndControl(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a")
	b := n.tab("scope=control&user=b")
	b.controller(a.id)
	_ = a.ws.CloseNow()
	b.wait("a is away", func(m message) bool {
		return m.Type == "viewers" && len(m.Viewers) == 2 && m.Viewers[0].Away && m.Controller == a.id
	})
	again := n.tab("scope=control&user=a&resume=" + a.resume)
	if again.id != a.id {
		t.Errorf("came back as %s, was %s", again.id, a.id)
	}
	again.controller(a.id)
	thief := n.tab("scope=control&user=b&resume=" + again.resume)
	if thief.id == a.id {
		t.Error("another user came back by a's secret")
	}
}

func TestANewTabNeedNotWaitForAClosedOne(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a")
	b := n.tab("scope=control&user=b")
	b.controller(a.id)
	_ = a.ws.CloseNow()
	b.wait("a is away", func(m message) bool {
		return m.Type == "viewers" && len(m.Viewers) == 2 && m.Viewers[0].Away && m.Controller == a.id
	})
	again := n.tab("scope=control&user=a") // another tab: it has no resume secret
	again.controller(again.id)
}

func TestATabThatIsClosedLeavesAtOnce(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a")
	b := n.tab("scope=control&user=b")
	b.controller(a.id)
	_ = a.ws.Close(websocket.StatusNormalClosure, "left")
	b.wait("a is gone", func(m message) bool {
		return m.Type == "viewers" && len(m.Viewers) == 1 && m.Controller == ""
	})
	c := n.tab("scope=control&user=c")
	c.controller(c.id)
}

func TestADaemonRestartKeepsIdAndControl(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a")
	b := n.tab("scope=control&user=b")
	b.send(object{"type": "control", "action": "take"})
	a.controller(b.id)
	b.controller(b.id)
	a.send(object{"type": "ping", "t": 1})
	a.wait("pong", func(m message) bool { return m.Type == "pong" })
	if err := n.s.Close(); err != nil {
		t.Fatal(err)
	}
	n.open()
	a2 := n.tab("scope=control&user=a&resume=" + a.resume) // the first to be back, but it was not in control
	if a2.id != a.id {
		t.Errorf("a came back as %s, was %s", a2.id, a.id)
	}
	a2.controller("")
	c := n.tab("scope=control&user=c") // a new one takes what nobody claims
	c.controller(c.id)
	b2 := n.tab("scope=control&user=b&resume=" + b.resume)
	if b2.id != b.id {
		t.Errorf("b came back as %s, was %s", b2.id, b.id)
	}
	a2.controller(b.id)
}

func TestTheDesktopTells(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a")
	if a.hello.Viewport.Width != 320 {
		t.Errorf("hello says a desktop of %d", a.hello.Viewport.Width)
	}
	b := n.tab("scope=view&user=b")
	n.ready()
	n.agent.tell(vitrine.DesktopEvent{Type: vitrine.DesktopClipboard, Text: "secret"})
	n.agent.tell(vitrine.DesktopEvent{Type: vitrine.DesktopCursor, PNG: []byte{1}})
	n.agent.tell(vitrine.DesktopEvent{Type: vitrine.DesktopResized, Width: 800, Height: 600})
	a.wait("the clipboard", func(m message) bool { return m.Type == "clipboard" && m.Text == "secret" })
	a.wait("the new size", func(m message) bool { return m.Type == "resized" && m.W == 800 })
	cursor := false
	b.wait("the new size", func(m message) bool {
		if m.Type == "clipboard" {
			t.Error("a viewer that is not in control was given the clipboard")
		}
		cursor = cursor || m.Type == "cursor"
		return m.Type == "resized" && m.W == 800
	})
	if !cursor {
		t.Error("no cursor was told")
	}
	n.tab("scope=view&user=c").wait("one who comes later is told the cursor", func(m message) bool { return m.Type == "cursor" })
}

func TestInputIsBounded(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a")
	n.ready()
	for _, in := range []object{
		{"t": "key", "k": strings.Repeat("k", 65), "d": true},
		{"t": "key", "k": "a\u0000", "d": true},
		{"t": "key", "d": true},
		{"t": "text", "s": strings.Repeat("x", 4097)},
		{"t": "clipboard", "s": strings.Repeat("x", 1<<20+1)},
		{"t": "pointer", "b": 999},
		{"t": "reboot"},
	} {
		a.send(object{"type": "input", "input": in})
		a.wait("a refusal", func(m message) bool { return m.Type == "error" && m.Code == "bad_input" })
	}
	a.send(object{"type": "input", "input": object{"t": "pointer", "x": 99999, "y": -5, "b": 1}})
	n.got("a pointer put inside the desktop", func(in vitrine.Input) bool {
		return in.Type == vitrine.InputPointer && in.X == 319 && in.Y == 0 && in.Buttons == 1
	})
	a.send("{")
	a.wait("a refusal", func(m message) bool { return m.Code == "bad_message" })
	for range 3 { // a window being dragged
		for _, w := range []int{500, 600, 700} {
			a.send(object{"type": "input", "input": object{"t": "resize", "w": w, "h": 400}})
		}
	}
	if before := n.got("the size it came to rest at", func(in vitrine.Input) bool { return in.Type == vitrine.InputResize && in.Width == 700 }); len(before) != 0 {
		t.Errorf("came before it: %+v", before)
	}
}

func TestASessionThatEndsTellsAndCloses(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a")
	a.wait("ready", func(m message) bool { return m.Type == "state" && m.State == "ready" })
	p := a.play(udp)
	p.frame()
	n.state.Store(&vitrine.Session{ID: session, State: vitrine.StateEnded, EndedReason: vitrine.EndedIdle})
	n.agents.set(vitrine.Errorf(vitrine.ClassConflict, "session_over", "it is over"))
	n.s.CloseSession(session)
	a.wait("ended", func(m message) bool { return m.Type == "state" && m.State == "ended" && m.Reason == "idle" })
	if err := <-a.closed; websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("closed with %v", err)
	}
	late := n.tab("scope=control&user=a")
	late.wait("ended", func(m message) bool { return m.State == "ended" })
	<-late.closed
}

func TestARevokedTicketClosesItsViewers(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a&ticket=tkt_1")
	b := n.tab("scope=control&user=a&ticket=tkt_2")
	p := a.play(udp)
	p.frame()
	n.s.CloseTicket("tkt_1")
	<-a.closed
	b.wait("only b is left", func(m message) bool { return m.Type == "viewers" && len(m.Viewers) == 1 && m.Viewers[0].ID == b.id })
	eventually(t, "a's video ends", func() bool { return n.s.StreamFigures().Video[vitrine.CodecVP8].Viewers == 0 })
}

func TestAViewerThatDoesNotReadIsCutOff(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a")
	n.ready()
	k := newSink(nil, func() {})
	for range queueLen + 1 { // nobody writes this one's queue
		k.Deliver(pongMessage{Type: "pong"})
	}
	if !k.shut {
		t.Error("a queue grew without bound")
	}
	a.send(object{"type": "ping", "t": 7})
	a.wait("pong", func(m message) bool { return m.Type == "pong" && m.T == 7 })
}

func TestMovesOnTheUnorderedChannelPressNothing(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a")
	p := a.play(udp)
	n.ready()
	open := func() bool { return p.input.SendText(`{"t":"pointer","x":1,"y":1,"b":1}`) == nil }
	eventually(t, "the data channel opens", open)
	n.got("a press", func(in vitrine.Input) bool { return in.Buttons == 1 })
	if err := p.input.SendText(`{"t":"pointer","x":1,"y":1,"b":0}`); err != nil {
		t.Fatal(err)
	}
	n.got("its release", func(in vitrine.Input) bool { return in.Type == vitrine.InputPointer && in.Buttons == 0 })
	eventually(t, "a late move", func() bool { return p.moves.SendText(`{"t":"pointer","x":9,"y":9,"b":1}`) == nil })
	n.got("the move, with no button", func(in vitrine.Input) bool { return in.X == 9 && in.Buttons == 0 })
	if err := p.moves.SendText(`{"t":"key","k":"a","d":true}`); err != nil {
		t.Fatal(err)
	}
	a.wait("a refusal", func(m message) bool { return m.Code == "bad_input" })
}
