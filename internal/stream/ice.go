package stream

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// ICEServers gives STUN and TURN with credentials for this user.
func (s *Streams) ICEServers(userID string, now time.Time) []vitrine.ICEServer {
	return s.iceServers(userID, "", now)
}

// iceServers names the node as viewers reach it: by the configured host, else
// by the one that this viewer came by, else by an address of its own.
func (s *Streams) iceServers(userID, came string, now time.Time) []vitrine.ICEServer {
	host := s.cfg.PublicHost
	if host == "" && len(s.cfg.PublicIPs) > 0 {
		host = s.cfg.PublicIPs[0].String()
	}
	if host == "" {
		host = came
	}
	if host == "" {
		host = s.rtc.Addrs()[0].String()
	}
	at := net.JoinHostPort(host, strconv.Itoa(s.relay.Port()))
	username, password := s.relay.Credentials(userID, now)
	return []vitrine.ICEServer{
		{URLs: []string{"stun:" + at}},
		{URLs: []string{"turn:" + at + "?transport=udp", "turn:" + at + "?transport=tcp"}, Username: username, Credential: password},
	}
}

// hostOf is the host that a request named, if it has the form of one: it is
// given back to the same viewer only, but goes into a URL.
func hostOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.WithZone("").String()
	}
	if len(host) > 253 || host == "" {
		return ""
	}
	for _, c := range host {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return ""
		}
	}
	return host
}
