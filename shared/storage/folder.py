"""A folder of one machine as object store. Nothing in it is for other users.

    objects/KEY=             an object: a file, or the folder of its parts, as which a joined upload stays
    parts/KEY=/ID/NUMBER     the parts of an unfinished upload
    drafts/                  what is being written

Gateway and workers see the same folder. shared/storage/folder_paths.py says how a key is written.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from anyio import CancelScope, CapacityLimiter, to_thread

from shared.errors import NotFound, StorageRefused, StorageUnavailable
from shared.storage.chunks import Chunks
from shared.storage.folder_files import Draft, Drafts, check_room, locked, make_folders, sync, translated
from shared.storage.folder_paths import END, above, key_of, path_of
from shared.storage.folder_reader import FolderReader
from shared.storage.interface import HEAD_BYTES, Part, Storage, replaced
from shared.storage.writer import PieceWriter, Writer

THREADS = CapacityLimiter(24)
"""For parts on their way in, so that a slow disk leaves the other routes their threads."""


class Folder(Storage):
    """Everything below `root`."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root, self._objects, self._parts = root, root / "objects", root / "parts"
        self._drafts = Drafts(root / "drafts")

    # ---- the store

    def check(self) -> None:
        if not os.access(self._objects, os.R_OK | os.W_OK | os.X_OK):
            raise StorageUnavailable("The folder of the object store cannot be used.")

    def check_room(self) -> None:
        super().check_room()
        with translated():
            check_room(self._root)

    def ensure_bucket(self) -> None:
        with translated():
            for name in ("parts", "drafts", "objects"):  # the last one says that all are there
                make_folders(self._root / name)
        self.check()

    def sweep(self) -> None:
        with translated():
            self._drafts.sweep()

    # ---- objects

    def put(self, key: str, data: bytes) -> int:
        target = self._object(key)
        with self._draft() as draft:
            draft.write(data)
            draft.place(target)
        return len(data)

    def put_file(self, key: str, path: Path) -> int:
        target = self._object(key)
        with path.open("rb") as file, self._draft() as draft:
            while chunk := file.read(HEAD_BYTES):
                draft.write(chunk)
            draft.place(target)
            return draft.size

    def writer(self, key: str) -> Writer:
        return FolderWriter(self, key)

    def get(self, key: str) -> bytes:
        with self.open(key) as reader:
            return reader.read()

    def get_file(self, key: str, path: Path) -> None:
        with self.open(key) as reader, path.open("wb") as file:
            while chunk := reader.read(HEAD_BYTES):
                file.write(chunk)

    def get_range(self, key: str, start: int, end: int) -> bytes:
        with self.open(key) as reader:
            if start >= reader.size:
                raise StorageRefused("The object is not as long.")
            reader.skip(start)
            return reader.read(end - start)

    @contextmanager
    def open(self, key: str) -> Iterator[FolderReader]:
        with closing(FolderReader(self._object(key), self._objects)) as reader:
            yield reader

    def size(self, key: str) -> int:
        with self.open(key) as reader:
            return reader.size

    def list(self, prefix: str) -> Iterator[str]:
        return _keys(self._objects, prefix)

    def delete(self, keys: Iterable[str]) -> int:
        named = tuple(keys)
        self.check()  # what is not found is not stored only while the folder is there
        with translated():
            for key in named:
                path = self._object(key)
                if self._drafts.remove(path):
                    _prune(path.parent, self._objects)
        return len(named)

    # ---- multipart uploads

    def begin(self, key: str) -> str:
        upload_id = uuid.uuid4().hex
        folder = self._upload(key, upload_id)
        self.check()
        with translated():
            check_room(self._root)
            make_folders(folder)
        return upload_id

    async def put_part(self, key: str, upload_id: str, number: int, size: int, body: AsyncIterator[bytes]) -> str:
        folder = self._upload(key, upload_id)
        draft = await to_thread.run_sync(self._part_draft, folder, limiter=THREADS)
        try:
            block = bytearray()
            async for chunk in body:
                block += chunk
                if len(block) >= HEAD_BYTES:
                    await to_thread.run_sync(draft.write, block, limiter=THREADS)
                    block = bytearray()
            return await to_thread.run_sync(self._place_part, draft, block, folder, number, limiter=THREADS)
        finally:
            with CancelScope(shield=True):  # on a disk, to let go of gigabytes takes time
                await to_thread.run_sync(draft.drop, limiter=THREADS)

    def _part_draft(self, folder: Path) -> Draft:
        self.check()
        if not folder.is_dir():
            raise NotFound("There is no such upload.")
        return self._drafts.new()

    def _place_part(self, draft: Draft, rest: bytearray, folder: Path, number: int) -> str:
        draft.write(rest)
        return _etag(draft.place_in(folder, str(number), self._parts))

    def presigned(self, key: str, upload_id: str, number: int, size: int) -> None:
        return None

    def parts(self, key: str, upload_id: str) -> Mapping[int, Part]:
        with translated(self._parts):
            return _parts(self._upload(key, upload_id))

    def join(self, key: str, upload_id: str, parts: Iterable[Part]) -> None:
        folder, target = self._upload(key, upload_id), self._object(key)
        by_number = {part.number: part for part in parts}
        with translated(self._parts):
            with locked(folder):
                there = _parts(folder)
                if any(there.get(number) != part for number, part in by_number.items()):
                    raise replaced()
                for number in there.keys() - by_number.keys():
                    (folder / str(number)).unlink()
                sync(folder)
                self._drafts.place(folder, target)
            _prune(folder.parent, self._parts)

    def abort(self, key: str, upload_id: str) -> None:
        folder = self._upload(key, upload_id)
        self.check()
        with translated():
            if not self._drafts.remove(folder):
                raise NotFound("There is no such upload.")
            _prune(folder.parent, self._parts)

    def unfinished(self, prefix: str) -> Iterator[tuple[str, str]]:
        for key in _keys(self._parts, prefix):
            try:
                upload_ids = [folder.name for folder in (self._parts / path_of(key)).iterdir()]
            except FileNotFoundError:
                continue  # ended meanwhile
            yield from ((key, upload_id) for upload_id in upload_ids)

    # ---- within

    def _object(self, key: str) -> Path:
        return self._objects / path_of(key)

    def _upload(self, key: str, upload_id: str) -> Path:
        if not (upload_id.isascii() and upload_id.isalnum()):
            raise NotFound("There is no such upload.")
        return self._parts / path_of(key) / upload_id

    @contextmanager
    def _draft(self) -> Iterator[Draft]:
        draft = self._drafts.new()
        try:
            yield draft
        finally:
            draft.drop()


class FolderWriter(PieceWriter[Chunks]):
    """Writes a draft, and gives it its place at the end."""

    def __init__(self, store: Folder, key: str) -> None:
        super().__init__()
        self._store, self._key = store, key
        self._draft: Draft | None = None

    def _new(self) -> Chunks:
        return Chunks()

    def _send(self, piece: Chunks) -> None:
        self._draft = self._draft or self._store._drafts.new()
        with piece.views() as views:
            self._draft.write(*views)

    def _finish(self, rest: Chunks) -> None:
        self._send(rest)
        assert self._draft
        self._draft.place(self._store._object(self._key))
        self._draft.drop()

    def _forget(self) -> None:
        if self._draft:
            self._draft.drop()
        self._store.delete([self._key])


def _parts(folder: Path) -> dict[int, Part]:
    there = {int(entry.name): entry.stat() for entry in os.scandir(folder)}
    return {number: Part(number, stat.st_size, _etag(stat)) for number, stat in there.items()}


def _etag(stat: os.stat_result) -> str:
    """Another one for each file that was ever written, though it were the same bytes."""
    return f"{stat.st_ino:x}-{stat.st_mtime_ns:x}"


def _prune(folder: Path, root: Path) -> None:
    """Remove folders that have become empty, from `folder` upwards."""
    with suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent


def _keys(root: Path, prefix: str) -> Iterator[str]:
    """Keys below `root` that start with `prefix`. Raises StorageUnavailable when there is no `root`."""
    start = above(prefix)
    todo = [start]
    with translated():
        if not root.is_dir():
            raise FileNotFoundError(root)
        while todo:
            at = todo.pop()
            try:
                names = [(entry.name, entry.is_dir()) for entry in os.scandir(root / at)]
            except (FileNotFoundError, NotADirectoryError):
                continue  # none, or gone meanwhile
            for name, is_folder in names:
                path = f"{at}/{name}" if at else name
                if not name.endswith(END):
                    if is_folder:
                        todo.append(path)
                elif (key := key_of(path)).startswith(prefix):
                    yield key
