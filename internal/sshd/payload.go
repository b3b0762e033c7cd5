package sshd

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/vitrine-dev/vitrine"
)

// maxCells bounds a terminal's columns and rows.
const maxCells = 4096

var errPayload = errors.New("a request that cannot be read")

// parsePTY reads a pty-req (RFC 4254, 6.2). Its modes are not taken over: the
// machine's terminal begins in the kernel's own.
func parsePTY(payload []byte) (*vitrine.PTY, error) {
	var p struct {
		Term                      string
		Cols, Rows, Width, Height uint32
		Modes                     string
	}
	if ssh.Unmarshal(payload, &p) != nil || len(p.Term) > 64 {
		return nil, errPayload
	}
	for _, r := range p.Term {
		if r <= ' ' || r > '~' || r == '/' {
			return nil, errPayload
		}
	}
	return &vitrine.PTY{Term: p.Term, Cols: cells(p.Cols), Rows: cells(p.Rows)}, nil
}

// parseWindow reads a window-change (6.7).
func parseWindow(payload []byte) (cols, rows uint16, err error) {
	var p struct{ Cols, Rows, Width, Height uint32 }
	if ssh.Unmarshal(payload, &p) != nil {
		return 0, 0, errPayload
	}
	return cells(p.Cols), cells(p.Rows), nil
}

func cells(n uint32) uint16 { return uint16(min(n, maxCells)) }

// parseEnv reads an env (6.4): a name as shells know it.
func parseEnv(payload []byte) (name, value string, err error) {
	var p struct{ Name, Value string }
	if ssh.Unmarshal(payload, &p) != nil || p.Name == "" || len(p.Name)+len(p.Value) > vitrine.MaxShellEnvSize || strings.ContainsRune(p.Value, 0) {
		return "", "", errPayload
	}
	for i, r := range p.Name {
		letter := r == '_' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
		if !letter && (i == 0 || r < '0' || r > '9') {
			return "", "", errPayload
		}
	}
	return p.Name, p.Value, nil
}

// parseText reads the one string of an exec, a subsystem (6.5) or a signal (6.9).
func parseText(payload []byte, limit int) (string, error) {
	var p struct{ Text string }
	if ssh.Unmarshal(payload, &p) != nil || p.Text == "" || strings.ContainsRune(p.Text, 0) {
		return "", errPayload
	}
	if len(p.Text) > limit {
		return "", fmt.Errorf("%d bytes, at most %d: %w", len(p.Text), limit, errPayload)
	}
	return p.Text, nil
}

// forward is where a direct-tcpip channel leads (7.2).
type forward struct {
	Host       string
	Port       uint32
	OriginHost string
	OriginPort uint32
}

func parseForward(payload []byte) (forward, error) {
	var f forward
	if ssh.Unmarshal(payload, &f) != nil || len(f.Host) > 255 || f.Port < 1 || f.Port > 65535 {
		return forward{}, errPayload
	}
	return f, nil
}

// signals are those of 6.10.
var signals = map[string]bool{
	"ABRT": true, "ALRM": true, "FPE": true, "HUP": true, "ILL": true, "INT": true, "KILL": true,
	"PIPE": true, "QUIT": true, "SEGV": true, "TERM": true, "USR1": true, "USR2": true,
}
