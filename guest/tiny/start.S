/* The tiny guest's first instructions. The virtual machine monitor enters here in
   64-bit mode with paging on and the zero page's address in rsi (Linux's
   Documentation/arch/x86/boot.rst, "64-bit boot protocol"). */
	.section .text.start, "ax"
	.globl	_start
_start:
	cli
	lea	stack_top(%rip), %rsp
	xor	%ebp, %ebp
	mov	%rsi, %rdi
	call	guest
	/* guest does not return; a processor that is asleep with interrupts off
	   costs its host nothing. */
1:	hlt
	jmp	1b

	.bss
	.balign	16
	.skip	4096
stack_top:

	.section .note.GNU-stack, "", @progbits
