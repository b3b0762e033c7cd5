package sshd

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vitrine-dev/vitrine"
)

func FuzzPayload(f *testing.F) {
	f.Add(ssh.Marshal(struct {
		Term                      string
		Cols, Rows, Width, Height uint32
		Modes                     string
	}{"xterm-256color", 80, 24, 0, 0, "\x00"}))
	f.Add(ssh.Marshal(struct{ Name, Value string }{"LANG", "C.UTF-8"}))
	f.Add(ssh.Marshal(struct{ Text string }{"ls -la"}))
	f.Add(ssh.Marshal(forward{"localhost", 80, "127.0.0.1", 5000}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parsePTY(b); err == nil && (len(p.Term) > 64 || p.Cols > maxCells || p.Rows > maxCells || strings.ContainsAny(p.Term, "/\x00\n")) {
			t.Errorf("%+v", p)
		}
		if name, value, err := parseEnv(b); err == nil && (name == "" || len(name)+len(value) > vitrine.MaxShellEnvSize || strings.ContainsAny(name, "=\x00 ") || strings.Contains(value, "\x00")) {
			t.Errorf("%q=%q", name, value)
		}
		if text, err := parseText(b, 64); err == nil && (text == "" || len(text) > 64 || strings.Contains(text, "\x00")) {
			t.Errorf("%q", text)
		}
		if to, err := parseForward(b); err == nil && (to.Port < 1 || to.Port > 65535 || len(to.Host) > 255) {
			t.Errorf("%+v", to)
		}
		if cols, rows, err := parseWindow(b); err == nil && (cols > maxCells || rows > maxCells) {
			t.Errorf("%d %d", cols, rows)
		}
		if id, _, ok := target(string(b)); ok && !vitrine.ValidID(vitrine.PrefixSession, id) {
			t.Errorf("%q", id)
		}
	})
}
