"""Ways out of yt-dlp's child, each tried by native code that was made ready before the lock: `python -I jail_break.py
ROOT PROXY_PORT CANARY_PORT VICTIM_PID SOCKET_PATH FOLDER`. Prints a line per way: its name and `refused` or `done`.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

root, proxy, canary, victim, socket_path, folder = sys.argv[1:]
sys.path.append(root)

from tasks.sandbox.extractor.confinement import confine  # noqa: E402
from tests.unit.sandbox.calls import X86, number  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
SYSCALL = LIBC.syscall  # bound before the lock: afterwards Python may look up no function
SYSCALL.restype = ctypes.c_long
CONNECT, FORK = LIBC.connect, LIBC.fork


def ready(arguments: tuple[object, ...]) -> list[object]:
    return [each if isinstance(each, bytes | None) else ctypes.c_long(int(str(each))) for each in arguments]


def call(name: str, *arguments: object) -> Callable[[], None]:
    """A system call with its arguments made ready; it refuses by OSError."""
    made_ready = ready(arguments)
    code = ctypes.c_long(number(name))

    def act() -> None:
        if SYSCALL(code, *made_ready) < 0:
            raise OSError(name)

    return act


def child(act: Callable[..., int], *arguments: object) -> Callable[[], None]:
    """A call that may come back twice: the second process ends at once."""

    def once() -> None:
        pid = act(*arguments)
        if pid < 0:
            raise OSError("refused")
        if pid == 0:
            os._exit(0)

    return once


IPV4 = struct.pack("=H", socket.AF_INET) + struct.pack("!H", int(canary)) + bytes([127, 0, 0, 1]) + bytes(8)
UNIX = struct.pack("=H", socket.AF_UNIX) + socket_path.encode() + b"\0"
TARGET = b"/etc/passwd\0"
BUFFER = ctypes.create_string_buffer(64)
IOVEC = struct.pack("QQ", ctypes.addressof(BUFFER), 8)
AT_CWD = -100
PID = ctypes.c_int(int(victim))
UNIX_SOCKET, DATAGRAM = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
UNIX_SOCKET.close()
DATAGRAM.close()
VOID = ctypes.c_void_p()


def new_socket(family: int, kind: int, protocol: int = 0) -> Callable[[], None]:
    return call("socket", family, kind, protocol)


def connect_natively() -> None:
    with socket.socket() as opened:
        if CONNECT(opened.fileno(), IPV4, 16) != 0:
            raise OSError("connect")


def with_tcp(name: str, *arguments: object) -> Callable[[], None]:
    """A call whose first argument is a TCP socket, which the child may have."""
    code = ctypes.c_long(number(name))
    made_ready = ready(arguments)

    def act() -> None:
        with socket.socket() as opened:
            if SYSCALL(code, ctypes.c_long(opened.fileno()), *made_ready) < 0:
                raise OSError(name)

    return act


MESSAGE = struct.pack("QIxxxxQQQQi4x", 0, 0, ctypes.addressof(ctypes.create_string_buffer(IOVEC)), 1, 0, 0, 0)
NAMESPACES = {"mnt": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000,
              "pid": 0x20000000, "net": 0x40000000}  # fmt: skip

LIBRARY = Path(os.__file__).open()  # noqa: SIM115 - open for as long as the program runs

WAYS: dict[str, Callable[[], object]] = {
    # ---- sockets
    "unix-stream": new_socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "unix-datagram": new_socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    "unix-seqpacket-cloexec": new_socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC),
    "unix-pair": call("socketpair", socket.AF_UNIX, socket.SOCK_STREAM, 0, bytes(8)),
    "udp": new_socket(socket.AF_INET, socket.SOCK_DGRAM),
    "udp-cloexec-nonblock": new_socket(
        socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK),
    "udp-6": new_socket(socket.AF_INET6, socket.SOCK_DGRAM),
    "tcp-6": new_socket(socket.AF_INET6, socket.SOCK_STREAM),
    "mptcp": new_socket(socket.AF_INET, socket.SOCK_STREAM, 262),
    "sctp": new_socket(socket.AF_INET, socket.SOCK_STREAM, 132),
    "dccp": new_socket(socket.AF_INET, 6, 33),
    "ping": new_socket(socket.AF_INET, socket.SOCK_DGRAM, 1),
    "raw": new_socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "packet": new_socket(17, socket.SOCK_RAW, 768),
    "netlink": new_socket(16, socket.SOCK_RAW, 0),
    "vsock": new_socket(40, socket.SOCK_STREAM),
    "alg": new_socket(38, socket.SOCK_SEQPACKET),
    "bluetooth": new_socket(31, socket.SOCK_RAW),
    "tipc": new_socket(30, socket.SOCK_STREAM),
    "smc": new_socket(43, socket.SOCK_STREAM),
    "xdp": new_socket(44, socket.SOCK_RAW),
    "qipcrtr": new_socket(42, socket.SOCK_DGRAM),
    "kcm": new_socket(41, socket.SOCK_DGRAM),
    "can": new_socket(29, socket.SOCK_RAW, 1),
    "connect-elsewhere": connect_natively,
    "bind": with_tcp("bind", struct.pack("=H", 2) + bytes(14), 16),
    "listen": with_tcp("listen", 1),
    "accept": with_tcp("accept4", None, None, 0),
    "fast-open": with_tcp("sendto", b"x", 1, 0x20000000, IPV4, 16),
    "send-with-address": with_tcp("sendto", b"x", 1, 0, IPV4, 16),
    "send-message": with_tcp("sendmsg", MESSAGE, 0),
    "send-messages": with_tcp("sendmmsg", MESSAGE, 1, 0),
    "tcp-upper-protocol": with_tcp("setsockopt", 6, 31, b"tls\0", 4),
    "ip-option": with_tcp("setsockopt", 0, 1, struct.pack("i", 8), 4),
    # ---- programs and processes
    "fork": child(FORK),
    "clone-process": child(SYSCALL, ctypes.c_long(number("clone")), ctypes.c_long(17),
                           VOID, VOID, VOID, VOID),
    **{f"clone-{name}": child(SYSCALL, ctypes.c_long(number("clone")),
                              ctypes.c_long(17 | flag), VOID, VOID, VOID, VOID) for name, flag in NAMESPACES.items()},
    **{f"unshare-{name}": call("unshare", flag) for name, flag in NAMESPACES.items()},
    "setns": call("setns", 0, 0),
    "execve": call("execve", b"/bin/true\0", None, None),
    "execveat": call("execveat", AT_CWD, b"/bin/true\0", None, None, 0),
    "memfd": call("memfd_create", b"x\0", 0),
    "memfd-secret": lambda: call_number(447, 0),
    "setsid": call("setsid"),
    "setpgid": call("setpgid", 0, 0),
    # ---- other processes
    "ptrace": call("ptrace", 16, victim, 0, 0),
    "ptrace-traceme": call("ptrace", 0, 0, 0, 0),
    "read-memory": call("process_vm_readv", victim, IOVEC, 1, IOVEC, 1, 0),
    "write-memory": call("process_vm_writev", victim, IOVEC, 1, IOVEC, 1, 0),
    "pidfd": call("pidfd_open", victim, 0),
    "pidfd-getfd": call("pidfd_getfd", 0, 0, 0),
    "pidfd-signal": call("pidfd_send_signal", 0, 0, None, 0),
    "kill": call("kill", victim, 0),
    "tkill": call("tkill", victim, 0),
    "tgkill": call("tgkill", victim, victim, 0),
    "sigqueue": call("rt_sigqueueinfo", victim, 0, bytes(128)),
    "limits-of-another": call("prlimit64", victim, 7, None, bytes(16)),
    "nice-of-another": call("setpriority", 0, victim, 19),
    "scheduler": call("sched_setscheduler", 0, 3, bytes(8)),
    "compare": call("kcmp", victim, victim, 0, 0, 0),
    "own-signal": call("fcntl", 0, fcntl.F_SETOWN, victim),
    "lease": call("fcntl", 0, 1024, 1),
    "notify": call("fcntl", 0, 1026, 1),
    # ---- the kernel
    "io_uring": call("io_uring_setup", 4, bytes(120)),
    "userfaultfd": call("userfaultfd", 1),
    "bpf": call("bpf", 0, bytes(72), 72),
    "perf": call("perf_event_open", bytes(112), 0, -1, -1, 0),
    "keyctl": call("keyctl", 0, -3, 1),
    "add-key": call("add_key", b"user\0", b"x\0", b"y", 1, -3),
    "request-key": call("request_key", b"user\0", b"x\0", None, -3),
    "modules": call("init_module", None, 0, b"\0"),
    "kexec": call("kexec_load", 0, 0, None, 0),
    "reboot": call("reboot", 0, 0, 0, None),
    "swap": call("swapon", b"x\0", 0),
    "log": call("syslog", 10, None, 0),
    "host-name": call("sethostname", b"x", 1),
    "clock": call("settimeofday", None, None),
    "accounting": call("acct", None),
    "quota": call("quotactl", 0x800005, None, 0, None),
    "personality": call("personality", 0x0040000),
    "dumpable": call("prctl", 4, 0, 0, 0, 0),
    "tracer": call("prctl", 0x59616D61, -1, 0, 0, 0),
    "second-filter": call("seccomp", 1, 0, None),
    "action": call("ioctl", 0, 0x5412, b"x"),
    "console": call("ioctl", 0, 0x541C, b"\x02"),
    "shared-memory": call("shmget", 0, 4096, 0o1600),
    "message-queue": call("msgget", 0, 0o1600),
    "semaphores": call("semget", 0, 1, 0o1600),
    "posix-queue": call("mq_open", b"parley\0", 0o102, 0o600, None),
    "inotify": call("inotify_init1", 0),
    "fanotify": call("fanotify_init", 0, 0),
    "timer": call("timer_create", 1, None, bytes(8)),
    "uid": call("setuid", 0),
    # ---- the file system
    "mount": call("mount", b"none\0", b"/tmp\0", b"tmpfs\0", 0, None),
    "umount": call("umount2", b"/proc\0", 2),
    "pivot": call("pivot_root", b".\0", b".\0"),
    "chroot": call("chroot", b".\0"),
    "fsopen": call("fsopen", b"tmpfs\0", 0),
    "open-tree": call("open_tree", AT_CWD, b".\0", 0),
    "move-mount": call("move_mount", AT_CWD, b".\0", AT_CWD, b".\0", 0),
    "handle": call("name_to_handle_at", AT_CWD, b".\0", bytes(136), bytes(8), 0),
    "open-handle": call("open_by_handle_at", AT_CWD, bytes(136), 0),
    "symlink": call("symlinkat", TARGET, AT_CWD, b"recording\0"),
    "hard-link": call("linkat", AT_CWD, b"own\0", AT_CWD, b"second\0", 0),
    "hard-link-of-a-secret": call("linkat", AT_CWD, TARGET, AT_CWD, b"recording\0", 0),
    "fifo": call("mknodat", AT_CWD, b"recording\0", 0o010600, 0),
    "character-device": call("mknodat", AT_CWD, b"recording\0", 0o020600, 0x105),
    "block-device": call("mknodat", AT_CWD, b"recording\0", 0o060600, 0x700),
    "socket-file": call("mknodat", AT_CWD, b"recording\0", 0o140600, 0),
    "folder": call("mkdirat", AT_CWD, b"recording\0", 0o700),
    "mode": call("fchmodat", AT_CWD, b"own\0", 0o4777, 0),
    "owner": call("fchownat", AT_CWD, b"own\0", 1, 1, 0),
    "attribute": call("setxattr", b"own\0", b"user.x\0", b"y", 1, 0),
    # ---- files by Python
    "read-secret": lambda: Path("/etc/passwd").open().close(),
    "read-parent": lambda: Path(f"/proc/{victim}/environ").open().close(),
    "read-own-environment": lambda: Path("/proc/self/environ").open().close(),
    "own-descriptors": lambda: Path(f"/proc/self/fd/{LIBRARY.fileno()}").open("r+").close(),
    "device": lambda: Path("/dev/mem").open().close(),
    "write-elsewhere": lambda: Path("/tmp/elsewhere").open("w").close(),
    "write-above": lambda: Path("../above").open("w").close(),
    "write-library": lambda: Path(os.__file__).with_name("zz.py").open("w").close(),
    # ---- Python's own ways to native code
    "ctypes-dlopen": lambda: ctypes.CDLL(None),
    "ctypes-dlsym": lambda: LIBC.getpid,
    "ctypes-string-at": lambda: ctypes.string_at(id(None), 8),
    "ctypes-cast": lambda: ctypes.c_char.from_address(id(None)),
    "python-fork": os.fork,
    "python-symlink": lambda: Path("recording").symlink_to("/etc/passwd"),
    "python-link": lambda: Path("second").hardlink_to("own"),
    "python-fifo": lambda: os.mkfifo("recording"),
    "python-mkdir": lambda: Path("recording").mkdir(),
}  # fmt: skip
if X86:
    WAYS |= {
        "old-fork": child(SYSCALL, ctypes.c_long(57)),
        "old-symlink": call("symlink", TARGET, b"recording\0"),
        "old-link": call("link", b"own\0", b"second\0"),
        "old-mknod": call("mknod", b"recording\0", 0o010600, 0),
        "old-mkdir": call("mkdir", b"recording\0", 0o700),
        "io-privileges": call("iopl", 3),
        "io-ports": call("ioperm", 0, 1, 1),
        "descriptors-of-segments": call("modify_ldt", 0, bytes(16), 16),
    }
SECRET_MEMORY = ctypes.c_long(447), ctypes.c_long(0)


def call_number(*_: int) -> None:
    if SYSCALL(*SECRET_MEMORY) < 0:
        raise OSError("memfd_secret")


def main() -> None:
    os.chdir(folder)
    Path("own").write_text("x")
    confine(Path.cwd(), [Path(sys.prefix), Path(sys.base_prefix)], ("127.0.0.1", int(proxy)))
    for name, act in WAYS.items():
        try:
            act()
        except OSError:
            print(name, "refused", flush=True)
        else:
            print(name, "done", flush=True)
    with socket.create_connection(("127.0.0.1", int(proxy)), 5):
        print("proxy", "done", flush=True)
    Path("recording").write_bytes(b"sound")
    Path("recording").rename("own")
    print("own-file", "done", flush=True)


if __name__ == "__main__":
    main()
