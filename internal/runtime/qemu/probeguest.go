package qemu

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

// probeWord is what the probe's guest prints.
const probeWord = "a guest of vitrine ran here\n"

// Where the probe's guest lies, in its file and in its memory.
const (
	guestAt = 1 << 20
	codeOff = 0x1000
	noteOff = 0x200
)

// probeGuest is a kernel of a few instructions, as an ELF file that is entered
// by its Xen PVH note (QEMU's way to start an uncompressed Linux, too): in 32-bit
// protected mode without paging. It prints a line on the serial port and resets
// the machine by an exception that nothing handles.
func probeGuest() []byte {
	le := binary.LittleEndian
	code := []byte{0xbe} // mov esi, the text's address
	code = le.AppendUint32(code, 0)
	code = append(code, 0xb9) // mov ecx, its length
	code = le.AppendUint32(code, uint32(len(probeWord)))
	code = append(code,
		0xba, 0xf8, 0x03, 0x00, 0x00, // mov edx, 0x3f8: the first serial port
		0xfc,       // cld
		0xf3, 0x6e, // rep outsb
		0x0f, 0x01, 0x1d, // lidt: an empty table
	)
	code = le.AppendUint32(code, 0)
	code = append(code, 0xcc) // int3
	idt := guestAt + uint32(len(code))
	le.PutUint32(code[len(code)-5:], idt)
	code = append(code, make([]byte, 8)...)
	le.PutUint32(code[1:], guestAt+uint32(len(code)))
	code = append(code, probeWord...)

	note := le.AppendUint32(nil, 4)   // length of the name
	note = le.AppendUint32(note, 8)   // of the value
	note = le.AppendUint32(note, 18)  // XEN_ELFNOTE_PHYS32_ENTRY
	note = append(note, "Xen\x00"...) //
	note = le.AppendUint64(note, guestAt)

	var out bytes.Buffer
	_ = binary.Write(&out, le, elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Entry: guestAt, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 2,
	})
	_ = binary.Write(&out, le, []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W | elf.PF_X), Off: codeOff, Vaddr: guestAt, Paddr: guestAt, Filesz: uint64(len(code)), Memsz: uint64(len(code)), Align: 0x1000},
		{Type: uint32(elf.PT_NOTE), Flags: uint32(elf.PF_R), Off: noteOff, Filesz: uint64(len(note)), Memsz: uint64(len(note)), Align: 4},
	})
	file := make([]byte, codeOff+len(code))
	copy(file, out.Bytes())
	copy(file[noteOff:], note)
	copy(file[codeOff:], code)
	return file
}

func writeProbeGuest(d machinedir.Dir) (string, error) {
	at := d.Join("probe.elf")
	if err := os.WriteFile(at, probeGuest(), 0o600); err != nil {
		return "", fmt.Errorf("writing the probe's guest: %w", err)
	}
	return at, nil
}

// Proved implements supervised.Prover.
func (d *driver) Proved(console []byte) error {
	if !bytes.Contains(console, []byte(probeWord[:len(probeWord)-1])) {
		return fmt.Errorf("QEMU left in order but its guest did not print %q", probeWord[:len(probeWord)-1])
	}
	return nil
}
