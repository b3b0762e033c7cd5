package hub

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// resumeTTL bounds a resume secret: longer than any tab is left asleep.
const resumeTTL = 24 * time.Hour

// The secret is "v1.<viewer id>.<0 or 1: in control>.<unix seconds>.<MAC>". The
// MAC binds it to session, user, scope and ticket, which the HTTP layer has
// authenticated anew when it is shown: it gives nothing but an id and a claim.

func (h *Hub) mintResume(v vitrine.Viewer, id string, control bool, now time.Time) string {
	c := "0"
	if control {
		c = "1"
	}
	body := "v1." + id + "." + c + "." + strconv.FormatInt(now.Unix(), 10)
	return body + "." + h.mac(v, body)
}

func (h *Hub) mac(v vitrine.Viewer, body string) string {
	m := hmac.New(sha256.New, h.cfg.ResumeKey)
	for _, part := range []string{"vitrine resume", v.SessionID, v.UserID, string(v.Scope), v.TicketID, body} {
		m.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// readResume gives the id and the claim of a secret, or ok false: then the
// viewer is simply new.
func (h *Hub) readResume(v vitrine.Viewer, secret string, now time.Time) (id string, control, ok bool) {
	if len(secret) > 256 {
		return "", false, false
	}
	f := strings.Split(secret, ".")
	if len(f) != 5 {
		return "", false, false
	}
	body := strings.Join(f[:4], ".")
	if !hmac.Equal([]byte(f[4]), []byte(h.mac(v, body))) {
		return "", false, false
	}
	at, err := strconv.ParseInt(f[3], 10, 64)
	if err != nil || now.Sub(time.Unix(at, 0)) > resumeTTL || !vitrine.ValidID(vitrine.PrefixViewer, f[1]) {
		return "", false, false
	}
	return f[1], f[2] == "1", true
}
