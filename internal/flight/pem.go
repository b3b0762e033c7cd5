package flight

import "bytes"

// PEM blocks (RFC 7468) and those of PGP (RFC 9580) have a line before and one
// after; in an environment or a JSON string it is all one line.
var (
	pemBegin = []byte("-----begin ")
	pemEnd   = []byte("-----end ")
	pemDash  = []byte("-----")
)

// maxPEM is how far an end is looked for, in bytes: a chain of certificates is
// a few thousand.
const maxPEM = 64 << 10

// blocks finds PEM blocks, whole, begun and not ended, or without their
// beginning because the text was cut there.
func (v *view) blocks() []span {
	var all []span
	for from := 0; from < len(v.lower); {
		begin, end := index(v.lower, pemBegin, from), index(v.lower, pemEnd, from)
		switch {
		case begin < 0 && end < 0:
			return all
		case end >= 0 && (begin < 0 || end < begin): // its beginning was cut off
			s := span{v.before(from, end), v.marker(end + len(pemEnd))}
			all, from = append(all, s), s.to
		default:
			s := span{begin, 0}
			if end = index(v.lower, pemEnd, begin); end >= 0 && end-begin < maxPEM {
				s.to = v.marker(end + len(pemEnd))
			} else {
				s.to = v.body(v.marker(begin + len(pemBegin)))
			}
			all, from = append(all, s), s.to
		}
	}
	return all
}

func index(b, what []byte, from int) int {
	if i := bytes.Index(b[from:], what); i >= 0 {
		return from + i
	}
	return -1
}

// marker is the end of a marker line's dashes.
func (v *view) marker(i int) int {
	_, end := v.line(min(i, max(len(v.text)-1, 0)))
	end = max(end, i)
	if j := index(v.text[:end], pemDash, i); j >= 0 {
		return j + len(pemDash)
	}
	return end
}

// body is the end of the headers (RFC 1421) and the base64 that begin at i.
func (v *view) body(i int) int {
	for i < len(v.text) && v.text[i] == '\n' {
		_, end := v.line(i + 1)
		name, _, ok := bytes.Cut(v.text[i+1:end], []byte(": "))
		if !ok || len(name) == 0 || bytes.ContainsFunc(name, func(r rune) bool { return r != '-' && !base64ish(byte(r)) }) {
			break
		}
		i = end
	}
	for i < len(v.text) && (base64ish(v.text[i]) || v.text[i] == '\n') {
		i++
	}
	return i
}

// before is where the base64 lines that end at i began, not before from.
func (v *view) before(from, i int) int {
	for i > from && (base64ish(v.text[i-1]) || v.text[i-1] == '\n') {
		i--
	}
	return i
}

// base64ish takes the backslash too: of a newline that is written \n.
func base64ish(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '=' || c == '\\'
}
