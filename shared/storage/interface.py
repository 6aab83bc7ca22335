"""What an object store does, whichever it is. tests/service/storage holds every kind to it."""

from __future__ import annotations

import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shared.errors import MissingParts, NotFound
from shared.storage.fullness import Fullness
from shared.storage.writer import Writer

PART_BYTES = 5 * 1024**2
"""Size of one part of a multipart upload, which is held in memory: S3's least. 10,000 parts, its most, are 48 GiB."""

HEAD_BYTES = 1024**2
"""What is held in memory of a part that passes through, beside the chunk that has just come."""

READ_BYTES = 1024**2

URL_SECONDS = 3600
"""How long a presigned URL holds: a part of 16 MiB takes 37 minutes at 60 kbit/s."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part as the store holds it. The etag tells one content from another; with most S3 servers it is the MD5."""

    number: int
    bytes: int
    etag: str


class Reader(Protocol):
    """An open object. `read` raises StorageUnavailable when the store breaks off."""

    size: int

    def read(self, size: int = -1, /) -> bytes:
        """`size` bytes, or fewer at the end, or all."""
        ...


def replaced() -> MissingParts:
    """The error of `join` when a part is no longer the one that was listed."""
    return MissingParts("A part was replaced while the upload was being completed; try again.")


class Storage(ABC):
    """Objects by key. Methods raise StorageUnavailable when the store cannot be used, StorageFull when it takes nothing
    more, StorageRefused for what it does not take, and NotFound for a missing key. An object is visible only when it is
    whole. `fullness` remembers that the store is full.
    """

    def __init__(self) -> None:
        self.fullness = Fullness(self._probe)

    def _probe(self) -> None:
        key = f"probes/{uuid.uuid4()}"
        self.put(key, os.urandom(PART_BYTES))
        self.delete([key])

    # ---- the store

    @abstractmethod
    def check(self) -> None:
        """Raise StorageUnavailable unless the store can be used."""

    def check_room(self) -> None:
        """Raise StorageFull while nothing can be stored, as far as that is known without a write."""
        self.fullness.check()

    @abstractmethod
    def ensure_bucket(self) -> None:
        """Make the place for objects if it is missing. Raises StorageUnavailable when that is not permitted."""

    @abstractmethod
    def sweep(self) -> None:
        """Remove what processes that died have left of unfinished writes, as far as the store does not do so itself."""

    # ---- objects

    @abstractmethod
    def put(self, key: str, data: bytes) -> int:
        """Store `data`; returns its size in bytes."""

    @abstractmethod
    def put_file(self, key: str, path: Path) -> int:
        """Store a file of any size; returns its size in bytes."""

    @abstractmethod
    def writer(self, key: str) -> Writer:
        """A writer that stores a stream of unknown length under `key`."""

    @abstractmethod
    def get(self, key: str) -> bytes:
        """The whole object; for small ones."""

    @abstractmethod
    def get_file(self, key: str, path: Path) -> None:
        """Write the object to `path`."""

    @abstractmethod
    def get_range(self, key: str, start: int, end: int) -> bytes:
        """Bytes `start` up to but without `end`, or up to the last. Raises StorageRefused when there is no `start`."""

    @abstractmethod
    def open(self, key: str) -> AbstractContextManager[Reader]:
        """The object as a stream."""

    def read(self, key: str, take: Callable[[bytes], object]) -> None:
        """Pass the whole object to `take`, at most READ_BYTES at a time."""
        with self.open(key) as reader:
            while chunk := reader.read(READ_BYTES):
                take(chunk)

    @abstractmethod
    def size(self, key: str) -> int:
        """Size of the object in bytes."""

    @abstractmethod
    def list(self, prefix: str) -> Iterator[str]:
        """All keys that start with `prefix`, in any order."""

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> int:
        """Delete the objects; a missing one is no error. Returns how many were named."""

    # ---- multipart uploads: numbered parts in any order. NotFound says that one was aborted or joined already

    @abstractmethod
    def begin(self, key: str) -> str:
        """Open a multipart upload; returns its id."""

    @abstractmethod
    async def put_part(self, key: str, upload_id: str, number: int, size: int, body: AsyncIterator[bytes]) -> str:
        """Store a part as it arrives; returns its etag. `body` has `size` bytes, or raises: then the part stays as it
        was, missing or with its previous content."""

    @abstractmethod
    def presigned(self, key: str, upload_id: str, number: int, size: int) -> str | None:
        """A URL to which anybody can PUT just `size` bytes as this part, for URL_SECONDS; None where there is none."""

    @abstractmethod
    def parts(self, key: str, upload_id: str) -> Mapping[int, Part]:
        """All parts that are there, by number."""

    @abstractmethod
    def join(self, key: str, upload_id: str, parts: Iterable[Part]) -> None:
        """Make one object of these parts. Raises MissingParts when one was replaced and the listed one is gone."""

    @abstractmethod
    def abort(self, key: str, upload_id: str) -> None:
        """Forget a multipart upload and its parts. Some stores say NotFound when it is gone, others nothing."""

    @abstractmethod
    def unfinished(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Key and id of every multipart upload below `prefix` that is neither joined nor aborted."""

    def abort_uploads(self, prefix: str) -> int:
        """Abort every unfinished multipart upload below `prefix`; returns how many there were."""
        uploads = tuple(self.unfinished(prefix))
        for key, upload_id in uploads:
            with suppress(NotFound):
                self.abort(key, upload_id)
        return len(uploads)
