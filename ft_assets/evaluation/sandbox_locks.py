"""What a process gives up before it runs code that nobody vouches for: files, network, new processes, privileges.

All of it is open to a process without any privilege, so a Kubernetes pod of the level "restricted" has it, too. Nothing
here can be undone by the process that asked for it. Only the standard library is imported: the sandbox starts without
site-packages.

Sources: landlock(7), capset(2), seccomp_rule_add(3).
"""

import ctypes
import os
import resource
import socket
import sysconfig
from collections.abc import Iterable
from pathlib import Path

SMALLEST_THREAD_STACK_BYTES = 8 << 20  # the memory limit then bounds threads, which no limit per process counts

_LIBC = ctypes.CDLL(None, use_errno=True)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_NEWEST_ABI_QUESTION, _PATH_BENEATH, _NO_NEW_PRIVILEGES = 1, 1, 38
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3
# Bits by the Landlock version that brought them: 13 file rights, then moving between directories, cutting, devices.
_FILE_RIGHTS = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
_SPECIAL_FILES = (1 << 6) | (1 << 9) | (1 << 10) | (1 << 11)  # devices, sockets, named pipes

# What computing, files in one's own directory, threads and asyncio need. Everything else is refused: the C library
# must see ENOSYS for calls that are younger than this list, so that it falls back to an older one.
_ALLOWED_CALLS = """
read write readv writev pread64 pwrite64 preadv pwritev lseek close fstat stat lstat newfstatat statx access faccessat
faccessat2 getdents getdents64 getcwd chdir fchdir rename renameat renameat2 mkdir mkdirat rmdir unlink unlinkat link
linkat symlink symlinkat readlink readlinkat ftruncate fsync fdatasync flock dup dup2 dup3 pipe pipe2 sendfile
copy_file_range poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2
socketpair sendto recvfrom sendmsg recvmsg shutdown getsockopt setsockopt getsockname
munmap mremap mprotect madvise brk msync futex set_robust_list get_robust_list rseq set_tid_address exit exit_group
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack restart_syscall
alarm setitimer getitimer pause nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times getrusage
getpid gettid getppid getuid geteuid getgid getegid getgroups getresuid getresgid getpgrp getpgid getsid uname sysinfo
getcpu sched_yield sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min
getpriority getrlimit getrandom umask membarrier wait4 waitid
"""
# Named ones are refused as "not permitted", which Python shows as PermissionError.
_REFUSED_CALLS = """
socket connect bind listen accept accept4 fork vfork execve execveat kill tkill tgkill pidfd_open pidfd_send_signal
rt_sigqueueinfo rt_tgsigqueueinfo ptrace process_vm_readv process_vm_writev unshare setns mount umount2 chroot
pivot_root chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat futimesat setxattr
lsetxattr fsetxattr removexattr lremovexattr fremovexattr truncate mknod mknodat setrlimit prctl capset setuid setgid
setresuid setresgid setgroups setpriority sched_setaffinity sched_setscheduler sched_setattr ioprio_set memfd_create
shmget shmat msgget semget mq_open io_uring_setup bpf perf_event_open userfaultfd keyctl add_key request_key
name_to_handle_at open_by_handle_at quotactl swapon reboot init_module finit_module kexec_load
"""
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_AT_LEAST, _EQUAL, _MASKED_EQUAL = 5, 4, 7


class LockMissing(Exception):
    """This machine lacks a lock, so code may not run on it. The message says which and what brings it."""


def landlock_version() -> int:
    """The kernel's Landlock version, from 1; 0 where it has none or does not let this process use it."""
    return max(0, _LIBC.syscall(_CREATE_RULESET, None, 0, _NEWEST_ABI_QUESTION))


def limit_resources(cpu_seconds: int, memory_bytes: int, file_bytes: int) -> None:
    """Hard limits on this process: none of them can be raised again."""
    for kind, soft, hard in (
        (resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1),  # the first signal can be ignored, the second cannot
        (resource.RLIMIT_AS, memory_bytes, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes, file_bytes),
        (resource.RLIMIT_NOFILE, 64, 64),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        most = resource.getrlimit(kind)[1]
        within = [value if most == resource.RLIM_INFINITY else min(value, most) for value in (soft, hard)]
        resource.setrlimit(kind, (within[0], within[1]))


def give_up_privileges() -> None:
    """No program this process starts may gain a right, and root keeps none of root's."""
    _must(_LIBC.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _must(_LIBC.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def confine_files(directory: Path) -> None:
    """Only `directory` can be written; beside it only Python's own library and the system's can be read."""
    version = landlock_version()
    if not version:
        raise LockMissing("the kernel has no Landlock: Linux 5.13 or newer with `landlock` in its `lsm=` list has it")
    every_right = sum(bits for since, bits in _FILE_RIGHTS if version >= since)
    network, scopes = (3 if version >= 4 else 0), (3 if version >= 6 else 0)
    fields = 1 + (version >= 4) + (version >= 6)  # an older kernel refuses a longer structure
    ruleset = (ctypes.c_uint64 * fields)(*(every_right, network, scopes)[:fields])
    rules = _LIBC.syscall(_CREATE_RULESET, ruleset, ctypes.c_size_t(ctypes.sizeof(ruleset)), 0)
    _must(rules, "landlock_create_ruleset")
    for path in _library_paths():
        _allow(rules, path, _READ_FILE | _READ_DIRECTORY)
    for device in ("/dev/null", "/dev/zero", "/dev/urandom", "/etc/ld.so.cache"):
        _allow(rules, Path(device), _READ_FILE | (1 << 1 if device == "/dev/null" else 0))
    _allow(rules, directory, every_right & ~_SPECIAL_FILES)
    _must(_LIBC.syscall(_RESTRICT_SELF, rules, 0), "landlock_restrict_self")
    os.close(rules)


def _library_paths() -> Iterable[Path]:
    library = sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), sysconfig.get_config_var("LIBDIR")
    system = "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo"
    return {Path(path).resolve() for path in (*library, *system) if path and Path(path).is_dir()}


def _allow(rules: int, path: Path, rights: int) -> None:
    if not path.exists():
        return
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    rule = rights.to_bytes(8, "little") + opened.to_bytes(4, "little")
    _must(_LIBC.syscall(_ADD_RULE, rules, _PATH_BENEATH, rule, 0), "landlock_add_rule")
    os.close(opened)


class _Argument(ctypes.Structure):
    """scmp_arg_cmp: one argument of a call, compared."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class CallFilter:
    """A seccomp filter, built once and loaded in every process that is to be locked.

    No sockets but pairs, no new processes or programs, no signals to others, no change of anyone's file modes.
    """

    def __init__(self) -> None:
        """Raises LockMissing where libseccomp is not installed."""
        try:
            self._library = ctypes.CDLL("libseccomp.so.2")
        except OSError as missing:
            raise LockMissing(
                "libseccomp.so.2 is not installed: the package libseccomp2 or libseccomp has it"
            ) from missing
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._filter = ctypes.c_void_p(self._library.seccomp_init(_ERRNO | _ENOSYS))
        for name in _ALLOWED_CALLS.split():
            self._rule(_ALLOW, name)
        for name in _REFUSED_CALLS.split():
            self._rule(_ERRNO | _EPERM, name)
        self._rules_by_argument()

    def load(self) -> None:
        """Locks this process. A call that the filter refuses fails; it does not end the process."""
        _must(self._library.seccomp_load(self._filter), "seccomp_load")

    def _rules_by_argument(self) -> None:
        cut_off, writing = os.O_TRUNC, os.O_ACCMODE  # reading with O_TRUNC cuts a file that Landlock 1 lets it read
        for value in (0, os.O_WRONLY, os.O_RDWR, cut_off | os.O_WRONLY, cut_off | os.O_RDWR):
            self._rule(_ALLOW, "openat", _Argument(2, _MASKED_EQUAL, cut_off | writing, value))
            self._rule(_ALLOW, "open", _Argument(1, _MASKED_EQUAL, cut_off | writing, value))
        self._rule(_ALLOW, "clone", _Argument(0, _MASKED_EQUAL, 0x10000, 0x10000))  # CLONE_THREAD
        # No shared mapping of a file: what is written through one is counted nowhere, and 16 MiB a file fill a disk.
        shared, anonymous, stack = 0x1, 0x20, 0x20000
        large = _Argument(1, _AT_LEAST, SMALLEST_THREAD_STACK_BYTES, 0)
        self._rule(_ALLOW, "mmap", _Argument(3, _MASKED_EQUAL, stack | shared, 0))
        self._rule(_ALLOW, "mmap", large, _Argument(3, _MASKED_EQUAL, shared, 0))
        self._rule(_ALLOW, "mmap", _Argument(3, _MASKED_EQUAL, stack | shared | anonymous, shared | anonymous))
        self._rule(_ALLOW, "prlimit64", _Argument(2, _EQUAL, 0, 0))  # reading limits
        for command in (
            0,
            1,
            2,
            3,
            4,
            5,
            6,
            7,
            36,
            37,
            38,
            1030,
            1032,
        ):  # copies, flags, locks; not signals to an owner
            self._rule(_ALLOW, "fcntl", _Argument(1, _MASKED_EQUAL, 0xFFFFFFFF, command))
        for request in (
            0x5401,
            0x5413,
            0x541B,
            0x5421,
            0x5450,
            0x5451,
        ):  # terminal?, its size, bytes waiting, non-blocking, CLOEXEC
            self._rule(_ALLOW, "ioctl", _Argument(1, _MASKED_EQUAL, 0xFFFFFFFF, request))

    def _rule(self, action: int, name: str, *arguments: _Argument) -> None:
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            return  # this architecture or library does not know the call, so the default refuses it
        compared = (_Argument * len(arguments))(*arguments)
        code = self._library.seccomp_rule_add_array(
            self._filter, ctypes.c_uint32(action), number, len(arguments), compared
        )
        if code < 0:
            raise LockMissing(f"libseccomp refused the rule for {name}: {os.strerror(-code)}")


def what_still_works(directory: Path) -> list[str]:
    """The forbidden things that this process can do all the same; empty where every lock holds."""
    attempts = {
        "opening a socket": lambda: socket.socket().close(),
        "starting a process": _start_a_process,
        "listing the root directory": lambda: os.listdir("/"),
        "reading /proc": lambda: Path("/proc/self/status").read_bytes(),
        "writing beside its directory": lambda: (directory.parent / "written").write_bytes(b""),
        "changing a file's mode": lambda: os.chmod(directory, 0o700),
    }
    worked = []
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError:
            continue
        worked.append(name)
    return worked


def _start_a_process() -> None:
    if os.fork() == 0:
        os._exit(0)


def _must(code: int, call: str) -> None:
    if code < 0:
        reason = os.strerror(ctypes.get_errno() or -code)
        raise LockMissing(f"{call} failed ({reason}); a seccomp profile of the container may forbid it")
