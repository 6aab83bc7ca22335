"""A checkout as somebody else makes it: `git clone` of this one, with a umask of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.engine.folder import remove

ROOT = Path(__file__).parents[2]


def clone(folder: Path, umask: int = 0o022) -> Path:
    """Clone HEAD into `folder`, whatever is there, and lay what is not committed yet over it."""
    if folder.exists():
        remove(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    git = ("git", "-c", f"safe.directory={ROOT}")
    subprocess.run((*git, "clone", "--quiet", str(ROOT), str(folder)), umask=umask, check=True, capture_output=True)
    changed = subprocess.run(
        (*git, "-C", str(ROOT), "ls-files", "-z", "--modified", "--others", "--exclude-standard"),
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    before = os.umask(umask)
    try:
        for name in filter(None, changed):
            (folder / name).unlink(missing_ok=True)
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)
    finally:
        os.umask(before)
    return folder
