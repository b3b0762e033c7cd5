package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// elfFile gives a small ELF file with one segment of notes and one section
// .modinfo: enough of a kernel, and of a module.
func elfFile(t testing.TB, kind elf.Type, machine elf.Machine, notes, modinfo []byte) []byte {
	t.Helper()
	const headerSize, progSize = 64, 56
	names := []byte("\x00.modinfo\x00.shstrtab\x00")
	at := func(parts ...[]byte) (n uint64) {
		n = headerSize + progSize
		for _, p := range parts {
			n += uint64(len(p))
		}
		return n
	}
	h := elf.Header64{
		Type: uint16(kind), Machine: uint16(machine), Version: 1,
		Phoff: headerSize, Shoff: at(notes, modinfo, names), Ehsize: headerSize,
		Phentsize: progSize, Phnum: 1, Shentsize: 64, Shnum: 3, Shstrndx: 2,
	}
	copy(h.Ident[:], elf.ELFMAG+string([]byte{byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1}))
	var b bytes.Buffer
	for _, part := range []any{
		h,
		elf.Prog64{Type: uint32(elf.PT_NOTE), Off: at(), Filesz: uint64(len(notes))},
		notes, modinfo, names,
		elf.Section64{},
		elf.Section64{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: at(notes), Size: uint64(len(modinfo))},
		elf.Section64{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: at(notes, modinfo), Size: uint64(len(names))},
	} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// note gives one ELF note.
func note(name string, kind uint32, text []byte) []byte {
	pad := func(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }
	le := binary.LittleEndian
	out := le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, uint32(len(name))), uint32(len(text))), kind)
	return append(append(out, pad([]byte(name))...), pad(bytes.Clone(text))...)
}

// goodVmlinux is an ELF file that the VMMs could start, as far as we look.
func goodVmlinux(t testing.TB) []byte {
	notes := append(note("Linux\x00", 257, []byte("x")), note(pvhNoteName, pvhNoteType, make([]byte, 8))...)
	return elfFile(t, elf.ET_EXEC, elf.EM_X86_64, notes, nil)
}

// bzImage wraps a kernel as the kernel's build does.
func bzImage(t testing.TB, vmlinux []byte) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	payload := enc.EncodeAll(vmlinux, nil)
	le := binary.LittleEndian
	payload = le.AppendUint32(payload, uint32(len(vmlinux)))
	const sects, offset = 1, 16
	out := make([]byte, (sects+1)*sectorSize+offset)
	out[setupSectsAt] = sects
	copy(out[headerMagicAt:], "HdrS")
	le.PutUint16(out[bootProtocolAt:], 0x020f)
	le.PutUint32(out[payloadOffsetAt:], offset)
	le.PutUint32(out[payloadLengthAt:], uint32(len(payload)))
	return append(append(out, payload...), "signature"...)
}
