package agent

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Bounds of what is kept and shown of a program's output.
const (
	ringLines    = 200
	maxLine      = 4 << 10
	consoleRate  = 20 // lines a second, per program
	consoleBurst = 100
)

// ring keeps a program's last lines and copies them to the console, where a
// program that prints without end is cut short.
type ring struct {
	log *slog.Logger

	mu      sync.Mutex
	lines   []string
	tokens  float64
	filled  time.Time
	dropped int
}

func newRing(log *slog.Logger) *ring {
	return &ring{log: log, tokens: consoleBurst, filled: time.Now()}
}

// last gives the newest n lines, oldest first.
func (r *ring) last(n int) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.lines[max(0, len(r.lines)-n):]...)
}

func (r *ring) add(line string) {
	line = printable(line)
	if line == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) == ringLines {
		copy(r.lines, r.lines[1:])
		r.lines = r.lines[:ringLines-1]
	}
	r.lines = append(r.lines, line)

	now := time.Now()
	r.tokens = min(consoleBurst, r.tokens+now.Sub(r.filled).Seconds()*consoleRate)
	r.filled = now
	if r.tokens < 1 {
		r.dropped++
		return
	}
	r.tokens--
	if r.dropped > 0 {
		r.log.Info("lines were left out", "count", r.dropped)
		r.dropped = 0
	}
	r.log.Info(line)
}

// read takes lines from rd until its end; lines over maxLine are cut.
func (r *ring) read(rd io.Reader) {
	br := bufio.NewReaderSize(rd, maxLine)
	cut := false // the rest of a line that was cut is passed over
	for {
		part, err := br.ReadSlice('\n')
		if !cut {
			r.add(string(part))
		}
		cut = errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !cut {
			return
		}
	}
}

// printable is a line that does no harm to a terminal or a log.
func printable(line string) string {
	line = strings.TrimRightFunc(strings.ToValidUTF8(line, "\ufffd"), unicode.IsSpace)
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '\ufffd'
	}, line)
}
