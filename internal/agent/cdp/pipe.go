package cdp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
)

// MaxMessage bounds one message in bytes, as agentproto's frames do.
const MaxMessage = 64 << 20

// keepHead is how much is kept of a message over the bound: enough for its id,
// which Chromium writes first.
const keepHead = 64

var errTooLarge = errors.New("message over the bound")

// scanner splits the pipe into messages.
type scanner struct {
	r   *bufio.Reader
	max int
}

func newScanner(r io.Reader, limit int) *scanner {
	return &scanner{r: bufio.NewReaderSize(r, 64<<10), max: limit}
}

// next gives the next message, without its zero byte, in a buffer of its own.
// One over the bound is passed over: errTooLarge with its first bytes.
func (s *scanner) next() ([]byte, error) {
	var msg []byte
	over := false
	for {
		part, err := s.r.ReadSlice(0)
		if err == nil {
			part = part[:len(part)-1]
		}
		switch {
		case over:
		case len(msg)+len(part) > s.max:
			msg = append(msg, part[:min(len(part), keepHead)]...)
			msg, over = bytes.Clone(msg[:min(len(msg), keepHead)]), true
		default:
			msg = append(msg, part...)
		}
		switch {
		case err == nil && over:
			return msg, errTooLarge
		case err == nil:
			return msg, nil
		case errors.Is(err, bufio.ErrBufferFull):
		default:
			return nil, err
		}
	}
}

// headID reads the id out of the first bytes of a reply: {"id":123,…
func headID(head []byte) (int64, bool) {
	rest, ok := bytes.CutPrefix(head, []byte(`{"id":`))
	if !ok {
		return 0, false
	}
	digits, _, ok := bytes.Cut(rest, []byte(","))
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseInt(string(digits), 10, 64)
	return id, err == nil
}
