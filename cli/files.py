"""Files that appear whole or not at all, and never in the place of another."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cli.failures import Failure


def write(target: Path, content: bytes, *, force: bool) -> None:
    """Write a file in one step. Raises Failure when there is one already and not `force`, and OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # opened like any new file, so that it gets the rights that the user's umask gives
    draft = target.with_name(f".parley-{secrets.token_hex(8)}")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if force:
            draft.replace(target)
        else:
            _place(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _place(draft: Path, target: Path) -> None:
    try:
        target.hardlink_to(draft)  # unlike a rename it fails when somebody else was faster
    except FileExistsError:
        raise exists(target) from None
    except OSError:  # a file system without links, such as FAT
        if target.exists():
            raise exists(target) from None
        draft.replace(target)


def exists(target: Path) -> Failure:
    """The refusal to overwrite."""
    return Failure("file_exists", f"{target} is there already; --force replaces it.")
