package diagnose

import (
	"bytes"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vitrine-dev/vitrine"
)

// Bounds of what is read and quoted of a console.
const (
	maxConsole = 256 << 10 // bytes looked at, from the end
	maxLine    = 400       // bytes quoted of one line
	maxWord    = 80        // bytes quoted of one word
)

// The lines of the kernel that prove something (lib/vsprintf and mm/oom_kill.c,
// init/do_mounts.c, init/main.c, kernel/panic.c of Linux), and the one by which
// our own init gives up.
var (
	oomLines  = []string{"system is deadlocked on memory", "out of memory and no killable processes", "panic_on_oom is enabled"}
	oomKill   = []string{"out of memory: killed process", "memory cgroup out of memory"}
	rootLines = []string{"unable to mount root fs", "no working init found", "cannot open root device", "requested init", "vitrine-init: bring the machine up:"}
)

const (
	panicLine = "kernel panic - not syncing"
	bootLine  = "linux version "
)

func consoleSigns(s *Signs) *vitrine.Failure {
	lines := lines(s.Console)
	boots, panicAt, killed := 0, -1, -1
	for i, l := range lines {
		low := strings.ToLower(l)
		switch {
		case contains(low, oomLines):
			return outOfMemory(s, around(lines, i), "the machine's kernel ran out of memory (it has %s)", s.memory())
		case contains(low, rootLines):
			return vitrine.NewFailure(vitrine.FailGuestNoRoot, around(lines, i), "the machine's kernel found no root filesystem or no init")
		case panicAt < 0 && strings.Contains(low, panicLine):
			panicAt = i
		case strings.Contains(low, bootLine):
			boots++
		case contains(low, oomKill):
			killed = i
		}
	}
	switch {
	case panicAt >= 0:
		return vitrine.NewFailure(vitrine.FailGuestKernelPanic, around(lines, panicAt), "the machine's kernel panicked")
	case killed >= 0 && (s.Exited || s.Deadline > 0 || problem(s) != nil):
		return outOfMemory(s, around(lines, killed), "the machine has %s and its kernel killed a process for want of more", s.memory())
	case boots > 2 && s.Health == nil:
		return vitrine.NewFailure(vitrine.FailGuestBootLoop, around(lines, len(lines)-1), "the machine has started %d times and its agent never answered", boots)
	}
	return nil
}

func contains(s string, any []string) bool {
	for _, a := range any {
		if strings.Contains(s, a) {
			return true
		}
	}
	return false
}

// around quotes from a few lines before the one that proves it.
func around(lines []string, at int) []string {
	from := max(0, at-4)
	return lines[from:min(len(lines), from+vitrine.MaxEvidence)]
}

// evidence is the console's last lines, where nothing sharper is there to quote:
// that it is empty says something too.
func evidence(s *Signs) []string {
	all := lines(s.Console)
	if len(all) == 0 && s.Console != nil {
		return []string{"the machine has printed nothing on its console"}
	}
	return all[max(0, len(all)-vitrine.MaxEvidence/2):]
}

func tail(log []string) []string {
	var out []string
	for _, l := range log[max(0, len(log)-vitrine.MaxEvidence):] {
		out = append(out, line(l))
	}
	return out
}

// lines cuts a console into clean, bounded, not empty lines.
func lines(console []byte) []string {
	console = console[max(0, len(console)-maxConsole):]
	var out []string
	for raw := range bytes.SplitSeq(console, []byte("\n")) {
		if l := line(string(raw[:min(len(raw), 8*maxLine)])); l != "" {
			out = append(out, l)
		}
	}
	return out
}

// escapes are what terminals obey (ECMA-48 CSI and OSC); quoted, they would
// paint over whatever shows the evidence.
var escapes = regexp.MustCompile(`\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)`)

// line makes one line of the machine's that may be shown to a person.
func line(s string) string { return clean(s, maxLine) }

func word(s string) string { return clean(s, maxWord) }

func clean(s string, limit int) string {
	s = s[:min(len(s), 8*maxLine)]
	s = escapes.ReplaceAllString(strings.ToValidUTF8(s, "\uFFFD"), "")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r): // also the marks that turn text round
			return -1
		}
		return r
	}, s)
	if len(s) > limit {
		end := limit
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end] + "…"
	}
	return strings.TrimSpace(s)
}

// Quote makes lines, of an error or a log, fit to stand as evidence.
func Quote(text string) []string {
	all := lines([]byte(text))
	return all[max(0, len(all)-vitrine.MaxEvidence):]
}
