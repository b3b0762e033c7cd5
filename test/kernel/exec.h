/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Two variables of the environment that every program is started with.
 *
 * On a host whose KVM emulates guest kernel code, programs run natively and
 * CPUID tells them of the host's AVX, but the host offers its guests no XSAVE:
 * this kernel saves a program's state by FXSAVE, without the upper halves of
 * the AVX registers, and another program finds them in its own. What picks its
 * code by CPUID is told here not to: the Go runtime, and the C library's string
 * functions. They come first, so that they win over what a program was given.
 *
 * For the test kernel alone; scripts/test-kernel.sh puts it in place.
 */
#include <linux/binfmts.h>

/* To be called when the environment was copied and the arguments were not. */
static int vitrine_env(struct linux_binprm *bprm)
{
	static const char *const env[] = {
		"GODEBUG=cpu.all=off",
		"GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-FMA,-FMA4,-ERMS,-FSRM",
	};
	int i, err;

	for (i = 0; i < ARRAY_SIZE(env); i++) {
		err = copy_string_kernel(env[i], bprm);
		if (err < 0)
			return err;
		bprm->envc++;
	}
	return 0;
}
