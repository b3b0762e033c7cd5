/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The system call of hosts whose KVM emulates guest kernel code.
 *
 * There `syscall` loads the address of the kernel's entry but stays in user
 * mode, and so becomes a page fault at that very address, with the registers
 * as the instruction left them: the caller's next instruction in cx, its flags
 * in r11, the call's number in ax. No honest program can fault there in
 * another way: on real hardware user code that jumps to a kernel address
 * arrives here too, and gets a system call instead of a SIGSEGV.
 *
 * For the test kernel alone; scripts/test-kernel.sh puts it in place.
 */
#include <linux/entry-common.h>
#include <asm/proto.h>
#include <asm/syscall.h>

/* Called with interrupts off; returns true, interrupts off, when it was one. */
static __always_inline bool vitrine_syscall(struct pt_regs *regs, unsigned long address)
{
	long nr;

	if (likely(address != (unsigned long)entry_SYSCALL_64 || regs->ip != address || !user_mode(regs)))
		return false;

	nr = (int)regs->ax;
	regs->ip = regs->cx;
	regs->flags = regs->r11 | X86_EFLAGS_IF;
	regs->orig_ax = regs->ax;
	regs->ax = -ENOSYS;

	local_irq_enable();
	nr = syscall_enter_from_user_mode_work(regs, nr);
	if ((unsigned long)nr < NR_syscalls)
		regs->ax = x64_sys_call(regs, nr);
	syscall_exit_to_user_mode_work(regs);
	return true;
}
