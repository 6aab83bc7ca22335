"""The system calls that the decoder and yt-dlp's child may make: their numbers on x86-64 and on arm64, or None."""

from __future__ import annotations

# fmt: off
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67), "pwrite64": (18,
    68), "lseek": (8, 62), "close": (3, 57), "close_range": (436, 436), "dup": (32, 23), "dup2": (33, None), "dup3":
    (292, 24), "pipe2": (293, 59), "sendfile": (40, 71), "copy_file_range": (326, 285), "open": (2, None), "openat":
    (257, 56), "stat": (4, None), "lstat": (6, None), "fstat": (5, 80), "newfstatat": (262, 79), "statx": (332, 291),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, None), "readlinkat":
    (267, 78), "getdents64": (217, 61), "getcwd": (79, 17), "umask": (95, 166), "truncate": (76, 45), "ftruncate":
    (77, 46), "fallocate": (285, 47), "fadvise64": (221, 223), "fsync": (74, 82), "fdatasync": (75, 83), "flock": (73,
    32), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276), "unlink": (87, None), "unlinkat": (263,
    35), "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "mremap": (25, 216), "msync": (26, 227),
    "madvise": (28, 233), "mincore": (27, 232), "brk": (12, 214), "membarrier": (324, 283), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132), "restart_syscall": (219, 128),
    "exit": (60, 93), "exit_group": (231, 94), "futex": (202, 98), "set_robust_list": (273, 99), "set_tid_address":
    (218, 96), "rseq": (334, 293), "arch_prctl": (158, None), "sched_yield": (24, 124), "sched_getaffinity": (204,
    123), "select": (23, None), "pselect6": (270, 72), "poll": (7, None), "ppoll": (271, 73), "epoll_create1": (291,
    20), "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22), "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115), "clock_gettime": (228, 113), "clock_getres": (229, 114), "gettimeofday": (96, 169),
    "time": (201, None), "times": (100, 153), "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178),
    "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177), "getrlimit": (97, 163),
    "getrusage": (98, 165), "sysinfo": (99, 179), "uname": (63, 160), "getrandom": (318, 278), "connect": (42, 203),
    "recvfrom": (45, 207), "getsockname": (51, 204), "getpeername": (52, 205), "getsockopt": (55, 209), "shutdown":
    (48, 210), "socket": (41, 198), "setsockopt": (54, 208), "sendto": (44, 206), "clone": (56, 220), "fcntl": (72,
    25), "ioctl": (16, 29), "prctl": (157, 167), "prlimit64": (302, 261), "tgkill": (234, 131), "clone3": (435, 435),
}
# fmt: on
"""Reading, writing and listing files, memory, waiting, time, threads, one kind of connection, and the end. Whatever
the kernel learns later is not among them. What makes links, folders, devices, processes or keys is not either."""
