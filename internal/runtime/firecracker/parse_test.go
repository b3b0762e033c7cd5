package firecracker

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

func TestVersionsAreRead(t *testing.T) {
	for _, c := range []struct {
		said, want string
		ok, enough bool
	}{
		{"Firecracker v1.16.1\n\nSupported snapshot data format versions: v9.0.0\n", "1.16.1", true, true},
		{"Firecracker v1.17.0-dev\n", "1.17.0", true, true},
		{"Jailer v2.0.0\n\n", "2.0.0", true, true},
		{"Firecracker v1.16.0\n", "1.16.0", true, false},
		{"Firecracker v1.9.30\n", "1.9.30", true, false},
		{"Firecracker v1.16\n", "0.0.0", false, false},
		{"crun version 1.8.1\n", "0.0.0", false, false},
		{"Firecracker v99999.1.1\n", "0.0.0", false, false},
		{"", "0.0.0", false, false},
	} {
		v, ok := parseVersion(c.said)
		if ok != c.ok || v.String() != c.want || ok && v.before(least) == c.enough {
			t.Errorf("%q: %s, %v", c.said, v, ok)
		}
	}
}

func FuzzVersion(f *testing.F) {
	f.Add("Firecracker v1.16.1\n")
	f.Add("Firecracker v01.016.1-dev")
	f.Fuzz(func(t *testing.T, said string) {
		v, ok := parseVersion(said)
		for _, n := range v {
			if n < 0 || n > 9999 || !ok && n != 0 {
				t.Errorf("%q: %s, %v", said, v, ok)
			}
		}
	})
}

func TestAUIDInUseIsFound(t *testing.T) {
	const status = "Name:\tsleep\nUmask:\t0022\nState:\t%STATE\nTgid:\t7\nUid:\t%UID\nGid:\t0\t0\t0\t0\n"
	for _, c := range []struct {
		name, state, uid string
		want             bool
	}{
		{"it runs", "R (running)", "1114112\t1114112\t1114112\t1114112", true},
		{"it has it as its saved uid", "S (sleeping)", "0\t0\t1114112\t0", true},
		{"it has ended", "Z (zombie)", "1114112\t1114112\t1114112\t1114112", false},
		{"its uid begins the same", "S (sleeping)", "11141120\t11141120\t11141120\t11141120", false},
	} {
		text := strings.NewReplacer("%STATE", c.state, "%UID", c.uid).Replace(status)
		if got := hasUID([]byte(text), 1114112); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if hasUID([]byte("Name:\tUid:\t1114112\n"), 1114112) || hasUID(nil, 0) {
		t.Error("a name was taken for a uid")
	}
}

func TestWhatAVMMAnswersToCONNECT(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		ok           bool
		rest         string
	}{
		{"a port", "OK 1073741824\nHTTP", true, "HTTP"},
		{"nobody listens", "", false, ""},
		{"half a line", "OK 12", false, ""},
		{"no number", "OK x\n", false, ""},
		{"a number that is none", "OK 99999999999\n", false, ""},
		{"something else", "HTTP/1.1 400 Bad Request\n", false, ""},
		{"a line without end", strings.Repeat("O", 4096), false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer ours.Close()
			asked := make(chan string, 1)
			go func() {
				defer theirs.Close()
				line := make([]byte, len("CONNECT 1024\n"))
				_, _ = io.ReadFull(theirs, line)
				asked <- string(line)
				_, _ = io.WriteString(theirs, c.answer)
			}()
			err := connect(t.Context(), ours)
			if (err == nil) != c.ok {
				t.Fatalf("it gives %v", err)
			}
			if got := <-asked; got != "CONNECT 1024\n" {
				t.Errorf("it was asked %q", got)
			}
			if c.ok {
				rest := make([]byte, len(c.rest))
				if _, err := io.ReadFull(ours, rest); err != nil || string(rest) != c.rest {
					t.Errorf("what follows is %q, %v", rest, err)
				}
			}
		})
	}
}

func TestAVMMThatDoesNotAnswerCONNECTIsGivenUpOn(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := connect(ctx, ours); err == nil {
		t.Error("it gives a connection")
	}
}

func FuzzConnect(f *testing.F) {
	f.Add([]byte("OK 1\n"))
	f.Add([]byte("OK \n\n\x00"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		go func() {
			defer theirs.Close()
			_, _ = io.ReadFull(theirs, make([]byte, len("CONNECT 1024\n")))
			_, _ = theirs.Write(answer)
		}()
		if err := connect(t.Context(), ours); err == nil && !strings.HasPrefix(string(answer), "OK ") {
			t.Errorf("%q was taken for a port", answer)
		}
	})
}

func TestACopyHasTheHolesAndTheDigestOfItsFile(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	f, err := os.Create(from)
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20
	for _, w := range []struct {
		at   int64
		text string
	}{{0, "the start"}, {10<<20 + 5, "the middle"}, {size - 7, "the end"}} {
		if _, err := f.WriteAt([]byte(w.text)[:min(len(w.text), int(size-w.at))], w.at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "to")
	if err := vm.CopySparse(from, to); err != nil {
		t.Fatal(err)
	}
	if err := vm.CopySparse(from, to); err == nil {
		t.Error("a file that is there was written over")
	}
	one, err1 := digest(from)
	two, err2 := digest(to)
	if err1 != nil || err2 != nil || one != two {
		t.Errorf("the digests are %s and %s (%v, %v)", one, two, err1, err2)
	}
	if n := blocks(t, to); n > 1<<20 {
		t.Errorf("the copy takes %d bytes", n)
	}
	// The same content without holes has the same digest.
	all, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	dense := filepath.Join(dir, "dense")
	if err := os.WriteFile(dense, all, 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := digest(dense); err != nil || d != one {
		t.Errorf("without holes the digest is %s, %v; want %s", d, err, one)
	}
	// And another content another.
	for _, at := range []int64{3, 20 << 20, size - 1} {
		other := append([]byte(nil), all...)
		other[at] ^= 1
		if err := os.WriteFile(dense, other, 0o600); err != nil {
			t.Fatal(err)
		}
		if d, _ := digest(dense); d == one {
			t.Errorf("with byte %d changed the digest is the same", at)
		}
	}
	if err := os.WriteFile(dense, all[:size-4096], 0o600); err != nil {
		t.Fatal(err)
	}
	if d, _ := digest(dense); d == one {
		t.Error("cut short the digest is the same")
	}
}

func blocks(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestAnotherProcessorIsAnother(t *testing.T) {
	const one = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\nflags\t\t: fpu avx2\ncpu MHz\t\t: 2100.1\n\nprocessor\t: 1\nflags\t\t: fpu\n"
	base := processorSum([]byte(one), nil)
	for _, c := range []struct {
		name, info, config string
		same               bool
	}{
		{"at another clock rate", strings.Replace(one, "2100.1", "3900.7", 1), "", true},
		{"with a feature less", strings.Replace(one, " avx2", "", 1), "", false},
		{"of another make", strings.Replace(one, "GenuineIntel", "AuthenticAMD", 1), "", false},
		{"told otherwise", one, "{}", false},
	} {
		if same := string(processorSum([]byte(c.info), []byte(c.config))) == string(base); same != c.same {
			t.Errorf("%s: the same %v", c.name, same)
		}
	}
}
