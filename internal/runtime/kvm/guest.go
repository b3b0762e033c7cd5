package kvm

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls, from the kernel's include/uapi/linux/kvm.h for x86-64. A size is
// part of the number, so a structure of another size is refused by the kernel.
const (
	getAPIVersion = 0xAE00
	createVM      = 0xAE01
	getRunSize    = 0xAE04
	createVCPU    = 0xAE41
	setMemory     = 0x4020AE46
	setTSSAddr    = 0xAE47
	run           = 0xAE80
	setRegs       = 0x4090AE82
	getSregs      = 0x8138AE83
	setSregs      = 0x4138AE84

	apiVersion = 12 // since Linux 2.6.22, for ever
	exitIO     = 2
)

// The guest's memory: 64 KiB at address 0 with page tables that map the first
// 2 MiB onto themselves, its code, and the number that it counts down from.
const (
	memory   = 64 << 10
	pml4     = 0x1000
	pdpt     = 0x2000
	pd       = 0x3000
	codeAt   = 0x4000
	countAt  = 0x5000
	tssAt    = 0xfffbd000 // three pages below 4 GiB that Intel's need
	firstRun = 2048       // iterations of the first round: 4 ms where it is emulated
	maxRun   = 1 << 26
)

// countingLoop counts down from what stands at countAt, tells us by port 0x10,
// and does it again. It is per instruction all that a processor does at its
// fastest, so what is measured is the host and not the code.
var countingLoop = []byte{
	0x8b, 0x0c, 0x25, 0x00, 0x50, 0x00, 0x00, // 0: mov ecx, [0x5000]
	0xff, 0xc9, // 7: dec ecx
	0x75, 0xfc, // jnz 7
	0xe6, 0x10, // out 0x10, al
	0xeb, 0xf1, // jmp 0
}

type memoryRegion struct {
	Slot, Flags         uint32
	GuestPhys, Size, At uint64
}

type segment struct {
	Base                            uint64
	Limit                           uint32
	Selector                        uint16
	Type, Present, DPL, DB, S, L, G uint8
	Avl, Unusable, Padding          uint8
}

type sregs struct {
	CS, DS, ES, FS, GS, SS, TR, LDT segment
	GDT, IDT                        struct {
		Base  uint64
		Limit uint16
		_     [3]uint16
	}
	CR0, CR2, CR3, CR4, CR8, EFER, APICBase uint64
	Interrupts                              [4]uint64
}

type regs struct {
	RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP uint64
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	RIP, RFLAGS                            uint64
}

// runState is the head of struct kvm_run.
type runState struct {
	_             uint8
	ImmediateExit uint8
	_             [6]uint8
	ExitReason    uint32
	_             [20]uint8
	IO            struct {
		Direction, Size uint8
		Port            uint16
		Count           uint32
	}
}

// ioctl makes a call, again when a signal interrupted it (Go's scheduler sends
// them, and KVM_CREATE_VM gives way); KVM_RUN's caller wants to know.
func ioctl(fd, call int, arg uintptr) (int, error) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(call), arg)
		if errno == unix.EINTR && call != run {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	}
}

// guest is a machine with one processor.
type guest struct {
	vm, vcpu int
	mem, run []byte
}

func (g *guest) close() {
	if g.run != nil {
		_ = unix.Munmap(g.run)
	}
	if g.vcpu > 0 {
		_ = unix.Close(g.vcpu)
	}
	if g.vm > 0 {
		_ = unix.Close(g.vm)
	}
	if g.mem != nil {
		_ = unix.Munmap(g.mem)
	}
}

// newGuest makes a machine that stands before the first instruction of code.
func newGuest(kvm *os.File, code []byte) (g *guest, err error) {
	g = &guest{}
	step := ""
	defer func() {
		if err != nil {
			g.close()
			g, err = nil, unusable("%s: %s: %s", kvm.Name(), step, err).WithCause(err)
		}
	}()
	fd := int(kvm.Fd())
	step = "KVM_GET_API_VERSION"
	v, err := ioctl(fd, getAPIVersion, 0)
	if err != nil {
		return g, err
	}
	if v != apiVersion {
		return g, fmt.Errorf("version %d, want %d", v, apiVersion)
	}
	step = "KVM_CREATE_VM"
	if g.vm, err = ioctl(fd, createVM, 0); err != nil {
		return g, err
	}
	step = "KVM_SET_TSS_ADDR"
	if _, err = ioctl(g.vm, setTSSAddr, tssAt); err != nil {
		return g, err
	}
	step = "mapping the guest's memory"
	if g.mem, err = unix.Mmap(-1, 0, memory, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS); err != nil {
		return g, err
	}
	const present, writable, large = 1, 2, 1 << 7
	binary.LittleEndian.PutUint64(g.mem[pml4:], pdpt|present|writable)
	binary.LittleEndian.PutUint64(g.mem[pdpt:], pd|present|writable)
	binary.LittleEndian.PutUint64(g.mem[pd:], present|writable|large)
	copy(g.mem[codeAt:countAt], code)
	step = "KVM_SET_USER_MEMORY_REGION"
	region := memoryRegion{Size: memory, At: uint64(uintptr(unsafe.Pointer(&g.mem[0])))}
	if _, err = ioctl(g.vm, setMemory, uintptr(unsafe.Pointer(&region))); err != nil {
		return g, err
	}
	step = "KVM_CREATE_VCPU"
	if g.vcpu, err = ioctl(g.vm, createVCPU, 0); err != nil {
		return g, err
	}
	step = "KVM_GET_VCPU_MMAP_SIZE"
	size, err := ioctl(fd, getRunSize, 0)
	if err != nil {
		return g, err
	}
	if g.run, err = unix.Mmap(g.vcpu, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return g, err
	}
	var s sregs
	step = "KVM_GET_SREGS"
	if _, err = ioctl(g.vcpu, getSregs, uintptr(unsafe.Pointer(&s))); err != nil {
		return g, err
	}
	longMode(&s)
	step = "KVM_SET_SREGS"
	if _, err = ioctl(g.vcpu, setSregs, uintptr(unsafe.Pointer(&s))); err != nil {
		return g, err
	}
	step = "KVM_SET_REGS"
	_, err = ioctl(g.vcpu, setRegs, uintptr(unsafe.Pointer(&regs{RIP: codeAt, RSP: memory, RFLAGS: 2})))
	return g, err
}

// longMode is 64-bit mode at ring 0 (Intel SDM vol. 3, 3.4.5 and 9.8.5).
func longMode(s *sregs) {
	s.CS = segment{Limit: 0xffffffff, Selector: 8, Type: 11, Present: 1, S: 1, L: 1, G: 1}
	data := segment{Limit: 0xffffffff, Selector: 16, Type: 3, Present: 1, DB: 1, S: 1, G: 1}
	s.DS, s.ES, s.FS, s.GS, s.SS = data, data, data, data, data
	s.CR3, s.CR4 = pml4, 1<<5 // PAE
	s.CR0 = 0x80050033        // PG AM WP NE ET MP PE
	s.EFER = 1<<8 | 1<<10     // LME LMA
}

// measure gives the rate of code, which must be countingLoop or behave like it.
func measure(ctx context.Context, device string, code []byte) (float64, error) {
	f, err := open(device)
	if err != nil {
		return 0, err
	}
	type answer struct {
		rate float64
		err  error
	}
	done := make(chan answer, 1)
	var thread atomic.Int64
	var stop atomic.Bool
	attempt := func() (float64, error) {
		defer f.Close()
		g, err := newGuest(f, code)
		if err != nil {
			return 0, err
		}
		defer g.close()
		thread.Store(int64(unix.Gettid()))
		defer thread.Store(0)
		return g.count(device, &stop)
	}
	go func() {
		runtime.LockOSThread() // a vCPU belongs to its thread, and the signal goes to it
		defer runtime.UnlockOSThread()
		rate, err := attempt()
		done <- answer{rate, err}
	}()
	select {
	case a := <-done:
		return a.rate, a.err
	case <-ctx.Done():
	}
	// The guest has not left by itself. SIGURG is what Go's scheduler interrupts
	// threads with, so it may come at any time and harms nothing; again and again,
	// because one that comes just before the call is lost.
	stop.Store(true)
	giveUp := time.After(limit)
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case a := <-done:
			tick.Stop()
			return a.rate, a.err
		case <-tick.C:
			if tid := thread.Load(); tid != 0 {
				_ = unix.Tgkill(unix.Getpid(), int(tid), unix.SIGURG)
			}
		case <-giveUp:
			tick.Stop()
			return 0, unusable("%s: KVM_RUN did not come back, not even at a signal", device)
		}
	}
}

// count runs the guest for measureFor and gives its instructions a second. The
// rounds grow until one takes a millisecond, so that what a way out of the guest
// costs (50 µs where virtual machines are nested) does not count as slowness.
func (g *guest) count(device string, stop *atomic.Bool) (float64, error) {
	state := (*runState)(unsafe.Pointer(&g.run[0]))
	n := uint32(firstRun)
	var instructions float64
	var spent time.Duration
	for spent < measureFor {
		binary.LittleEndian.PutUint32(g.mem[countAt:], n)
		began := time.Now()
		for {
			_, err := ioctl(g.vcpu, run, 0)
			if stop.Load() {
				return 0, unusable("%s: a guest of ours did not finish %d instructions in time", device, 2*n).
					WithRemedy("this KVM does not run guests; use another runtime: VITRINE_RUNTIME=gvisor")
			}
			if err == nil {
				break
			}
			if err != unix.EINTR { //nolint:errorlint // ioctl gives the errno itself
				return 0, unusable("%s: KVM_RUN: %s", device, err).WithCause(err)
			}
		}
		took := time.Since(began)
		if state.ExitReason != exitIO || state.IO.Port != 0x10 {
			return 0, unusable("%s: a guest of ours left for reason %d instead of counting", device, state.ExitReason).
				WithRemedy("this KVM does not run guests; use another runtime: VITRINE_RUNTIME=gvisor")
		}
		instructions += 2*float64(n) + 3
		spent += took
		if took < time.Millisecond && n < maxRun {
			// The short rounds were for finding the size only.
			n, instructions, spent = n*2, 0, 0
		}
	}
	return instructions / spent.Seconds(), nil
}
