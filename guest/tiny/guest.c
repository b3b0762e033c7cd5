/*
 * The tiny guest: a kernel that does one thing, said on its command line, so that
 * what happens around a virtual machine can be seen in a second and not in the
 * half minute that a Linux takes on a host that emulates.
 *
 *   tiny=idle     says that it is up, and sleeps (also without any word)
 *   tiny=panic    prints what Linux prints at a panic, and resets
 *   tiny=oom      prints what Linux prints when memory ends while booting, and resets
 *   tiny=noroot   prints what Linux prints without a root file system, and resets
 *   tiny=hang     prints one line and runs in a circle for ever
 *   tiny=silent   prints nothing and runs in a circle for ever
 *   tiny=flood    prints without end
 *   tiny=reboot   says that it is up, and resets by the keyboard controller
 *   tiny=fault    says that it is up, and faults three times over
 *
 * The words are those of Linux 6.12; diagnosis is tried on them. "Up" tells the
 * memory that it was given, so that a test can see that it is what was asked for.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

enum { COM1 = 0x3f8, LINE_STATUS = 5, CAN_SEND = 0x20, KEYBOARD = 0x64, RESET = 0xfe };

/* Of the zero page (arch/x86/include/uapi/asm/bootparam.h). */
enum { E820_ENTRIES = 0x1e8, CMD_LINE_PTR = 0x228, E820_TABLE = 0x2d0, E820_SIZE = 20, E820_RAM = 1 };

static void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }

static u8 inb(u16 port)
{
	u8 v;
	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static void put(char c)
{
	while (!(inb(COM1 + LINE_STATUS) & CAN_SEND))
		;
	outb(COM1, c);
}

static void print(const char *s)
{
	for (; *s; s++) {
		if (*s == '\n')
			put('\r');
		put(*s);
	}
}

static void number(u64 n)
{
	char digits[24], *p = digits + sizeof digits - 1;
	*p = 0;
	do
		*--p = '0' + n % 10;
	while (n /= 10);
	print(p);
}

/* The value of a word of the command line, "" when it is not there. */
static const char *argument(const char *line, const char *name)
{
	for (const char *p = line; *p; p++) {
		const char *n = name;
		if (p != line && p[-1] != ' ')
			continue;
		for (const char *q = p; *n && *q == *n; q++, n++)
			;
		if (!*n)
			return p + (n - name);
	}
	return "";
}

static int is(const char *value, const char *want)
{
	while (*want && *value == *want)
		value++, want++;
	return !*want && (!*value || *value == ' ');
}

static void up(const u8 *zero)
{
	u64 kib = 0;
	for (int i = 0; i < zero[E820_ENTRIES]; i++) {
		const u8 *e = zero + E820_TABLE + i * E820_SIZE;
		if (*(const u32 *)(e + 16) == E820_RAM)
			kib += *(const u64 *)(e + 8) >> 10;
	}
	print("tiny: up with ");
	number(kib);
	print(" KiB\n");
}

static void reset(void)
{
	outb(KEYBOARD, RESET);
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void circle(void)
{
	for (;;)
		__asm__ volatile("pause");
}

void guest(const u8 *zero)
{
	const char *line = (const char *)(u64) * (const u32 *)(zero + CMD_LINE_PTR);
	const char *mode = argument(line, "tiny=");

	if (is(mode, "panic")) {
		print("[    0.412345] BUG: kernel NULL pointer dereference, address: 0000000000000008\n"
		      "[    0.412401] Kernel panic - not syncing: Fatal exception\n"
		      "[    0.412455] CPU: 0 UID: 0 PID: 1 Comm: swapper/0 Not tainted 6.12.0-tiny #1\n"
		      "[    0.412500] Call Trace:\n"
		      "[    0.412550]  panic+0x114/0x2f0\n"
		      "[    0.412600] Rebooting in 1 seconds..\n");
		reset();
	}
	if (is(mode, "oom")) {
		print("[    1.204311] swapper/0 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n"
		      "[    1.204988] Out of memory and no killable processes...\n"
		      "[    1.205120] Kernel panic - not syncing: System is deadlocked on memory\n"
		      "[    1.205300] CPU: 0 UID: 0 PID: 1 Comm: swapper/0 Not tainted 6.12.0-tiny #1\n"
		      "[    1.205411] Rebooting in 1 seconds..\n");
		reset();
	}
	if (is(mode, "noroot")) {
		print("[    0.911111] VFS: Cannot open root device \"\" or unknown-block(0,0): error -6\n"
		      "[    0.911222] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n"
		      "[    0.911333] Rebooting in 1 seconds..\n");
		reset();
	}
	if (is(mode, "silent"))
		circle();
	if (is(mode, "flood"))
		for (u64 n = 0;; n++) {
			print("tiny: flood ");
			number(n);
			print("\n");
		}
	up(zero);
	if (is(mode, "hang"))
		circle();
	if (is(mode, "reboot"))
		reset();
	if (is(mode, "fault")) {
		static const struct { u16 limit; u64 base; } __attribute__((packed)) none = { 0, 0 };
		__asm__ volatile("lidt %0; ud2" : : "m"(none));
	}
	for (;;)
		__asm__ volatile("cli; hlt");
}
