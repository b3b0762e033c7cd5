package rfb

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// Message types, viewer to desktop.
const (
	msgSetPixelFormat   = 0
	msgSetEncodings     = 2
	msgUpdateRequest    = 3
	msgKey              = 4
	msgPointer          = 5
	msgCutText          = 6
	msgContinuous       = 150 // EnableContinuousUpdates
	msgFence            = 248
	msgSetDesktopSize   = 251
	msgQEMU             = 255
	qemuExtendedKey     = 0
	encExtendedMouse    = -316 // ExtendedMouseButtons: makes PointerEvent's length depend on a bit
	securityNone        = 1
	maxEncodings        = 256
	maxCutText          = 1<<20 + 1024 // a 1 MiB clipboard; the extended form is compressed
	maxFence            = 64           // the extension's own bound
	maxScreens          = 16
	maxHeldKeys         = 64
	versionLen          = 12
	initShared          = 1
	maxVersionHandshake = "RFB 003.008\n"
	minVersionHandshake = "RFB 003.007\n"
)

// Gate says whether input may pass now. It is asked for each message, with the
// filter locked: it must not call back.
type Gate interface {
	MayInput() bool
}

// Filter reads a viewer's bytes and writes to the desktop those that may pass.
type Filter struct {
	gate Gate

	buf  []byte
	step func(*Filter) (int, error) // consumes a whole message from buf, 0 for "more"

	mu      sync.Mutex // of out and what is held: ReleaseAll comes from elsewhere
	out     io.Writer
	keys    map[uint32]uint32 // keysym → keycode (0 without the QEMU extension), held down through us
	buttons byte
	x, y    uint16
}

// NewFilter makes a filter that writes to out.
func NewFilter(out io.Writer, gate Gate) *Filter {
	return &Filter{gate: gate, out: out, step: (*Filter).version, keys: map[uint32]uint32{}}
}

// Feed takes the viewer's next bytes. An error is final: the viewer broke the
// protocol, or the desktop is gone.
func (f *Filter) Feed(b []byte) error {
	f.buf = append(f.buf, b...)
	used := 0
	for used < len(f.buf) {
		rest := f.buf
		f.buf = f.buf[used:]
		n, err := f.step(f)
		f.buf = rest
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		used += n
	}
	// Keep what is left at the front: what was used is never needed again.
	f.buf = f.buf[:copy(f.buf, f.buf[used:])]
	if cap(f.buf) > 64<<10 && len(f.buf) == 0 {
		f.buf = nil
	}
	return nil
}

func (f *Filter) pass(b []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.write(b)
}

func (f *Filter) write(b []byte) error {
	if _, err := f.out.Write(b); err != nil {
		return fmt.Errorf("writing to the desktop: %w", err)
	}
	return nil
}

func (f *Filter) version() (int, error) {
	if len(f.buf) < versionLen {
		return 0, nil
	}
	if v := string(f.buf[:versionLen]); v != maxVersionHandshake && v != minVersionHandshake {
		return 0, fmt.Errorf("RFB version %q: 3.8 is spoken", v)
	}
	f.step = (*Filter).security
	return versionLen, f.pass(f.buf[:versionLen])
}

func (f *Filter) security() (int, error) {
	if f.buf[0] != securityNone {
		return 0, fmt.Errorf("RFB security type %d: only None is offered, the ticket has let you in", f.buf[0])
	}
	f.step = (*Filter).clientInit
	return 1, f.pass(f.buf[:1])
}

// clientInit always asks for a shared session: an exclusive one would throw the
// other viewers out.
func (f *Filter) clientInit() (int, error) {
	f.step = (*Filter).message
	return 1, f.pass([]byte{initShared})
}

// message handles one message at the front of buf.
func (f *Filter) message() (int, error) {
	n, err := length(f.buf)
	if err != nil || n == 0 || len(f.buf) < n {
		return 0, err
	}
	m := f.buf[:n]
	switch m[0] {
	case msgKey, msgPointer, msgCutText, msgSetDesktopSize, msgQEMU:
		return n, f.input(m)
	case msgSetEncodings:
		return n, f.pass(withoutExtendedMouse(m))
	}
	return n, f.pass(m)
}

// length is the whole length of the message that begins b, 0 when b is too
// short to tell.
func length(b []byte) (int, error) {
	need := func(n int) bool { return len(b) >= n }
	switch b[0] {
	case msgSetPixelFormat:
		return 20, nil
	case msgSetEncodings:
		if !need(4) {
			return 0, nil
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n > maxEncodings {
			return 0, fmt.Errorf("RFB SetEncodings names %d encodings, at most %d are taken", n, maxEncodings)
		}
		return 4 + 4*n, nil
	case msgUpdateRequest, msgContinuous:
		return 10, nil
	case msgKey:
		return 8, nil
	case msgPointer:
		return 6, nil
	case msgCutText:
		if !need(8) {
			return 0, nil
		}
		n := int64(int32(binary.BigEndian.Uint32(b[4:]))) // negative: the extended clipboard's
		if n < 0 {
			n = -n
		}
		if n > maxCutText {
			return 0, fmt.Errorf("RFB ClientCutText has %d bytes, at most %d are taken", n, maxCutText)
		}
		return 8 + int(n), nil
	case msgFence:
		if !need(9) {
			return 0, nil
		}
		if b[8] > maxFence {
			return 0, fmt.Errorf("RFB ClientFence has %d bytes, at most %d are taken", b[8], maxFence)
		}
		return 9 + int(b[8]), nil
	case msgSetDesktopSize:
		if !need(8) {
			return 0, nil
		}
		if b[6] > maxScreens {
			return 0, fmt.Errorf("RFB SetDesktopSize has %d screens, at most %d are taken", b[6], maxScreens)
		}
		return 8 + 16*int(b[6]), nil
	case msgQEMU:
		if !need(2) {
			return 0, nil
		}
		if b[1] != qemuExtendedKey {
			return 0, fmt.Errorf("RFB QEMU message %d is not spoken here", b[1])
		}
		return 12, nil
	}
	return 0, fmt.Errorf("RFB message %d is not spoken here", b[0])
}

// withoutExtendedMouse leaves out the one encoding that would make the length
// of a PointerEvent ambiguous.
func withoutExtendedMouse(m []byte) []byte {
	out := append(make([]byte, 0, len(m)), m[:4]...)
	for i := 4; i+4 <= len(m); i += 4 {
		if int32(binary.BigEndian.Uint32(m[i:])) != encExtendedMouse {
			out = append(out, m[i:i+4]...)
		}
	}
	binary.BigEndian.PutUint16(out[2:], uint16((len(out)-4)/4))
	return out
}
