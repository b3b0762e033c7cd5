package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// maxVmlinux bounds a decompressed kernel, in bytes; Debian's 6.12 has 50 MiB.
const maxVmlinux = 512 << 20

// The setup header of a bzImage: offsets and meanings are of "The Linux/x86
// Boot Protocol" (Documentation/arch/x86/boot.rst of the kernel).
const (
	setupSectsAt    = 0x1f1
	headerMagicAt   = 0x202
	bootProtocolAt  = 0x206
	payloadOffsetAt = 0x248
	payloadLengthAt = 0x24c
	setupHeaderEnd  = 0x250

	// payloadProtocol is the first version of the protocol that says where the
	// payload is.
	payloadProtocol = 0x0208
	sectorSize      = 512
	// defaultSetupSects is what 0 means in setup_sects.
	defaultSetupSects = 4
)

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// vmlinuxOf gives the uncompressed ELF kernel inside a bzImage. Debian's are
// compressed with zstd; the kernel's build appends the size of the result to
// the payload, as four bytes, little endian.
func vmlinuxOf(bzImage []byte) ([]byte, error) {
	if len(bzImage) < setupHeaderEnd || string(bzImage[headerMagicAt:headerMagicAt+4]) != "HdrS" {
		return nil, fmt.Errorf("it is not a bzImage: there is no setup header")
	}
	le := binary.LittleEndian
	if v := le.Uint16(bzImage[bootProtocolAt:]); v < payloadProtocol {
		return nil, fmt.Errorf("its boot protocol %#x is older than %#x", v, payloadProtocol)
	}
	sects := int64(bzImage[setupSectsAt])
	if sects == 0 {
		sects = defaultSetupSects
	}
	from := (sects+1)*sectorSize + int64(le.Uint32(bzImage[payloadOffsetAt:]))
	to := from + int64(le.Uint32(bzImage[payloadLengthAt:]))
	if from < setupHeaderEnd || to > int64(len(bzImage)) || to-from < 8 {
		return nil, fmt.Errorf("its payload at %d..%d is not within its %d bytes", from, to, len(bzImage))
	}
	payload := bzImage[from : to-4]
	if !bytes.HasPrefix(payload, zstdMagic) {
		return nil, fmt.Errorf("its payload begins with % x, which is not zstd", payload[:4])
	}
	size := le.Uint32(bzImage[to-4:])
	if size > maxVmlinux {
		return nil, fmt.Errorf("its kernel of %d bytes is over %d", size, maxVmlinux)
	}
	// The memory limit bounds the window too.
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxVmlinux), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("prepare zstd: %w", err)
	}
	defer dec.Close()
	vmlinux, err := dec.DecodeAll(payload, nil)
	if err != nil {
		return nil, fmt.Errorf("decompress its payload: %w", err)
	}
	if int64(len(vmlinux)) != int64(size) {
		return nil, fmt.Errorf("its payload has %d bytes decompressed, and says %d", len(vmlinux), size)
	}
	return vmlinux, nil
}

// The note that marks an entry point for PVH boot, which both VMMs use: the
// Xen ABI's XEN_ELFNOTE_PHYS32_ENTRY (xen/interface/elfnote.h).
const (
	pvhNoteName = "Xen\x00"
	pvhNoteType = 18
)

// checkVmlinux refuses a kernel that the VMMs could not start: it must be a
// 64-bit x86 executable with a PVH entry point.
func checkVmlinux(vmlinux []byte) error {
	f, err := elf.NewFile(bytes.NewReader(vmlinux))
	if err != nil {
		return fmt.Errorf("it is not an ELF file: %w", err)
	}
	defer f.Close()
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 || f.Type != elf.ET_EXEC {
		return fmt.Errorf("it is %s, %s, %s and not a 64-bit x86 executable", f.Class, f.Machine, f.Type)
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE || p.Filesz > 1<<20 {
			continue
		}
		notes := make([]byte, p.Filesz)
		if _, err := p.ReadAt(notes, 0); err != nil {
			return fmt.Errorf("read its notes: %w", err)
		}
		if hasPVHNote(notes) {
			return nil
		}
	}
	return fmt.Errorf("it has no PVH entry note (CONFIG_PVH)")
}

// hasPVHNote looks through the notes of a segment: each is three 32-bit words
// (length of the name, length of the text, type), then name and text, both
// padded to four bytes.
func hasPVHNote(notes []byte) bool {
	le := binary.LittleEndian
	pad := func(n uint32) int64 { return (int64(n) + 3) &^ 3 }
	for len(notes) >= 12 {
		name, text, kind := le.Uint32(notes), le.Uint32(notes[4:]), le.Uint32(notes[8:])
		notes = notes[12:]
		if pad(name)+pad(text) > int64(len(notes)) {
			return false
		}
		if kind == pvhNoteType && string(notes[:name]) == pvhNoteName {
			return true
		}
		notes = notes[pad(name)+pad(text):]
	}
	return false
}
