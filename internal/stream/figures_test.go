package stream

import (
	"testing"

	"github.com/coder/websocket"

	"github.com/vitrine-dev/vitrine"
)

// TestWhatWasSentStaysCounted: counters do not fall when nobody looks any more,
// or a graph would show a burst at each end of a session.
func TestWhatWasSentStaysCounted(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a")
	a.play(udp).frame()
	during := n.s.StreamFigures()
	video := during.Video[vitrine.CodecVP8]
	if during.ViewersByPath["udp"] != 1 || during.Sockets["signal"] != 1 || video.Viewers != 1 || video.Frames == 0 || video.Bytes < video.Frames || video.Opened != 1 {
		t.Errorf("while one looks: %+v", during)
	}
	n.s.CloseSession(session)
	<-a.closed
	eventually(t, "nobody looks", func() bool { return n.s.StreamFigures().Sockets["signal"] == 0 })
	after := n.s.StreamFigures()
	if v := after.Video[vitrine.CodecVP8]; v.Viewers != 0 || v.Frames < video.Frames || v.Bytes < video.Bytes || v.Opened != 1 || after.ViewersByPath["udp"] != 0 {
		t.Errorf("when nobody does: %+v", after)
	}
}

// TestANodeThatStopsSaysSo: by a status that tells a program to come back.
func TestANodeThatStopsSaysSo(t *testing.T) {
	n := start(t, newFakeAgent())
	a := n.tab("scope=control&user=a")
	if err := n.s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-a.closed; websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("closed with %v", err)
	}
}
