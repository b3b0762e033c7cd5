package cdp

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// message is a DevTools message's outer form. Only these fields exist in the
// protocol; a message is always rebuilt from them, so nothing else passes.
type message struct {
	ID        *int64          `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

// Error codes of JSON-RPC and of Chromium's DevTools.
const (
	codeInvalidRequest  = -32600
	codeServerError     = -32000
	codeSessionNotFound = -32001
)

// maxID is the greatest id that every JSON reader keeps exact (2^53).
const maxID = 1 << 53

var errNotCommand = errors.New("a command must be an object with an integer id and a method")

// parse reads a message's outer form.
func parse(data []byte) (message, error) {
	var m message
	err := json.Unmarshal(data, &m)
	return m, err
}

// parseCommand reads what a client sent.
func parseCommand(data []byte) (message, error) {
	m, err := parse(data)
	if err != nil || m.ID == nil || *m.ID < -maxID || *m.ID > maxID || m.Method == "" {
		return m, errNotCommand
	}
	m.Result, m.Error = nil, nil
	return m, nil
}

// encode writes the message out. The payloads are spliced in as they are: they
// may have megabytes, and were checked when they were parsed.
func (m message) encode() []byte {
	var b bytes.Buffer
	b.Grow(len(m.Params) + len(m.Result) + len(m.Error) + len(m.Method) + len(m.SessionID) + 96)
	b.WriteByte('{')
	field := func(name string, value []byte) {
		if len(value) == 0 {
			return
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + name + `":`)
		b.Write(value)
	}
	text := func(name, value string) {
		if value == "" {
			return
		}
		quoted, _ := json.Marshal(value) // a string always marshals
		field(name, quoted)
	}
	if m.ID != nil {
		field("id", strconv.AppendInt(nil, *m.ID, 10))
	}
	text("method", m.Method)
	field("params", m.Params)
	field("result", m.Result)
	field("error", m.Error)
	text("sessionId", m.SessionID)
	b.WriteByte('}')
	return b.Bytes()
}

// failure is the answer to a command that the mux itself refuses.
func failure(id *int64, session string, code int, text string) []byte {
	body, _ := json.Marshal(struct { // an int and a string always marshal
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{code, text})
	return message{ID: id, SessionID: session, Error: body}.encode()
}

// sessionOf takes the sessionId out of params or a result.
func sessionOf(raw json.RawMessage) string {
	var v struct {
		SessionID string `json:"sessionId"`
	}
	if json.Unmarshal(raw, &v) != nil {
		return ""
	}
	return v.SessionID
}
