package oci

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Seccomp is the profile of a container machine: what is not named is refused,
// as if the kernel did not know it (ENOSYS: programs fall back, where EPERM
// would make some give up).
//
// Left out, against what container runtimes usually allow: mounting of any
// kind, io_uring, userfaultfd, bpf, perf, keyrings, new file handles by handle,
// setns, every architecture but the host's own, and all socket families but
// unix, IPv4, IPv6 and two netlink protocols.
// Left in, against them: clone and unshare of user, pid and network namespaces
// and chroot, which Chromium's sandbox is made of.
func Seccomp() *specs.LinuxSeccomp {
	enosys, eperm := uint(unix.ENOSYS), uint(unix.EPERM)
	allow := func(names string, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: strings.Fields(names), Action: specs.ActAllow, Args: args}
	}
	arg := func(i uint, op specs.LinuxSeccompOperator, v, v2 uint64) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{Index: i, Op: op, Value: v, ValueTwo: v2}
	}
	rules := []specs.LinuxSyscall{
		allow(plainCalls),
		// Flags cannot be read from clone3's struct: glibc falls back to clone.
		{Names: []string{"clone3"}, Action: specs.ActErrno, ErrnoRet: &enosys},
		allow("clone unshare", arg(0, specs.OpMaskedEqual, refusedNamespaces, 0)),
		{Names: []string{"mount", "umount2", "pivot_root", "setns"}, Action: specs.ActErrno, ErrnoRet: &eperm},
	}
	for _, family := range []uint64{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6} {
		rules = append(rules, allow("socket", arg(0, specs.OpEqualTo, family, 0)))
	}
	for _, protocol := range []uint64{unix.NETLINK_ROUTE, unix.NETLINK_KOBJECT_UEVENT} {
		rules = append(rules, allow("socket", arg(0, specs.OpEqualTo, unix.AF_NETLINK, 0), arg(2, specs.OpEqualTo, protocol, 0)))
	}
	for _, persona := range []uint64{0, 0x0008, 0x20000, 0x20008, 0xffffffff} { // Linux, Linux32, UNAME26 of each, ask
		rules = append(rules, allow("personality", arg(0, specs.OpEqualTo, persona, 0)))
	}
	return &specs.LinuxSeccomp{
		DefaultAction:   specs.ActErrno,
		DefaultErrnoRet: &enosys,
		Syscalls:        rules,
	}
}

// refusedNamespaces are the clone flags of namespaces that no program in a
// machine needs (clone(2)); user, pid and network stay.
const refusedNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP

// plainCalls are allowed with any arguments.
const plainCalls = `
accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown chroot
clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3
epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group
faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync
fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait
futex_waitv futex_wake futimesat get_mempolicy get_robust_list get_thread_area getcpu getcwd getdents getdents64
getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom
getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
io_setup io_submit ioctl ioprio_get ioprio_set kcmp kill landlock_add_rule landlock_create_ruleset
landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat
madvise map_shadow_stack mbind membarrier memfd_create mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall
mmap modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal
msgctl msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat openat2 pause
pidfd_getfd pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64
preadv preadv2 prlimit64 process_madvise process_mrelease process_vm_readv process_vm_writev pselect6 ptrace
pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages
removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max
sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
semtimedop sendfile sendmmsg sendmsg sendto set_mempolicy set_robust_list set_thread_area set_tid_address setfsgid
setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid
setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice
stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate
umask uname unlink unlinkat utime utimensat utimes vfork vmsplice wait4 waitid write writev
`
