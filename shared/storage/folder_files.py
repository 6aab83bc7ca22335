"""Files that are there whole or not at all, whenever the machine or the process stops.

Everything is written as a draft beside the objects and renamed to its place when it is on the disk. A draft is locked
by the process that writes it, and the kernel opens the lock when that process dies: thus a sweep knows what nobody
writes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.errors import NotFound, ParleyError, StorageFull, StorageUnavailable

FULL = {errno.ENOSPC, errno.EDQUOT}
IN_THE_WAY = {errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST}
"""What a rename says when a joined upload, which is a folder, is where a file is to be, or the other way round."""

ATTEMPTS = 100
NEW_S = 60.0
"""A draft so young may not be locked yet."""

LARGEST_RESERVE = 1024**3


@contextmanager
def translated(root: Path | None = None) -> Iterator[None]:
    """Raise what the file system raises as StorageFull, StorageUnavailable or, if `root` is there, NotFound."""
    try:
        yield
    except OSError as error:
        raise _meaning(error, root) from error


def _meaning(error: OSError, root: Path | None) -> ParleyError:
    if error.errno in FULL:
        return StorageFull("The object store takes nothing more: its disk or its quota is full.")
    if isinstance(error, FileNotFoundError) and root and root.is_dir():
        return NotFound("The object is not in storage.")
    return StorageUnavailable("The folder of the object store cannot be used.")


def check_room(folder: Path | int) -> None:
    """Raise StorageFull before the disk is quite full: a database on the same one would stop."""
    disk = os.statvfs(folder)
    reserve = min(disk.f_blocks * disk.f_frsize // 100, LARGEST_RESERVE)
    if disk.f_bavail * disk.f_frsize < reserve:
        raise StorageFull("The object store takes nothing more: its disk is full.")


def sync(folder: Path) -> None:
    """What was renamed or removed in the folder is so after a power failure, too."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_if_there(folder: Path) -> None:
    """Somebody may have removed what is in it, and it with the last of that."""
    with suppress(FileNotFoundError):
        sync(folder)


def make_folders(folder: Path) -> None:
    """Make the folder and what is missing above it, also while others remove there what has become empty.

    Raises FileNotFoundError when they go on doing so, or when the working directory is gone.
    """
    for _ in range(ATTEMPTS):
        with suppress(FileNotFoundError):
            _make_folders(folder)
            return
    raise FileNotFoundError(errno.ENOENT, "the folder cannot be made", str(folder))


def _make_folders(folder: Path) -> None:
    with suppress(FileExistsError):
        try:
            folder.mkdir(0o700)
        except FileNotFoundError:
            if folder.parent == folder:
                raise
            _make_folders(folder.parent)
            folder.mkdir(0o700)
        sync(folder.parent)


class Drafts:
    """The folder `path` of unfinished files, on the file system of what they become."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def new(self) -> Draft:
        """A new, empty draft, whose caller drops it at the end. Raises StorageFull and StorageUnavailable."""
        path = self._path / uuid.uuid4().hex
        with translated():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX)
        return Draft(self, path, handle)

    def place(self, source: Path, target: Path) -> None:
        """Rename a file or folder to `target`, over what is there."""
        for _ in range(ATTEMPTS):
            try:
                make_folders(target.parent)
                source.rename(target)
            except FileNotFoundError:
                if not source.exists():
                    raise
                continue  # a folder has just been removed, as the last object in it was
            except OSError as error:
                if error.errno not in IN_THE_WAY:
                    raise
                self.remove(target)
                continue
            _sync_if_there(target.parent)
            return
        raise OSError(errno.EBUSY, "others go on removing the folder")

    def remove(self, target: Path) -> bool:
        """Remove a file or a folder in one step; False when there is none. What of a folder cannot be removed is at its
        place again, so that nobody takes it for gone, and raises OSError."""
        aside = self._path / uuid.uuid4().hex
        try:
            if target.is_dir():
                target.rename(aside)
            else:
                target.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        _sync_if_there(target.parent)
        try:
            shutil.rmtree(aside)
        except FileNotFoundError:
            pass  # it was a file, or a sweep was faster
        except OSError:
            with suppress(FileNotFoundError):
                make_folders(target.parent)
                aside.rename(target)
            raise
        return True

    def sweep(self) -> None:
        """Remove drafts that nobody writes any more."""
        now = time.time()
        for path in tuple(self._path.iterdir()):
            with suppress(OSError):
                if path.is_dir():  # on its way out
                    shutil.rmtree(path, ignore_errors=True)
                elif now - path.stat().st_mtime > NEW_S and _is_abandoned(path):
                    path.unlink()


def _is_abandoned(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


class Draft:
    """A file that is not visible yet. Its methods raise StorageFull and StorageUnavailable."""

    def __init__(self, drafts: Drafts, path: Path, handle: int) -> None:
        self.size = 0
        self._drafts, self._path, self._handle = drafts, path, handle

    def write(self, *pieces: bytes | bytearray | memoryview) -> None:
        """Append them; one by one, as `writev` takes ten times as long here."""
        with translated():
            check_room(self._handle)
            start = self.size
            for piece in pieces:
                with memoryview(piece) as view:
                    position = 0
                    while position < len(view):
                        position += os.write(self._handle, view[position:])
                self.size += position
            # the disk begins at once, so that little is left to wait for at the end
            os.posix_fadvise(self._handle, start, self.size - start, os.POSIX_FADV_DONTNEED)

    def place(self, target: Path) -> None:
        """What was written is at `target` from now on."""
        with translated():
            os.fsync(self._handle)
            self._drafts.place(self._path, target)

    def place_in(self, folder: Path, name: str, root: Path) -> os.stat_result:
        """The same in a folder that may have gone while `root` is there: then it raises NotFound."""
        with translated():
            os.fsync(self._handle)
        with translated(root), locked(folder):
            self._path.rename(folder / name)
            sync(folder)
            return os.fstat(self._handle)

    def drop(self) -> None:
        """Forget it, unless it has been placed. Safe to repeat."""
        if self._handle >= 0:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = -1


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else who asks changes what is in the folder. Raises FileNotFoundError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
