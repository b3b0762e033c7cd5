package relay

import (
	"crypto/hmac"
	"crypto/sha1" // the TURN REST scheme's (draft-uberti-behave-turn-rest-00); HMAC-SHA1 is not broken
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

// CredentialTTL is how long a credential is good: longer than the hour that is
// promised, so that one fetched by a page can still begin a connection then.
const CredentialTTL = 2 * time.Hour

// Credentials gives a user name and password for TURN, good from now for
// CredentialTTL. user is only there to bound allocations per user.
func (s *Server) Credentials(user string, now time.Time) (username, password string) {
	username = strconv.FormatInt(now.Add(CredentialTTL).Unix(), 10) + ":" + user
	return username, s.password(username)
}

func (s *Server) password(username string) string {
	m := hmac.New(sha1.New, s.cfg.Secret)
	m.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

func (s *Server) authenticate(r *turn.RequestAttributes) (user string, key []byte, ok bool) {
	if len(r.Username) > 256 {
		return "", nil, false
	}
	expiry, user, ok := strings.Cut(r.Username, ":")
	if !ok {
		return "", nil, false
	}
	t, err := strconv.ParseInt(expiry, 10, 64)
	if err != nil || s.cfg.Now().Unix() > t && r.Method == stun.MethodAllocate {
		return "", nil, false // what was allocated in time may be kept: a viewer stays for hours
	}
	return user, turn.GenerateAuthKey(r.Username, r.Realm, s.password(r.Username)), true
}
