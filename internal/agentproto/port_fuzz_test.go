package agentproto

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

var portSeeds = []string{
	"", "x", "\x00\x00\n", "\x00\x05he", "\x00\x02hi\n", "\xff\xff", "\x40\x00", portHello, portHello + strings.Repeat("n", nonceLen),
	portHello + strings.Repeat("n", nonceLen) + "\x00\x02hi\n\x00\x00\nmore", portHello[:3] + portHello, portAnswer, portAnswer + strings.Repeat("n", nonceLen),
}

// Whatever lies in a port, the next host gets through, and gets nothing else.
func FuzzGuestPort(f *testing.F) {
	for _, s := range portSeeds {
		f.Add([]byte(s), []byte(s), true)
		f.Add([]byte(portHello+strings.Repeat("n", nonceLen)+s), []byte(s), false)
	}
	f.Fuzz(func(t *testing.T, toGuest, toHost []byte, blind bool) {
		w := newWire()
		w.blind, w.stale = blind, toHost
		l := echo(w)
		defer l.Close()
		for piece := range chunksOf(toGuest) {
			w.toGuest <- piece
		}
		if !blind {
			w.toGuest <- nil
		}
		say(t, dial(t, w), "the next one")
	})
}

// chunksOf cuts data where its own bytes say.
func chunksOf(data []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for n := 0; len(data) > 0; n++ {
			size := len(data)
			if n < 50 {
				size = min(1+int(data[0]%13), len(data))
			}
			if !yield(data[:size]) {
				return
			}
			data = data[size:]
		}
	}
}

// A hostile guest gets no more into the host than it sent, and never holds it.
func FuzzHostPort(f *testing.F) {
	for _, s := range portSeeds {
		f.Add([]byte(s), []byte(s))
	}
	f.Fuzz(func(t *testing.T, before, after []byte) {
		host, guest := net.Pipe()
		go func() {
			hello := make([]byte, len(portHello)+nonceLen)
			_, _ = io.ReadFull(guest, hello)
			all := slices.Concat(before, []byte(portAnswer), hello[len(portHello):], after)
			for piece := range chunksOf(all) {
				_, _ = guest.Write(piece)
			}
			_ = guest.Close()
		}()
		c, err := HostPort(t.Context(), host)
		if err != nil {
			t.Fatalf("an answer after %q was not found: %v", before, err)
		}
		defer c.Close()
		if got, err := io.ReadAll(c); len(got) > len(after) || (err == nil && !bytes.Contains(after, []byte("\x00\x00\n"))) {
			t.Errorf("%d bytes and %v out of %q", len(got), err, after)
		}
	})
}

// What the host sends holds one hello, whatever it carries, and arrives.
func FuzzPortPayload(f *testing.F) {
	for _, s := range portSeeds {
		f.Add([]byte(s))
		f.Add([]byte(strings.Repeat(s, 3000)))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var sent bytes.Buffer
		if n, err := writeChunks(&sent, chunkBuffer(), payload); n != len(payload) || err != nil {
			t.Fatalf("%d of %d bytes were sent, %v", n, len(payload), err)
		}
		if bytes.Contains(sent.Bytes(), []byte(portHello)) {
			t.Errorf("%q holds a hello", sent.Bytes())
		}
		var got []byte
		var d dechunker
		for piece := range chunksOf(sent.Bytes()) {
			for len(piece) > 0 {
				part, rest, end, err := d.next(piece)
				if err != nil || end {
					t.Fatalf("taken apart: end %v, %v", end, err)
				}
				got, piece = append(got, part...), rest
			}
		}
		if !bytes.Equal(got, payload) {
			t.Errorf("%q became %q", payload, got)
		}
	})
}
