"""An object of a folder as a stream: of one file, or of the parts that an upload was joined from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from shared.storage.folder_files import translated


class FolderReader:
    """Raises NotFound when the object is deleted while it is read, and StorageUnavailable; opening, too, raises them.

    `root` is there as long as the store is.
    """

    def __init__(self, path: Path, root: Path) -> None:
        self._root = root
        self._file: BinaryIO | None = None
        with translated(root):
            if path.is_dir():
                files = sorted(path.iterdir(), key=lambda file: int(file.name))
                self._pieces = [(file, file.stat().st_size) for file in files]
            else:
                self._file = path.open("rb", buffering=0)
                self._pieces = [(path, os.fstat(self._file.fileno()).st_size)]
        self.size = sum(size for _, size in self._pieces)

    def read(self, size: int = -1, /) -> bytes:
        """`size` bytes, or what there is up to the end."""
        size = size if size >= 0 else self.size
        chunks: list[bytes] = []
        with translated(self._root):
            while size and self._pieces:
                if self._file is None:
                    self._file = self._pieces[0][0].open("rb", buffering=0)
                if chunk := self._file.read(size):
                    chunks.append(chunk)
                    size -= len(chunk)
                else:
                    self._next()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def skip(self, size: int) -> None:
        """Go on so many bytes further; only before the first byte is read."""
        with translated(self._root):
            while self._pieces and size >= self._pieces[0][1]:
                size -= self._pieces[0][1]
                self._next()
            if self._pieces and size:
                self._file = self._file or self._pieces[0][0].open("rb", buffering=0)
                self._file.seek(size)

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _next(self) -> None:
        self.close()
        del self._pieces[0]
