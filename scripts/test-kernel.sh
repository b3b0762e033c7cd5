#!/bin/sh
# Builds the Linux kernel that `make test-firecracker` boots on a host whose
# /dev/kvm emulates guest kernel code, and keeps it in the cache.
#
#   scripts/test-kernel.sh          builds unless it is there, prints vmlinux's path
#   scripts/test-kernel.sh --path   prints where it is, builds and installs nothing
#
# It is Debian's kernel source, configured by test/kernel/config and with a few
# insertions of ours (edit, below). It goes to $VITRINE_CACHE_DIR/test-kernel/<key>/
# as vmlinux, config and guest.json (what a VMM must be told to boot it), where the
# key follows from the rest of test/kernel, this script and the source package's
# version, with a link named current beside it. It is a test's fixture: no image
# has it in it and nothing ships it. The first build takes about four minutes on
# two cores, and 3 GB of disk while it lasts. docs/testing-firecracker.md says what
# it is good for.
set -eu

fail() {
	echo "test-kernel: $1" >&2
	echo "  remedy: $2" >&2
	exit 1
}

top=$(cd "$(dirname "$0")/.." && pwd)
ours=$top/test/kernel
cache=${VITRINE_CACHE_DIR:-/var/cache/vitrine}/test-kernel
source=linux-source-6.12
packages="$source gcc libc6-dev make bc bison flex libelf-dev xz-utils"

if [ "${1:-}" = --path ]; then
	path=$(readlink -e "$cache/current/vmlinux") || fail "no test kernel is in $cache" "make test-kernel"
	echo "$path"
	exit 0
fi
[ $# -eq 0 ] || fail "no such argument: $*" "scripts/test-kernel.sh [--path]"
[ "$(uname -m)" = x86_64 ] || fail "the test kernel is for x86_64, this is $(uname -m)" "run it on an x86_64 host"
command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
	fail "this host has no apt: the kernel is built from Debian's source package" "run it on Debian 12 or later"

missing() {
	have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $packages 2>/dev/null | sed -n 's/^installed //p' || true)
	for p in $packages; do
		echo "$have" | grep -qx "$p" || printf ' %s' "$p"
	done
}
want=$(missing)
if [ -n "$want" ]; then
	root=
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || fail "packages are missing and neither root nor sudo is at hand:$want" "as root: apt-get install$want"
		root=sudo
	fi
	echo "test-kernel: installing$want" >&2
	apt="$root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300"
	# Most often what fails the first time are lists that are old or missing.
	$apt install -y --no-install-recommends $want >/dev/null 2>&1 || { $apt update && $apt install -y --no-install-recommends $want; } >&2 ||
		fail "apt could not install:$want" "see the lines above; $source is in Debian 12's security archive: apt-get update && apt-get install$want"
fi
version=$(dpkg-query -W -f '${Version}' "$source")

key=$({ echo "$version"; cat "$ours/config" "$ours"/*.h "$top/scripts/test-kernel.sh"; } | sha256sum | cut -c1-16)
target=$cache/$key
mkdir -p "$cache" 2>/dev/null && [ -w "$cache" ] || fail "$cache cannot be written to" "run it as root, or set VITRINE_CACHE_DIR"

# Two builds at once would only slow each other; the second finds the first's.
exec 9>"$cache/.lock"
if ! flock -n 9; then
	echo "test-kernel: another build is running; waiting for it" >&2
	flock 9
fi

# insert FILE LINE TEXT puts a text before the one line that reads like that.
insert() {
	n=$(grep -cxF -- "$2" "$part/$1") || true
	[ "$n" = 1 ] || fail "in $source $version the line '$2' is in $1 ${n:-0} times, not once" "adapt scripts/test-kernel.sh to this source"
	LINE=$2 TEXT=$3 awk '$0 == ENVIRON["LINE"] { print ENVIRON["TEXT"] } { print }' "$part/$1" >"$part/inserted"
	! cmp -s "$part/$1" "$part/inserted" || fail "nothing was inserted into $1" "adapt scripts/test-kernel.sh to this host's awk"
	mv "$part/inserted" "$part/$1"
}

# Every change to the source: what has to be so on such a host, then what makes
# a boot there shorter, at about a microsecond an instruction.
edit() {
	# The self-test of int3 dies where int3 is emulated in kernel mode.
	insert arch/x86/kernel/alternative.c '	int3_selftest();' '	if (0)'
	# The system call arrives as a page fault: syscall.h says why.
	cp "$ours/syscall.h" "$part/arch/x86/mm/vitrine_syscall.h"
	insert arch/x86/mm/fault.c '#include <asm/irq_stack.h>' '#include "vitrine_syscall.h"'
	insert arch/x86/mm/fault.c '	trace_page_fault_entries(regs, error_code, address);' '	if (vitrine_syscall(regs, address))
		return;'
	# FWAIT is not known there, with which a program that ends waits for its last sum.
	insert arch/x86/kernel/fpu/core.c '		asm volatile("1: fwait\n"' '		if (0)'
	# Nor is BMI2, which zstd picks by asking the processor itself.
	insert lib/zstd/common/portability_macros.h '#ifndef DYNAMIC_BMI2' '#define DYNAMIC_BMI2 0'

	# Programs are told to leave AVX alone: exec.h says why.
	cp "$ours/exec.h" "$part/fs/vitrine_exec.h"
	insert fs/exec.c '#include "internal.h"' '#include "vitrine_exec.h"'
	for copy in copy_strings copy_strings_kernel; do
		insert fs/exec.c "	retval = $copy(bprm->argc, argv, bprm);" '	retval = vitrine_env(bprm);
	if (retval < 0)
		goto out_free;'
	done

	# A tick costs 1.5 ms: 25 a second, not 100.
	insert kernel/Kconfig.hz '	default 100 if HZ_100' '	default 25 if HZ_100'
	# Two parts of sysfs that cost three seconds and that nobody reads here:
	# the caches of the memory allocator, and the parameters of what is built in.
	insert mm/slub.c '	err = slab_kset_init();' '	err = 0;
	goto out;'
	insert kernel/params.c '	param_sysfs_builtin();' '	if (0)'
}

build() {
	tar -xJf "/usr/src/$source.tar.xz" -C "$part" --strip-components=1 || fail "/usr/src/$source.tar.xz cannot be unpacked" "3 GB of free disk are needed in $cache; else: apt-get install --reinstall $source"
	edit

	quiet="make -s -C $part ARCH=x86 KBUILD_BUILD_USER=vitrine KBUILD_BUILD_HOST=test"
	KCONFIG_ALLCONFIG=$ours/config $quiet allnoconfig >&2
	# An option that depends on one that is off vanishes without a word.
	sed -n 's/^\(CONFIG_[A-Z0-9_]*\)=.*/\1/p' "$ours/config" | while read -r option; do
		grep -qxF "$(grep "^$option=" "$ours/config")" "$part/.config" || echo "$option, wanted as in test/kernel/config, is not"
	done >"$part.lost"
	sed -n 's/^# \(CONFIG_[A-Z0-9_]*\) is not set$/\1/p' "$ours/config" | while read -r option; do
		! grep "^$option=" "$part/.config" >/dev/null || echo "$option, wanted off, is on"
	done >>"$part.lost"
	if [ -s "$part.lost" ]; then
		cat "$part.lost" >&2
		fail "the kernel's configuration is not the one that was asked for" "adapt test/kernel/config: an option needs others that are off, or is drawn in by one that is on"
	fi
	nice -n 5 $quiet -j"$(nproc)" vmlinux >&2 || fail "the kernel could not be built" "see the lines above; gcc and 3 GB of free disk in $cache are needed"

	mkdir "$part/out"
	cp "$part/.config" "$part/out/config"
	strip --strip-debug -o "$part/out/vmlinux" "$part/vmlinux"
	mv "$part/out" "$target"
}

if [ ! -s "$target/vmlinux" ]; then
	rm -rf "$cache"/.part-* "$target" # of builds that were killed: we hold the lock
	part=$(mktemp -d "$cache/.part-XXXXXX")
	trap 'rm -rf "$part" "$part.lost"' EXIT
	trap 'exit 130' INT TERM
	echo "test-kernel: building Linux from $source $version, once; this takes some minutes" >&2
	build
fi
# What a VMM must be told to boot it changes without a build.
cp "$ours/guest.json" "$target/guest.json"
ln -sfn "$key" "$cache/current"
echo "$target/vmlinux"
