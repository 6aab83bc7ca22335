"""The folder that keeps roots, images and downloads between runs: the first takes minutes, the next take seconds."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DEFAULT = "/var/tmp/parley-engine"


@dataclass(frozen=True)
class WorkFolder:
    """PARLEY_ENGINE_DIR, or one of root's own in /var/tmp. Every user of it may delete it whole when no test runs."""

    path: Path

    @classmethod
    def of_environment(cls) -> WorkFolder:
        """The folder, made for its owner alone. Raises PermissionError when somebody else has made it."""
        path = Path(os.environ.get("PARLEY_ENGINE_DIR") or DEFAULT).absolute()
        path.mkdir(mode=0o711, parents=True, exist_ok=True)
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise PermissionError(f"{path} is not a folder of this user: set PARLEY_ENGINE_DIR")
        return cls(path)

    @property
    def has_roots(self) -> bool:
        return any(self.path.glob("root-*"))

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """One user of `name` at a time; the others wait."""
        with (self.path / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def cached(self, name: str, key: str, make: Callable[[Path], None]) -> Path:
        """A file or folder that `make` fills once for each `key`. Safe to interrupt; a running engine keeps its own."""
        place = self.path / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
        with self.lock(name):
            if not place.exists():
                draft = self.path / f"{name}-draft"
                if draft.exists():
                    remove(draft)
                make(draft)
                draft.rename(place)
        return place


def remove(path: Path) -> None:
    """A file, or a folder with all in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
