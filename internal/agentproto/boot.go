package agentproto

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// A virtual machine has no directory that it shares with the host, so what the
// other runtimes write into that directory comes on a small drive of its own:
// the boot drive. It holds the machine's secret, belongs to one machine and has
// mode 0600 on the host. Its bytes are
//
//	8  BootMagic, by which the guest's init tells it from the other drives
//	4  length of the JSON in bytes, big-endian, at most MaxBoot
//	n  Boot as JSON
//	…  zeros to a multiple of BootAlign
const (
	// BootMagic stands at the start of the drive.
	BootMagic = "VITRINE1"
	// MaxBoot bounds the JSON in bytes.
	MaxBoot = 1 << 20
	// BootAlign is what the drive's size is a multiple of, in bytes: drives
	// are counted in sectors of 512, and Firecracker warns of a rest.
	BootAlign = 4096
	// maxBootFiles is how many files a machine may be given; it needs four.
	maxBootFiles = 32
	maxBootPath  = 255
	maxHostname  = 64 // HOST_NAME_MAX of Linux
)

const bootHeader = len(BootMagic) + 4

// ErrBoot is a boot drive that breaks the rules.
var ErrBoot = errors.New("bad boot drive")

// Boot is what one machine is told before its agent runs.
type Boot struct {
	Hostname string     `json:"hostname"`
	Files    []BootFile `json:"files"`
}

// BootFile is a file that the guest's init writes as root, such as
// Dir/ConfigFile and /etc/resolv.conf. Path is absolute and clean, Mode holds
// permission bits only.
type BootFile struct {
	Path string `json:"path"`
	Mode uint32 `json:"mode"`
	Data []byte `json:"data"`
}

// EncodeBoot gives the whole content of a boot drive. It refuses what DecodeBoot
// would; no error holds any of the files' content.
func EncodeBoot(b Boot) ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("write the boot drive: %w", err)
	}
	if len(body) > MaxBoot {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrBoot, len(body), MaxBoot)
	}
	size := (bootHeader + len(body) + BootAlign - 1) / BootAlign * BootAlign
	drive := make([]byte, 0, size)
	drive = append(drive, BootMagic...)
	drive = binary.BigEndian.AppendUint32(drive, uint32(len(body)))
	return append(drive, body...)[:size], nil
}

// DecodeBoot reads a boot drive from its start. It reads no further than the
// JSON's end.
func DecodeBoot(r io.Reader) (Boot, error) {
	var h [bootHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Boot{}, fmt.Errorf("%w: read its head: %w", ErrBoot, err)
	}
	if string(h[:len(BootMagic)]) != BootMagic {
		return Boot{}, fmt.Errorf("%w: it does not begin with %s", ErrBoot, BootMagic)
	}
	n := binary.BigEndian.Uint32(h[len(BootMagic):])
	if n > MaxBoot {
		return Boot{}, fmt.Errorf("%w: it claims %d bytes, at most %d", ErrBoot, n, MaxBoot)
	}
	body, err := readBounded(r, int(n))
	if err != nil {
		return Boot{}, fmt.Errorf("%w: read its body: %w", ErrBoot, err)
	}
	var b Boot
	if json.Unmarshal(body, &b) != nil { // its error may quote the secret
		return Boot{}, fmt.Errorf("%w: it is not JSON of the right form", ErrBoot)
	}
	if err := b.check(); err != nil {
		return Boot{}, err
	}
	return b, nil
}

func (b Boot) check() error {
	if len(b.Hostname) > maxHostname || strings.ContainsAny(b.Hostname, "\x00/\n ") {
		return fmt.Errorf("%w: hostname %.64q is none", ErrBoot, b.Hostname)
	}
	if len(b.Files) > maxBootFiles {
		return fmt.Errorf("%w: %d files, at most %d", ErrBoot, len(b.Files), maxBootFiles)
	}
	for _, f := range b.Files {
		if len(f.Path) > maxBootPath || !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "/" ||
			strings.ContainsRune(f.Path, 0) {
			return fmt.Errorf("%w: %.64q is no clean absolute path of a file", ErrBoot, f.Path)
		}
		if f.Mode&^0o777 != 0 {
			return fmt.Errorf("%w: %s: mode %o has more than permission bits", ErrBoot, f.Path, f.Mode)
		}
	}
	return nil
}
