package flight

import "bytes"

// span is a part of a text or a view, never empty.
type span struct{ from, to int }

// view is text as a person reads it: without escape sequences and control
// characters. at is where in the text each byte stood.
type view struct {
	text  []byte
	lower []byte // ASCII in lower case
	at    []int
}

// plainView is the text as it is.
func plainView(text []byte) *view {
	v := &view{text: text, at: make([]int, len(text))}
	for i := range text {
		v.at[i] = i
	}
	v.lowerCase()
	return v
}

func viewOf(text []byte) *view {
	v := &view{text: make([]byte, 0, len(text)), at: make([]int, 0, len(text))}
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == 0x1b:
			i += escape(text[i:])
			continue
		case c < ' ' && c != '\n' && c != '\t', c == 0x7f:
		default:
			v.text, v.at = append(v.text, c), append(v.at, i)
		}
		i++
	}
	v.lowerCase()
	return v
}

func (v *view) lowerCase() {
	v.lower = make([]byte, len(v.text))
	for i, c := range v.text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		v.lower[i] = c
	}
}

// escape is the length of the escape sequence that b begins with (ECMA-48): of a
// control sequence all of it, of others the introducer only, so that no secret
// hides in a window's title.
func escape(b []byte) int {
	if len(b) < 2 || b[1] != '[' {
		return min(2, len(b))
	}
	for i := 2; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '@' && c <= '~':
			return i + 1
		case c < ' ' || c > '~':
			return i
		}
	}
	return len(b)
}

// line is the line around i.
func (v *view) line(i int) (start, end int) {
	start = bytes.LastIndexByte(v.text[:i], '\n') + 1
	if end = bytes.IndexByte(v.text[i:], '\n'); end < 0 {
		return start, len(v.text)
	}
	return start, i + end
}
