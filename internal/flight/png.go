package flight

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// pngMagic is how every PNG begins (ISO/IEC 15948, 5.2).
var pngMagic = []byte("\x89PNG\r\n\x1a\n")

// pngKept are the chunks that a picture needs; the others hold text, times and
// colour profiles, where a machine could put anything.
var pngKept = map[string]bool{"IHDR": true, "PLTE": true, "tRNS": true, "IDAT": true, "IEND": true}

var errNoPNG = errors.New("what the machine gave is no PNG")

// bare gives a PNG with nothing in it but the picture. Nothing is decoded: what
// the machine has packed is for the viewer of whoever opens it.
func bare(png []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(png, pngMagic)
	if !ok {
		return nil, errNoPNG
	}
	out := bytes.Clone(pngMagic)
	for first := true; ; first = false {
		// Length, type, data, CRC (5.3).
		if len(rest) < 12 {
			return nil, errNoPNG
		}
		n := binary.BigEndian.Uint32(rest)
		if uint64(n)+12 > uint64(len(rest)) {
			return nil, errNoPNG
		}
		chunk, kind := rest[:n+12], string(rest[4:8])
		if first != (kind == "IHDR") || kind == "IHDR" && n != 13 {
			return nil, errNoPNG
		}
		if pngKept[kind] {
			out = append(out, chunk...)
		}
		if kind == "IEND" {
			if n != 0 {
				return nil, errNoPNG
			}
			return out, nil
		}
		rest = rest[n+12:]
	}
}
