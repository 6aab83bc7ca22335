"""Run a command as another user, with another /etc/passwd, with or without user namespaces:
`python user_switch.py PASSWD UID yes|no COMMAND...`.

`PASSWD` is a file, `UID` the user's number. No other source of users is asked, and the user reaches this checkout and
this Python, wherever they lie. Works for root, and for an ordinary user where user namespaces are allowed;
what cannot be had ends with status 77 and a line that says why.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

CANNOT = 77
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000  # linux/sched.h
MS_REC, MS_PRIVATE, MS_BIND = 0x4000, 0x40000, 0x1000  # linux/mount.h
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4  # linux/prctl.h
ROOT = Path(__file__).parents[3]
LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    passwd, number, namespaces, *command = sys.argv[1:]
    uid, allowed = int(number), namespaces == "yes"
    if os.geteuid() == 0:
        if not allowed:
            own_user_namespace(everybody=True)
        call("unshare", CLONE_NEWNS)
    else:
        own_user_namespace(everybody=False, uid=uid)
        call("unshare", CLONE_NEWNS)
    call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    open_ways(ROOT, Path(sys.prefix), Path(sys.base_prefix))
    bind(passwd, "/etc/passwd")
    if Path("/etc/nsswitch.conf").exists():  # systemd's module would name root and nobody
        bind(os.devnull, "/etc/nsswitch.conf")
    if not allowed:
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
    if os.geteuid() != uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    os.execvp(command[0], command)


def open_ways(*needed: Path) -> None:
    """Where a folder above these is closed to others, as /root is: put one in its place that holds them alone."""
    paths = {path.resolve() for path in needed}
    above = {folder for path in paths for folder in path.parents}
    for closed in sorted(folder for folder in above if not folder.stat().st_mode & 0o001):
        inside = {path: os.open(path, os.O_PATH) for path in paths if path.is_relative_to(closed)}
        if closed.stat().st_mode & 0o001:
            continue  # below one that was replaced
        call("mount", b"tmpfs", os.fsencode(closed), b"tmpfs", 0, b"mode=755")
        for path, opened in inside.items():
            path.mkdir(parents=True, exist_ok=True)
            bind(f"/proc/self/fd/{opened}", path)


def bind(source: str, target: str | Path) -> None:
    call("mount", source.encode(), os.fsencode(target), None, MS_BIND | MS_REC, None)


def own_user_namespace(*, everybody: bool, uid: int = 0) -> None:
    """One in which this process has every right: with all users under their own numbers, which only root may map, or
    with this user alone, as `uid`."""
    own_uid, own_gid = os.geteuid(), os.getegid()
    if not everybody:
        call("unshare", CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {own_uid} 1")
        Path("/proc/self/gid_map").write_text(f"{uid} {own_gid} 1")
        return
    (wait_creation, creation), (wait_mapping, mapping) = os.pipe(), os.pipe()
    parent = os.getpid()
    if (child := os.fork()) == 0:  # it maps from outside: inside, one may map oneself alone
        os.read(wait_creation, 1)
        for name in ("uid_map", "gid_map"):
            lines = [line.split() for line in Path(f"/proc/self/{name}").read_text().splitlines()]
            Path(f"/proc/{parent}/{name}").write_text("".join(f"{inner} {inner} {n}\n" for inner, _, n in lines))
        os.write(mapping, b".")
        os._exit(0)
    call("unshare", CLONE_NEWUSER)
    os.write(creation, b".")
    os.close(mapping)
    ready = os.read(wait_mapping, 1)
    os.waitpid(child, 0)
    if not ready:
        give_up("the users of this machine could not be mapped into a user namespace")
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def call(name: str, *arguments: bytes | int | None) -> None:
    if getattr(LIBC, name)(*arguments) != 0:
        give_up(f"{name}: {os.strerror(ctypes.get_errno())}")


def give_up(reason: str) -> None:
    print(reason, file=sys.stderr)
    sys.exit(CANNOT)


if __name__ == "__main__":
    main()
