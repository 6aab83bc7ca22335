"""PostgreSQL runs neither as root nor, its initdb, as a number that has no name: how such users run it all the same.

Both ways below keep the access to files that only the user who starts Parley can reach.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scripts.local.supervisor import StartFailed

PROBE = "import os, pwd, sys; os.listdir(sys.argv[1]); uid = os.geteuid(); pwd.getpwuid(uid); sys.exit(uid == 0)"
"""What initdb needs: its folder, a user other than root, and a name for that user's number."""

PROBE_TIMEOUT_S = 60
ROOT_ALONE = "PostgreSQL does not run as root"
NAMELESS = "PostgreSQL's initdb needs a user with a name, and /etc/passwd has none for uid {uid}"


@dataclass(frozen=True)
class Unprivileged:
    """`prefix` goes before a command; `uid` must own the files that it insists on owning (None: already does)."""

    prefix: tuple[str, ...]
    uid: int | None

    def chown(self, folder: Path) -> None:
        """Hand the folder and all in it to `uid`."""
        if self.uid is not None and folder.stat().st_uid != self.uid:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.uid, self.uid, follow_symlinks=False)


@cache
def unprivileged(folder: Path) -> Unprivileged:
    """The way that works here and reaches `folder`. Raises StartFailed, with what would help, when there is none."""
    uid = os.geteuid()
    if uid != 0 and _has_name(uid):
        return Unprivileged(prefix=(), uid=None)
    fault = NAMELESS.format(uid=uid) if uid else ROOT_ALONE
    advice = "start Parley as an ordinary user that /etc/passwd names, or point DATABASE_URL at a server"
    other = _other_user()
    if other is None:
        raise StartFailed(f"{fault}, and /etc/passwd names nobody but root: {advice}")
    ways = [_namespace(other, owner=None if uid else 0)]
    if uid == 0:
        ways.append(_capability(other))
    for way in ways:
        if _works(way.prefix, folder):
            return way
    tried = "`unshare --user` does not work" if uid else "neither `unshare --user` nor `setpriv` works"
    raise StartFailed(f"{fault}, and {tried} here: {advice}")


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _other_user() -> pwd.struct_passwd | None:
    """Whom to be: nobody, who is on nearly every machine, or else anybody but root."""
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        return next((entry for entry in pwd.getpwall() if entry.pw_uid != 0), None)


def _namespace(other: pwd.struct_passwd, owner: int | None) -> Unprivileged:
    """The same user under another number: to the files it is still who it was."""
    prefix = ("unshare", "--user", f"--map-user={other.pw_uid}", f"--map-group={other.pw_gid}")
    return Unprivileged(prefix, uid=owner)


def _capability(other: pwd.struct_passwd) -> Unprivileged:
    """For root where user namespaces are forbidden, as in most containers: another user that reaches every folder."""
    prefix = (
        "setpriv",
        f"--reuid={other.pw_uid}",
        f"--regid={other.pw_gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    )
    return Unprivileged(prefix, uid=other.pw_uid)


def _works(prefix: tuple[str, ...], folder: Path) -> bool:
    try:
        probe = (*prefix, sys.executable, "-I", "-S", "-c", PROBE, str(folder))
        return subprocess.run(probe, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
