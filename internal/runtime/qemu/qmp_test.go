package qemu

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const greeting = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}` + "\n"

// vmm plays QEMU: it greets, and answers each line by what reply says.
func vmm(t *testing.T, first string, reply func(line string) string) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	go func() {
		if _, err := theirs.Write([]byte(first)); err != nil {
			return
		}
		lines := bufio.NewScanner(theirs)
		for lines.Scan() {
			if _, err := theirs.Write([]byte(reply(lines.Text()))); err != nil {
				return
			}
		}
	}()
	return ours
}

// id is the id of a command.
func id(line string) string {
	_, after, _ := strings.Cut(line, `"id":`)
	return strings.TrimRight(after, "}")
}

func TestQMPTalksToQEMU(t *testing.T) {
	var asked []string
	q, err := openQMP(t.Context(), vmm(t, greeting, func(line string) string {
		asked = append(asked, line)
		events := `{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RESUME"}` + "\n" + `{"return": {"status": "of another"}, "id": 77}` + "\n"
		if strings.Contains(line, "query-status") {
			return events + `{"return": {"status": "prelaunch", "running": false}, "id": ` + id(line) + "}\n"
		}
		if strings.Contains(line, "cont") {
			return `{"error": {"class": "GenericError", "desc": "Resetting the Virtual Machine is required"}, "id": ` + id(line) + "}\n"
		}
		return `{"return": {}, "id": ` + id(line) + "}\n"
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if s, err := q.Status(t.Context()); err != nil || s != "prelaunch" {
		t.Errorf("Status: %q, %v", s, err)
	}
	var refused *QMPError
	if err := q.Cont(t.Context()); !errors.As(err, &refused) || refused.Class != "GenericError" || refused.Command != "cont" || !strings.Contains(refused.Text, "Resetting") {
		t.Errorf("Cont: %v", err)
	}
	if len(asked) != 3 || !strings.Contains(asked[0], "qmp_capabilities") {
		t.Errorf("it was asked %q", asked)
	}
}

func TestQMPEndsWhateverAVMMSays(t *testing.T) {
	ok := func(line string) string { return `{"return": {}, "id": ` + id(line) + "}\n" }
	for name, c := range map[string]struct {
		first string
		reply func(string) string
	}{
		"something else greets":         {"SSH-2.0-OpenSSH\n", ok},
		"a reply instead of a greeting": {`{"return": {}}` + "\n", ok},
		"a line without end":            {strings.Repeat("x", 2*maxQMPLine), ok},
		"no JSON":                       {greeting, func(string) string { return "}{\n" }},
		"events for ever":               {greeting, func(string) string { return strings.Repeat(`{"event": "STOP"}`+"\n", maxQMPEvents+1) }},
		"replies to others for ever": {greeting, func(string) string {
			return strings.Repeat(`{"return": {}, "id": 4711}`+"\n", maxQMPEvents+1)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if q, err := openQMP(ctx, vmm(t, c.first, c.reply)); !errors.Is(err, errQMP) {
				t.Errorf("openQMP: %v, %v; want errQMP", q, err)
			}
		})
	}
}

func TestQMPDoesNotWaitForAVMMThatIsSilent(t *testing.T) {
	for name, first := range map[string]string{"from the start": "", "after it greeted": greeting} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			_, err := openQMP(t.Context(), vmm(t, first, func(string) string { return "" }))
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != qmpTime {
				t.Errorf("%s: after %s: %v", name, time.Since(began), err)
			}
		})
	}
}

func FuzzParseQMP(f *testing.F) {
	for _, seed := range []string{
		greeting, `{"return": {}, "id": 7}`, `{"error": {"class": "CommandNotFound", "desc": "no\nsuch\u0000"}, "id": 7}`,
		`{"event": "SHUTDOWN", "data": {"guest": true}}`, `{"id": 1e400}`, `{"return": null}`, `{"id": {"id": 1}}`, `[]`, `{"error": null, "return": 1}`, "", "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := parseQMP(line)
		if err != nil && fmt.Sprint(m) != fmt.Sprint(qmpMessage{}) {
			t.Errorf("an error and %+v", m)
		}
		for _, s := range []string{m.class, m.text} {
			if len(s) > maxQMPText || strings.ContainsAny(s, "\n\r\x00\x1b") {
				t.Errorf("QEMU's words came through as %q", s)
			}
		}
	})
}
