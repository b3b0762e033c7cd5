package agentproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A virtio-serial port is a pipe of bytes each way without connections: what one
// peer left unread the next one finds, and the guest may not notice that the
// host left and came again. This framing puts connections on it, one at a time.
//
// The host opens one with portHello and a nonce of 16 random bytes. The guest
// looks for that at any time, also in the middle of a connection, which is over
// then; it answers with portAnswer and the nonce. The host skips what comes
// before the answer with its own nonce. From then on each side sends chunks:
//
//	2  length, big-endian, at most MaxPortChunk; 0 says that no more will come
//	n  bytes
//	1  chunkEnd
//
// portHello never occurs in what the host sends otherwise, whatever it carries:
// its bytes all have the top bit set, a length's first byte and chunkEnd do not,
// and a payload that holds it is cut into two chunks there. Chunks are taken
// whole or not at all, and chunkEnd tells a whole one from one that was cut off
// and completed by the start of a new connection.
const (
	portHello  = "\xd6\x97\xa4\xb2\x9f\xc3\xe5\x8b"
	portAnswer = "\xe2\x9c\x85\xb7\xd9\xa8\xf0\x93"
	chunkEnd   = '\n'

	nonceLen  = 16
	chunkHead = 2
)

// MaxPortChunk bounds the payload of a chunk in bytes. It stays under 1<<15, so
// that a length never begins like portHello; the kernel hands on at most 32 KiB
// in one write.
const MaxPortChunk = 16 << 10

// ErrPort is a peer on a port that breaks the framing.
var ErrPort = errors.New("bad bytes on the port")

// writeChunks sends p and gives how much of it went out in whole chunks. buf is
// room for one chunk with its frame.
func writeChunks(w io.Writer, buf, p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		n := chunkSize(p[sent:])
		if err := writeChunk(w, buf, p[sent:sent+n]); err != nil {
			return sent, err
		}
		sent += n
	}
	return sent, nil
}

// chunkSize is how many bytes of p the next chunk takes: none holds portHello,
// or would with a length that happens to end like it begins.
func chunkSize(p []byte) int {
	n := min(len(p), MaxPortChunk)
	if i := bytes.Index(p[:n], []byte(portHello[1:])); i >= 0 {
		return i + 1
	}
	return n
}

// writeChunk sends one chunk with one Write; an empty one is the end.
func writeChunk(w io.Writer, buf, p []byte) error {
	binary.BigEndian.PutUint16(buf, uint16(len(p)))
	n := chunkHead + copy(buf[chunkHead:], p)
	buf[n] = chunkEnd
	_, err := w.Write(buf[:n+1])
	return err
}

func chunkBuffer() []byte { return make([]byte, chunkHead+MaxPortChunk+1) }

// dechunker takes chunks out of bytes that come in any pieces. It holds one
// chunk at most.
type dechunker struct {
	part []byte // the beginning of a chunk
}

// next takes at most one chunk from the head of in and gives what is left of it.
// payload, valid until the next call, is nil while the chunk is not whole; end
// says that it was the empty one.
func (d *dechunker) next(in []byte) (payload, rest []byte, end bool, err error) {
	if len(d.part) == 0 {
		if n, err := chunkLen(in); err != nil || (n > 0 && len(in) >= n) {
			if err != nil {
				return nil, nil, false, err
			}
			return d.open(in[:n], in[n:])
		}
	}
	if cap(d.part) == 0 {
		d.part = make([]byte, 0, chunkHead+MaxPortChunk+1)
	}
	for len(in) > 0 {
		n, err := chunkLen(d.part)
		if err != nil {
			return nil, nil, false, err
		}
		if n == 0 {
			n = chunkHead
		}
		take := min(n-len(d.part), len(in))
		d.part = append(d.part, in[:take]...)
		in = in[take:]
		if whole, err := chunkLen(d.part); err == nil && whole == len(d.part) {
			part := d.part
			d.part = d.part[:0]
			return d.open(part, in)
		}
	}
	_, err = chunkLen(d.part)
	return nil, nil, false, err
}

// chunkLen is the length of the chunk at the head of in with its frame, 0 while
// that cannot be told.
func chunkLen(in []byte) (int, error) {
	if len(in) < chunkHead {
		return 0, nil
	}
	n := int(binary.BigEndian.Uint16(in))
	if n > MaxPortChunk {
		return 0, fmt.Errorf("%w: a chunk of %d bytes, at most %d", ErrPort, n, MaxPortChunk)
	}
	return chunkHead + n + 1, nil
}

func (*dechunker) open(chunk, rest []byte) (payload, left []byte, end bool, err error) {
	last := len(chunk) - 1
	if chunk[last] != chunkEnd {
		return nil, nil, false, fmt.Errorf("%w: a chunk without its end", ErrPort)
	}
	payload = chunk[chunkHead:last]
	return payload, rest, len(payload) == 0, nil
}
