package agentproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

var boot = Boot{Hostname: "s-1", Files: []BootFile{
	{Path: "/run/vitrine/config.json", Mode: 0o600, Data: []byte(`{"secret":"0123456789abcdef"}`)},
	{Path: "/etc/resolv.conf", Mode: 0o644, Data: []byte("nameserver 127.0.0.1\n")},
}}

func TestABootDriveIsReadAsItWasWritten(t *testing.T) {
	drive, err := EncodeBoot(boot)
	if err != nil {
		t.Fatal(err)
	}
	if len(drive)%BootAlign != 0 || !strings.HasPrefix(string(drive), BootMagic) {
		t.Errorf("%d bytes that begin with %q", len(drive), drive[:8])
	}
	got, err := DecodeBoot(io.MultiReader(bytes.NewReader(drive), neverRead{t}))
	if err != nil || !reflect.DeepEqual(got, boot) {
		t.Errorf("%+v, %v", got, err)
	}
}

// neverRead stands behind the drive: a decoder that reads to the end of a whole
// disk would hold it.
type neverRead struct{ t *testing.T }

func (n neverRead) Read([]byte) (int, error) {
	n.t.Error("more was read than the drive says it holds")
	return 0, io.EOF
}

func TestABootDriveThatCannotBe(t *testing.T) {
	file := func(f BootFile) Boot { return Boot{Files: []BootFile{f}} }
	for _, tt := range []struct {
		name string
		boot Boot
	}{
		{"a path that goes up", file(BootFile{Path: "/run/../etc/passwd"})},
		{"a path that is relative", file(BootFile{Path: "etc/hosts"})},
		{"a path that is the root", file(BootFile{Path: "/"})},
		{"a path with a zero byte", file(BootFile{Path: "/etc/hosts\x00"})},
		{"a path without end", file(BootFile{Path: "/" + strings.Repeat("x", 300)})},
		{"a set-uid file", file(BootFile{Path: "/etc/hosts", Mode: 0o4755})},
		{"a hostname with a line end", Boot{Hostname: "a\nb"}},
		{"a hostname of 65 bytes", Boot{Hostname: strings.Repeat("x", 65)}},
		{"more files than any machine needs", Boot{Files: make([]BootFile, maxBootFiles+1)}},
		{"two megabytes", file(BootFile{Path: "/etc/hosts", Data: make([]byte, 2<<20)})},
	} {
		if _, err := EncodeBoot(tt.boot); !errors.Is(err, ErrBoot) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	drive := func(n int, body string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte(BootMagic), uint32(n)), body...)
	}
	secret := `{"hostname":7,"files":"0123456789abcdef"`
	for _, tt := range []struct {
		name string
		data []byte
	}{
		{"an empty one", nil},
		{"a squashfs", append([]byte("hsqs"), make([]byte, 100)...)},
		{"one that is cut off", drive(100, `{"hostname":`)},
		{"one that claims four gigabytes", drive(1<<32-1, "{}")},
		{"one that is not JSON", drive(len(secret), secret)},
	} {
		_, err := DecodeBoot(bytes.NewReader(tt.data))
		if !errors.Is(err, ErrBoot) {
			t.Errorf("%s: %v", tt.name, err)
		} else if strings.Contains(err.Error(), "0123456789abcdef") {
			t.Errorf("%s: the error tells the secret: %v", tt.name, err)
		}
	}
}

func FuzzDecodeBoot(f *testing.F) {
	whole, err := EncodeBoot(boot)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{nil, whole, whole[:20], []byte(BootMagic), []byte(BootMagic + "\xff\xff\xff\xff"), []byte(BootMagic + "\x00\x00\x00\x02{}")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := DecodeBoot(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrBoot) {
				t.Errorf("%v is not an error of a boot drive", err)
			}
			return
		}
		again, err := EncodeBoot(b)
		if err != nil {
			return // JSON may grow when it is written again
		}
		if c, err := DecodeBoot(bytes.NewReader(again)); err != nil || !reflect.DeepEqual(b, c) {
			t.Errorf("%+v became %+v, %v", b, c, err)
		}
	})
}
