package qemu

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Bounds of what QEMU may say: a guest may have taken it over.
const (
	maxQMPLine   = 64 << 10 // bytes; the longest reply that is asked for has 300
	maxQMPEvents = 1000     // messages of other kinds before one reply
	maxQMPText   = 300      // bytes of an error's text that are kept
)

// qmpTime bounds one exchange where the caller's context does not.
const qmpTime = 10 * time.Second

// QMPError is QEMU's refusal of a command: its class (QAPI's QapiErrorClass) and
// its own words.
type QMPError struct{ Command, Class, Text string }

func (e *QMPError) Error() string {
	return fmt.Sprintf("QEMU refuses %s: %s (%s)", e.Command, e.Text, e.Class)
}

// errQMP says that what talks QMP is not QEMU, or no longer.
var errQMP = errors.New("QEMU does not keep to its protocol")

// qmp is a QMP connection (QEMU's docs/interop/qmp-spec): a greeting, then one
// JSON object a line each way. It is for one goroutine.
type qmp struct {
	conn net.Conn
	in   *bufio.Reader
	id   int64
}

// openQMP reads the greeting and leaves negotiation, after which commands are
// taken. It closes conn when it fails.
func openQMP(ctx context.Context, conn net.Conn) (*qmp, error) {
	q := &qmp{conn: conn, in: bufio.NewReaderSize(conn, 4<<10)}
	err := q.within(ctx, func() error {
		m, err := q.read()
		if err == nil && m.kind != qmpGreeting {
			err = fmt.Errorf("%w: no greeting", errQMP)
		}
		return err
	})
	if err == nil {
		err = q.call(ctx, "qmp_capabilities", nil)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return q, nil
}

// Cont lets the guest run.
func (q *qmp) Cont(ctx context.Context) error { return q.call(ctx, "cont", nil) }

// Status is the state of the guest's processors, such as "prelaunch", "running",
// "paused" or "shutdown" (QAPI's RunState).
func (q *qmp) Status(ctx context.Context) (string, error) {
	var out struct {
		Status string `json:"status"`
	}
	if err := q.call(ctx, "query-status", &out); err != nil {
		return "", err
	}
	return clip(out.Status), nil
}

// Close hangs up; the guest runs on.
func (q *qmp) Close() error { return q.conn.Close() }

// call makes one exchange: events and replies to others are passed over.
func (q *qmp) call(ctx context.Context, command string, out any) error {
	q.id++
	line, err := json.Marshal(struct {
		Execute string `json:"execute"`
		ID      int64  `json:"id"`
	}{command, q.id})
	if err != nil {
		return err
	}
	err = q.within(ctx, func() error {
		if _, err := q.conn.Write(append(line, '\n')); err != nil {
			return err
		}
		for range maxQMPEvents {
			m, err := q.read()
			if err != nil {
				return err
			}
			if m.id != q.id || m.kind != qmpReturn && m.kind != qmpRefusal {
				continue
			}
			if m.kind == qmpRefusal {
				return &QMPError{Command: command, Class: m.class, Text: m.text}
			}
			if out == nil {
				return nil
			}
			if json.Unmarshal(m.result, out) != nil {
				return fmt.Errorf("%w: its reply is of another form", errQMP)
			}
			return nil
		}
		return fmt.Errorf("%w: %d messages and no reply", errQMP, maxQMPEvents)
	})
	var refused *QMPError
	if err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("asking QEMU for %s: %w", command, err)
	}
	return err
}

// within runs f with the connection's deadline at ctx's, qmpTime at most.
func (q *qmp) within(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, qmpTime)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = q.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	err := f()
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("no answer: %w", context.Cause(ctx))
	}
	return err
}

// read reads one line and takes it apart.
func (q *qmp) read() (qmpMessage, error) {
	var line []byte
	for {
		part, err := q.in.ReadSlice('\n')
		if len(line)+len(part) > maxQMPLine {
			return qmpMessage{}, fmt.Errorf("%w: a line of more than %d bytes", errQMP, maxQMPLine)
		}
		line = append(line, part...)
		if err == nil {
			return parseQMP(line)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return qmpMessage{}, err
		}
	}
}

type qmpKind int

const (
	qmpOther qmpKind = iota // an event, or what a later QEMU may add
	qmpGreeting
	qmpReturn
	qmpRefusal
)

type qmpMessage struct {
	kind        qmpKind
	id          int64 // 0 when it has none of ours
	result      json.RawMessage
	class, text string
}

// parseQMP takes one line of QEMU's apart. It is fuzzed.
func parseQMP(line []byte) (qmpMessage, error) {
	var raw struct {
		QMP    json.RawMessage `json:"QMP"`
		Return json.RawMessage `json:"return"`
		Error  *struct {
			Class string `json:"class"`
			Desc  string `json:"desc"`
		} `json:"error"`
		Event string          `json:"event"`
		ID    json.RawMessage `json:"id"`
	}
	if err := json.Unmarshal(bytes.TrimSpace(line), &raw); err != nil {
		return qmpMessage{}, fmt.Errorf("%w: a line that is no message", errQMP)
	}
	m := qmpMessage{}
	if json.Unmarshal(raw.ID, &m.id) != nil {
		m.id = 0
	}
	switch {
	case raw.Event != "":
	case raw.Error != nil:
		m.kind, m.class, m.text = qmpRefusal, clip(raw.Error.Class), clip(raw.Error.Desc)
	case raw.Return != nil:
		m.kind, m.result = qmpReturn, raw.Return
	case raw.QMP != nil:
		m.kind = qmpGreeting
	}
	return m, nil
}

// clip bounds QEMU's words and keeps them on one line.
func clip(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	return s[:min(len(s), maxQMPText)]
}
