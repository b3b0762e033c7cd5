package hub

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

func TestResumeSecrets(t *testing.T) {
	h := New(Config{ResumeKey: []byte("0123456789abcdef")})
	now := time.Now()
	v := vitrine.Viewer{SessionID: "ses_1", UserID: "a", Scope: vitrine.ScopeControl, TicketID: "tkt_1"}
	id := vitrine.NewID(vitrine.PrefixViewer, now)
	secret := h.mintResume(v, id, true, now)
	with := func(f func(*vitrine.Viewer)) vitrine.Viewer { w := v; f(&w); return w }
	for name, tt := range map[string]struct {
		viewer vitrine.Viewer
		secret string
		at     time.Time
		ok     bool
	}{
		"the viewer itself":        {v, secret, now.Add(time.Hour), true},
		"two days later":           {v, secret, now.Add(48 * time.Hour), false},
		"another user":             {with(func(w *vitrine.Viewer) { w.UserID = "b" }), secret, now, false},
		"another session":          {with(func(w *vitrine.Viewer) { w.SessionID = "ses_2" }), secret, now, false},
		"a ticket that only views": {with(func(w *vitrine.Viewer) { w.Scope = vitrine.ScopeView }), secret, now, false},
		"another ticket":           {with(func(w *vitrine.Viewer) { w.TicketID = "" }), secret, now, false},
		"a claim made up":          {v, secret[:len("v1.")+len(id)+1] + "0" + secret[len("v1.")+len(id)+2:], now, false},
		"nothing":                  {v, "", now, false},
	} {
		if _, _, ok := h.readResume(tt.viewer, tt.secret, tt.at); ok != tt.ok {
			t.Errorf("%s: %v, want %v", name, ok, tt.ok)
		}
	}
}

func FuzzResume(f *testing.F) {
	h := New(Config{ResumeKey: []byte("0123456789abcdef")})
	v := vitrine.Viewer{SessionID: "ses_1", UserID: "a"}
	good := h.mintResume(v, vitrine.NewID(vitrine.PrefixViewer, time.Now()), false, time.Now())
	f.Add("v1.x.1.0.")
	f.Add("....")
	f.Fuzz(func(t *testing.T, s string) {
		if _, _, ok := h.readResume(v, s, time.Now()); ok && s != good {
			t.Errorf("%q was believed", s)
		}
	})
}

// FuzzInput holds that whatever passes is inside the bounds that the agent is
// promised.
func FuzzInput(f *testing.F) {
	for _, s := range []string{
		`{"t":"pointer","x":-1,"y":99999,"b":31}`, `{"t":"wheel","dx":1e9,"dy":-120}`, `{"t":"key","k":"é","c":"KeyA","d":true}`,
		`{"t":"text","s":"\ud800"}`, `{"t":"resize","w":-5,"h":2147483647}`, `{"t":"clipboard","s":""}`, `{"t":"release"}`,
	} {
		f.Add([]byte(s))
	}
	d := vitrine.Viewport{Width: 1280, Height: 720}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var in vitrine.Input
		if json.Unmarshal(raw, &in) != nil {
			return
		}
		out, err := check(in, d)
		if err != nil {
			return
		}
		size := vitrine.Viewport{Width: out.Width, Height: out.Height}
		if out.X < 0 || out.X >= d.Width || out.Y < 0 || out.Y >= d.Height || out.Buttons < 0 || out.Buttons > maxButtons ||
			len(out.Key) > vitrine.MaxInputKey || len(out.Code) > vitrine.MaxInputKey || len(out.Text) > vitrine.MaxInputClipboard ||
			out.DX*out.DX > maxWheel*maxWheel || out.DY*out.DY > maxWheel*maxWheel ||
			(out.Type == vitrine.InputResize && !size.Valid()) {
			t.Errorf("%s passed as %+v", raw, out)
		}
	})
}
