package rfb

import (
	"bytes"
	"strings"
	"testing"
)

type gate bool

func (g *gate) MayInput() bool { return bool(*g) }

const handshake = "RFB 003.008\n\x01\x00"

func open(t *testing.T, control bool) (*Filter, *bytes.Buffer, *gate) {
	t.Helper()
	out, g := &bytes.Buffer{}, gate(control)
	f := NewFilter(out, &g)
	if err := f.Feed([]byte(handshake)); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "RFB 003.008\n\x01\x01" {
		t.Fatalf("handshake passed as %q: want it shared", got)
	}
	out.Reset()
	return f, out, &g
}

var (
	key       = "\x04\x01\x00\x00\x00\x00\x00a"
	keyUp     = "\x04\x00\x00\x00\x00\x00\x00a"
	pointer   = "\x05\x01\x00\x10\x00\x20"
	pointerUp = "\x05\x00\x00\x10\x00\x20"
	cut       = "\x06\x00\x00\x00\x00\x00\x00\x02hi"
	cutExt    = "\x06\x00\x00\x00\xff\xff\xff\xfc\x00\x00\x00\x01"
	resize    = "\xfb\x00\x05\x00\x02\xd0\x01\x00" + strings.Repeat("s", 16)
	qemu      = "\xff\x00\x00\x01\x00\x00\x00b\x00\x00\x00\x30"
	qemuUp    = "\xff\x00\x00\x00\x00\x00\x00b\x00\x00\x00\x30"
	update    = "\x03\x01\x00\x00\x00\x00\x05\x00\x02\xd0"
	format    = "\x00\x00\x00\x00" + strings.Repeat("p", 16)
	fence     = "\xf8\x00\x00\x00\x80\x00\x00\x00\x02ab"
	contin    = "\x96\x01\x00\x00\x00\x00\x05\x00\x02\xd0"
	encodings = "\x02\x00\x00\x02\x00\x00\x00\x07\xff\xff\xff\x21"
)

func TestInputPassesOnlyInControl(t *testing.T) {
	always := []string{update, format, fence, contin, encodings}
	input := []string{key, pointer, cut, cutExt, resize, qemu}
	for _, control := range []bool{true, false} {
		f, out, _ := open(t, control)
		var want strings.Builder
		for _, m := range append(append([]string{}, always...), input...) {
			if err := f.Feed([]byte(m)); err != nil {
				t.Fatalf("%q: %v", m, err)
			}
		}
		for _, m := range always {
			want.WriteString(m)
		}
		if control {
			want.WriteString(strings.Join(input, ""))
		}
		if out.String() != want.String() {
			t.Errorf("control %v: passed %q, want %q", control, out, want.String())
		}
	}
}

func TestMessagesMayComeByteByByte(t *testing.T) {
	f, out, _ := open(t, true)
	all := update + key + cut + resize + qemu + fence + pointer
	for i := range len(all) {
		if err := f.Feed([]byte{all[i]}); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != all {
		t.Errorf("passed %q, want %q", out, all)
	}
}

func TestExtendedMouseIsNotNegotiated(t *testing.T) {
	f, out, _ := open(t, true)
	if err := f.Feed([]byte("\x02\x00\x00\x02\xff\xff\xfe\xc4\x00\x00\x00\x07")); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "\x02\x00\x00\x01\x00\x00\x00\x07" {
		t.Errorf("passed %q", got)
	}
}

func TestHeldKeysAreReleasedWhenControlIsLost(t *testing.T) {
	f, out, g := open(t, true)
	if err := f.Feed([]byte(key + qemu + pointer)); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	*g = false
	if err := f.ReleaseAll(); err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{keyUp, qemuUp, pointerUp} {
		if !strings.Contains(out.String(), m) {
			t.Errorf("%q was not sent in %q", m, out)
		}
	}
	out.Reset()
	if err := f.ReleaseAll(); err != nil || out.Len() != 0 {
		t.Errorf("a second release sent %q, %v", out, err)
	}
}

func TestBrokenViewersAreRefused(t *testing.T) {
	for name, in := range map[string]string{
		"an old version":          "RFB 003.003\n",
		"not RFB":                 "GET / HTTP/1.1\r\n",
		"a password":              "RFB 003.008\n\x02",
		"an unknown message":      handshake + "\x63",
		"xvp, which could reboot": handshake + "\xfa\x00\x01\x02",
		"a gigabyte of clipboard": handshake + "\x06\x00\x00\x00\x40\x00\x00\x00",
		"the least int32":         handshake + "\x06\x00\x00\x00\x80\x00\x00\x00",
		"thousands of encodings":  handshake + "\x02\x00\xff\xff",
		"a fence over its bound":  handshake + "\xf8\x00\x00\x00\x00\x00\x00\x00\xff",
		"hundreds of screens":     handshake + "\xfb\x00\x05\x00\x02\xd0\xff\x00",
		"QEMU audio, not spoken":  handshake + "\xff\x01\x00\x00",
	} {
		g := gate(true)
		if err := NewFilter(&bytes.Buffer{}, &g).Feed([]byte(in)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// FuzzFilter holds: no panic, bounded memory, and cutting the bytes elsewhere
// changes nothing.
func FuzzFilter(f *testing.F) {
	for _, m := range []string{"", key, pointer, cut, cutExt, resize, qemu, update, format, fence, contin, encodings, "\xff\x01", "\x06\x00\x00\x00\x7f\xff\xff\xff"} {
		f.Add([]byte(handshake+m+update), uint8(3), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint8, control bool) {
		g := gate(control)
		whole, pieces := &bytes.Buffer{}, &bytes.Buffer{}
		a, b := NewFilter(whole, &g), NewFilter(pieces, &g)
		errA := a.Feed(in)
		var errB error
		for rest := in; len(rest) > 0 && errB == nil; {
			n := min(int(cut)+1, len(rest))
			errB = b.Feed(rest[:n])
			rest = rest[n:]
		}
		if (errA == nil) != (errB == nil) || !bytes.Equal(whole.Bytes(), pieces.Bytes()) {
			t.Fatalf("whole %q %v, in pieces %q %v", whole, errA, pieces, errB)
		}
		if len(a.buf) > maxCutText+8+len(in) {
			t.Fatalf("%d bytes are held", len(a.buf))
		}
	})
}
