package httpapi

import "time"

// SetKeepalive lets tests see a keepalive without waiting for one.
func (s *Server) SetKeepalive(d time.Duration) { s.keepalive = d }

// SetWaitMax lets tests see the end of a wait.
func (s *Server) SetWaitMax(d time.Duration) { s.waitMax = d }

// RouteAccess is the access word of every row, by "METHOD path".
func RouteAccess() map[string]string {
	m := map[string]string{}
	for _, rt := range table {
		m[rt.method+" "+rt.path] = string(rt.access)
	}
	return m
}

// RouteQuery is the query parameters of every row, by "METHOD path".
func RouteQuery() map[string][]string {
	m := map[string][]string{}
	for _, rt := range table {
		m[rt.method+" "+rt.path] = rt.query
	}
	return m
}

// What tests of bad input and fuzzing call directly.
var (
	DecodeBytes = decodeBytes
	LastLines   = lastLines
	NewSession  = newSession
)
