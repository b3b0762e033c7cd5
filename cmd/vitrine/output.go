package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// printJSON writes v as indented JSON.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// progress shows what is going on: one line that changes on a terminal, one
// line a step elsewhere. It writes to stderr, so that stdout stays clean.
type progress struct {
	w        *os.File
	terminal bool
	width    int
	last     string
	started  time.Time
}

func newProgress(w *os.File) *progress {
	p := &progress{w: w, terminal: term.IsTerminal(int(w.Fd())), width: 80, started: time.Now()}
	if p.terminal {
		if w, _, err := term.GetSize(int(w.Fd())); err == nil && w > 20 {
			p.width = w
		}
	}
	return p
}

// step shows a line; percent < 0 when it is not known.
func (p *progress) step(what string, percent int) {
	if !p.terminal {
		if what != p.last {
			fmt.Fprintf(p.w, "%6.1fs  %s\n", time.Since(p.started).Seconds(), what)
			p.last = what
		}
		return
	}
	line := what
	if percent >= 0 {
		const cells = 24
		full := min(percent, 100) * cells / 100
		line = fmt.Sprintf("[%s%s] %3d%%  %s", strings.Repeat("█", full), strings.Repeat("·", cells-full), percent, what)
	}
	line = fmt.Sprintf("%s (%s)", line, time.Since(p.started).Round(time.Second))
	if r := []rune(line); len(r) > p.width-1 {
		line = string(r[:p.width-1])
	}
	fmt.Fprintf(p.w, "\r\x1b[2K%s", line)
}

// done clears the line and leaves a last word.
func (p *progress) done(format string, args ...any) {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[2K")
	}
	if format != "" {
		fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// ago says a time as a person would.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := now.Sub(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return t.Local().Format("2006-01-02")
}
