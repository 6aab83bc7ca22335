"""Programs that no package index has: files NAME-VERSION-linux-amd64.xz of the folder PARLEY_TEST_BIN."""

from __future__ import annotations

import lzma
import os
import shutil
import sys
import tempfile
from pathlib import Path

UNPACKED = Path(sys.prefix) / "programs"


def folder() -> Path | None:
    """PARLEY_TEST_BIN, when it is set and there."""
    named = os.environ.get("PARLEY_TEST_BIN")
    return Path(named) if named and Path(named).is_dir() else None


def packed(name: str) -> Path | None:
    """The newest file of this name and any version; None when the folder has none."""
    files = sorted((folder() or Path(os.devnull)).glob(f"{name}-[0-9]*.xz"))
    return files[-1] if files else None


def program(name: str) -> Path | None:
    """Path of an executable, unpacked once per version; None when the folder has none."""
    source = packed(name)
    if source is None:
        return None
    target = UNPACKED / source.name.removesuffix(".xz")
    if not target.exists():
        UNPACKED.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=UNPACKED, delete=False) as draft, lzma.open(source) as content:
            shutil.copyfileobj(content, draft)
        Path(draft.name).chmod(0o755)
        Path(draft.name).rename(target)
    return target


def kubectl() -> Path | None:
    """kubectl: the node program under that name, which decides what it is, or the one on the PATH."""
    node = program("kubernetes-node")
    if node is None:
        path = shutil.which("kubectl")
        return Path(path) if path else None
    link = node.parent / f"{node.name}.kubectl" / "kubectl"
    if not link.exists():  # or it leads to where the environment has been before
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(Path("..") / node.name)
    return link
