"""PostgreSQL refuses to run as root: how root runs it all the same, also where only root can reach the files."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scripts.supervisor import StartFailed

NOBODY = 65534

NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
"""The same user under another number: it keeps root's access to files that root owns."""

CAPABILITY = (
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
    "--inh-caps=+dac_override", "--ambient-caps=+dac_override",
)  # fmt: skip
"""Where user namespaces are forbidden, as in most containers: nobody, but still able to reach a folder of mode 700."""


@dataclass(frozen=True)
class Unprivileged:
    """`prefix` goes before a command; `uid` must own the files that it insists on owning (None: already does)."""

    prefix: tuple[str, ...]
    uid: int | None

    def own(self, folder: Path) -> None:
        """Hand the folder and all in it to `uid`."""
        if self.uid is not None and folder.stat().st_uid != self.uid:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.uid, self.uid, follow_symlinks=False)


@cache
def unprivileged() -> Unprivileged:
    """The way that works here. Raises StartFailed when root has none."""
    if os.geteuid() != 0:
        return Unprivileged(prefix=(), uid=None)
    for way in (Unprivileged(NAMESPACE, uid=0), Unprivileged(CAPABILITY, uid=NOBODY)):
        if _works(way.prefix):
            return way
    raise StartFailed(
        "PostgreSQL does not run as root, and neither `unshare --user` nor `setpriv` works here: "
        "start Parley as an ordinary user, or point DATABASE_URL at a server"
    )


def _works(prefix: tuple[str, ...]) -> bool:
    try:
        return subprocess.run((*prefix, "true"), capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
