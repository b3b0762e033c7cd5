package stream

import (
	"strings"
	"testing"
)

func FuzzFragment(f *testing.F) {
	f.Add("a=ice-ufrag:x\r\na=mid:0\r\na=candidate:1 1 udp 1 203.0.113.7 9 typ host\r\na=end-of-candidates\r\n")
	f.Add("m=video 9 RTP/AVP 0\na=mid:v\na=candidate:")
	f.Add("<html>")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := readFragment(s)
		if err == nil && len(list) > strings.Count(s, "candidate:") {
			t.Errorf("%d candidates of %q", len(list), s)
		}
	})
}
