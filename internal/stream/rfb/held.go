package rfb

import "encoding/binary"

// input passes a message of input on if it may, and remembers what it holds
// down. The gate is asked under the lock that ReleaseAll takes: whoever takes
// control away first and then releases, misses nothing.
func (f *Filter) input(m []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.gate.MayInput() {
		return nil
	}
	switch m[0] {
	case msgKey:
		f.hold(m[1] != 0, binary.BigEndian.Uint32(m[4:]), 0)
	case msgQEMU:
		f.hold(binary.BigEndian.Uint16(m[2:]) != 0, binary.BigEndian.Uint32(m[4:]), binary.BigEndian.Uint32(m[8:]))
	case msgPointer:
		f.buttons = m[1]
		f.x, f.y = binary.BigEndian.Uint16(m[2:]), binary.BigEndian.Uint16(m[4:])
	}
	return f.write(m)
}

func (f *Filter) hold(down bool, keysym, keycode uint32) {
	if !down {
		delete(f.keys, keysym)
	} else if len(f.keys) < maxHeldKeys {
		f.keys[keysym] = keycode
	}
}

// ReleaseAll lets go of every key and button that was pressed through this
// filter: when the viewer loses control with a key down, its own release would
// not pass any more. It may be called from any goroutine, once the handshake is
// over or before.
func (f *Filter) ReleaseAll() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for keysym, keycode := range f.keys {
		var m []byte
		if keycode == 0 {
			m = binary.BigEndian.AppendUint32([]byte{msgKey, 0, 0, 0}, keysym)
		} else {
			m = binary.BigEndian.AppendUint32([]byte{msgQEMU, qemuExtendedKey, 0, 0}, keysym)
			m = binary.BigEndian.AppendUint32(m, keycode)
		}
		if err := f.write(m); err != nil {
			return err
		}
	}
	clear(f.keys)
	if f.buttons == 0 {
		return nil
	}
	f.buttons = 0
	m := binary.BigEndian.AppendUint16([]byte{msgPointer, 0}, f.x)
	return f.write(binary.BigEndian.AppendUint16(m, f.y))
}
