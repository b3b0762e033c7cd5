package flight

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
)

// Redacted stands where a secret was.
const Redacted = "[redacted]"

// minKnown is the shortest known value that is looked for, in bytes: a shorter
// one would be found in every other word.
const minKnown = 6

// Redact gives text without secrets: the known values, also as base64, hex or
// in a URL, and whatever has the form or the name of one. Text may be a
// terminal's, with escape sequences in the middle of a secret, and need not be
// UTF-8. It is pure, and text itself is left as it is.
func Redact(text []byte, known ...string) []byte {
	v := viewOf(text)
	found := v.secrets(known)
	if len(v.text) < len(text) {
		// What obeys an escape sequence may show less than is there.
		found = append(found, plainView(text).secrets(known)...)
	}
	if len(found) == 0 {
		return text
	}
	slices.SortFunc(found, func(a, b span) int { return a.from - b.from })
	out := make([]byte, 0, len(text))
	done := 0
	for i := 0; i < len(found); {
		s := found[i]
		for i++; i < len(found) && found[i].from <= s.to; i++ {
			s.to = max(s.to, found[i].to)
		}
		out = append(append(out, text[done:s.from]...), Redacted...)
		done = s.to
	}
	return append(out, text[done:]...)
}

// redactString is Redact of a string.
func redactString(s string, known ...string) string { return string(Redact([]byte(s), known...)) }

// secrets finds all of them; the spans are the text's.
func (v *view) secrets(known []string) []span {
	found := v.blocks()
	for _, k := range known {
		found = append(found, v.value(k)...)
	}
	for _, r := range rules {
		found = append(found, v.matches(r)...)
	}
	for i, s := range found {
		found[i] = span{v.at[s.from], v.at[s.to-1] + 1}
	}
	return found
}

// A value of this length is also found by its beginning alone, of that many
// bytes: evidence quotes lines that may be cut.
const (
	longValue = 24
	cutValue  = 16
)

// value finds a known value in all its forms.
func (v *view) value(secret string) []span {
	if len(secret) < minKnown {
		return nil
	}
	b := []byte(secret)
	var all []span
	for _, form := range []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString(b),
		base64.StdEncoding.EncodeToString(b), base64.URLEncoding.EncodeToString(b),
		base64.RawStdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b),
	} {
		begins := form
		if len(form) >= longValue {
			begins = form[:cutValue]
		}
		for from := 0; ; {
			i := bytes.Index(v.text[from:], []byte(begins))
			if i < 0 {
				break
			}
			from += i
			n := len(begins)
			for n < len(form) && from+n < len(v.text) && v.text[from+n] == form[n] {
				n++
			}
			all = append(all, span{from, from + n})
			from += n
		}
	}
	return all
}

// matches finds what a rule takes, in the lines that hold one of its triggers.
func (v *view) matches(r rule) []span {
	var all []span
	for _, trigger := range r.triggers {
		for from := 0; from < len(v.text); {
			i := bytes.Index(v.lower[from:], []byte(trigger))
			if i < 0 {
				break
			}
			start, end := v.line(from + i)
			for _, m := range r.find.FindAllSubmatchIndex(v.text[start:end], -1) {
				s := taken(m)
				if s.to <= s.from {
					continue
				}
				s.from, s.to = s.from+start, s.to+start
				if r.wraps {
					s.to = v.wrapped(s)
				}
				all = append(all, s)
			}
			from = end + 1
		}
	}
	return all
}

// taken is the first group of a match, or all of it.
func taken(m []int) span {
	for i := 2; i+1 < len(m); i += 2 {
		if m[i] >= 0 {
			return span{m[i], m[i+1]}
		}
	}
	return span{m[0], m[1]}
}

// narrow is the narrowest terminal that is thought to break lines, in columns.
const narrow = 40

// wrapped gives the end of a token that a terminal broke at its width: the next
// lines belong to it while they hold nothing else and are no longer.
func (v *view) wrapped(s span) int {
	start, end := v.line(s.from)
	if s.to != end || end-start < narrow {
		return s.to
	}
	width := end - start
	for to := s.to; ; {
		if to >= len(v.text) {
			return to
		}
		from, end := v.line(to + 1)
		line := v.text[from:end]
		if len(line) == 0 || len(line) > width || bytes.ContainsFunc(line, notToken) {
			return to
		}
		if to = end; len(line) < width {
			return to
		}
	}
}

func notToken(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !letter && r != '-' && r != '_' && r != '.'
}
