package flight

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// longestLine is how far a cut looks for a line's end before it gives up on
// one, in bytes.
const longestLine = 8 << 10

// tail gives the last n bytes, without the part of a line that the cut has left:
// it might be the half of a secret by which nobody knows it any more. whole says
// that text was not cut already, by whoever kept it.
func tail(text []byte, n int, whole bool) []byte {
	if len(text) <= n && whole {
		return text
	}
	text = text[max(0, len(text)-n):]
	if i := bytes.IndexByte(text, '\n'); i >= 0 && i < longestLine {
		return text[i+1:]
	}
	return text[min(len(text), longestLine):]
}

// clean gives the last n lines as a person reads them: UTF-8, without control
// characters, no line longer than width characters.
func clean(text []byte, n, width int) []string {
	v := viewOf(text)
	var lines []string
	for _, l := range strings.Split(strings.ToValidUTF8(string(v.text), "\uFFFD"), "\n") {
		if l = strings.TrimRight(l, " \t"); l != "" {
			lines = append(lines, shorten(l, width))
		}
	}
	return lines[max(0, len(lines)-n):]
}

// shorten cuts a line.
func shorten(l string, width int) string {
	if utf8.RuneCountInString(l) <= width {
		return l
	}
	return string([]rune(l)[:width]) + "…"
}

// redactor takes the secrets of one session out of what is written.
type redactor []string

func (k redactor) text(b []byte) []byte   { return Redact(b, k...) }
func (k redactor) string(s string) string { return redactString(s, k...) }

// json gives a value as indented JSON: every string in it is redacted, names
// too, and what stands under the name of a secret is taken whole.
func (k redactor) json(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err = e.Encode(k.tree(tree))
	return out.Bytes(), err
}

func (k redactor) tree(v any) any {
	switch v := v.(type) {
	case string:
		return k.string(v)
	case []any:
		if lines, ok := stringsOf(v); ok {
			return k.lines(lines)
		}
		for i := range v {
			v[i] = k.tree(v[i])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			if s, ok := value.(string); ok && s != "" && secretName.MatchString(name) {
				value = Redacted
			}
			out[k.string(name)] = k.tree(value)
		}
		return out
	}
	return v
}

func stringsOf(list []any) (lines []string, ok bool) {
	for _, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		lines = append(lines, s)
	}
	return lines, len(lines) > 0
}

// lines redacts lines that belong together: a secret may go over several.
func (k redactor) lines(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	return strings.Split(k.string(strings.Join(lines, "\n")), "\n")
}
