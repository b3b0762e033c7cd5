package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/vitrine-dev/vitrine"
)

// checkOrigin refuses what a foreign page made a browser send: any WebSocket,
// and any call that changes something, unless it carries a key in a header,
// which a foreign page cannot do (we answer no preflight). Browsers say where a
// page is from by Sec-Fetch-Site and Origin; programs send neither. SameSite
// cookies alone do not do: another port of the same host is the same site.
func (s *Server) checkOrigin(r *http.Request, rt *route) error {
	if rt.kind != socket {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return nil
		}
		if _, ok := headerKey(r); ok {
			return nil
		}
	}
	origin := r.Header.Get("Origin")
	if origin != "" && s.ownOrigin(r, origin) {
		return nil
	}
	site := r.Header.Get("Sec-Fetch-Site")
	if origin == "" && (site == "" || site == "same-origin" || site == "none") {
		return nil
	}
	return vitrine.Errorf(vitrine.ClassForbidden, "foreign_origin", "the call comes from a page of %s, not of this daemon", clip(orWord(origin, "another site"), 200)).
		WithRemedy("open the daemon's own page; if it is behind a proxy, set VITRINE_PUBLIC_URL to the address in the browser")
}

// ownOrigin holds an Origin to the request's Host or the public URL.
func (s *Server) ownOrigin(r *http.Request, origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return false
	}
	return strings.EqualFold(u.Host, r.Host) || (s.public != nil && strings.EqualFold(u.Host, s.public.Host) && u.Scheme == s.public.Scheme)
}

// base is where links point to: the public URL, or where the request came to.
func (s *Server) base(r *http.Request) string {
	if s.public != nil {
		return s.public.Scheme + "://" + s.public.Host
	}
	return s.here(r)
}

// here is the address the caller itself has used, for links that only it will
// follow.
func (s *Server) here(r *http.Request) string {
	if s.secure(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// secure says whether the caller reached us by https, directly or by a proxy.
func (s *Server) secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if s.public != nil && s.public.Scheme == "https" && strings.EqualFold(s.public.Host, r.Host) {
		return true
	}
	return s.trusted(peerOf(r)) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// socketBase turns http into ws, and https into wss.
func socketBase(base string) string { return "ws" + strings.TrimPrefix(base, "http") }

// clientAddr is the caller's address: the peer's, or the last one of
// X-Forwarded-For that is not a trusted proxy's.
func (s *Server) clientAddr(r *http.Request) netip.Addr {
	addr := peerOf(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && s.trusted(addr); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = next.Unmap()
	}
	return addr
}

func (s *Server) trusted(a netip.Addr) bool {
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func peerOf(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // a unix socket
	}
	return ap.Addr().Unmap().WithZone("")
}

func hostname(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return h
	}
	return strings.Trim(hostport, "[]")
}

func orWord(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
