package stream

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/stream/hub"
	"github.com/vitrine-dev/vitrine/internal/stream/media"
	"github.com/vitrine-dev/vitrine/internal/stream/rtc"
)

// call is one WebRTC connection of a member: its peer and its tap on the video.
type call struct {
	member *hub.Member
	peer   *rtc.Peer
	tap    atomic.Pointer[media.Tap]
	onEnd  func()
}

// Close ends it; it does not block.
func (c *call) Close(why string) { c.peer.Close(why) }

// call answers an offer for a member and makes the connection the member's only
// one. onEnd, when not nil, is called once when it has ended, however.
func (s *Streams) call(ctx context.Context, m *hub.Member, offer string, onEnd func()) (*call, string, error) {
	c := &call{member: m, onEnd: onEnd}
	peer, answer, err := s.rtc.Answer(ctx, rtc.PeerConfig{
		IsRelay: s.relay.IsRelay, Log: s.cfg.Log.With("session", m.Viewer().SessionID, "viewer", m.ID()),
		Events: rtc.Events{
			Connected: c.connected, Closed: c.closed, Message: c.message,
			Keyframe: func() { c.withTap((*media.Tap).RequestKeyframe) },
			Bitrate:  func(bps int) { c.withTap(func(t *media.Tap) { t.SetLimit(bps) }) },
		},
	}, offer)
	if err != nil {
		return nil, "", err
	}
	c.peer = peer
	tap := m.Video(peer.Codec()).Attach(peer)
	tap.SetLimit(rtc.StartBitrate)
	c.tap.Store(tap)
	if !m.SetMedia(c) {
		c.Close("the viewer left")
		return nil, "", vitrine.Errorf(vitrine.ClassConflict, "viewer_left", "the viewer has left")
	}
	return c, answer, nil
}

func (c *call) withTap(f func(*media.Tap)) {
	if t := c.tap.Load(); t != nil {
		f(t)
	}
}

func (c *call) connected(path string) {
	c.withTap((*media.Tap).Start)
	c.member.SetPath(path, "", false)
}

func (c *call) closed(why string) {
	c.withTap((*media.Tap).Close)
	if c.member.DropMedia(c) {
		c.member.SetPath("none", why, false)
	}
	if c.onEnd != nil {
		c.onEnd()
	}
}

// message is one input on a data channel.
func (c *call) message(channel string, msg []byte) {
	var in vitrine.Input
	if err := json.Unmarshal(msg, &in); err != nil {
		refuse(c.member, vitrine.Errorf(vitrine.ClassMalformed, "bad_input", "an input is not JSON of the right form"))
		return
	}
	pass := c.member.Input
	if channel == "pointer" {
		pass = c.member.Move
	}
	if err := pass(in); err != nil {
		refuse(c.member, err)
	}
}

// refuse tells a viewer why a message of its was not taken: the words that are
// meant for people, never the cause.
func refuse(m *hub.Member, err error) { m.Tell(refused(err)) }

func refused(err error) hub.Refused {
	var e *vitrine.Error
	if !errors.As(err, &e) {
		return hub.Refused{Type: "error", Code: "internal", Message: "the node could not do that"}
	}
	return hub.Refused{Type: "error", Code: e.Code, Message: e.Message}
}
