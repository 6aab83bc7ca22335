"""What an object store promises, whichever it is: SeaweedFS, versitygw, a folder."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from shared.config import Settings
from shared.errors import IncompleteUpload, MissingParts, NotFound, StorageRefused, StorageUnavailable
from shared.storage import PART_BYTES, Part, Storage, storage_of
from shared.storage.folder import Folder
from tests.service.storage.conftest import NOWHERE

LOOP = asyncio.Runner()
"""One, as connections to S3 are kept."""


async def body(content: bytes, *, breaks: bool = False, chunk_bytes: int = 100_000) -> AsyncIterator[bytes]:
    """A part as it arrives from a client, who may go away in the middle."""
    for start in range(0, len(content), chunk_bytes):
        if breaks and start > len(content) // 2:
            raise IncompleteUpload("The client has gone.")
        yield content[start : start + chunk_bytes]


def send(store: Storage, key: str, upload_id: str, number: int, content: bytes, *, breaks: bool = False) -> str:
    arriving = body(content, breaks=breaks)
    return LOOP.run(store.put_part(key, upload_id, number, len(content), arriving))


def test_an_object_is_what_was_put(store: Storage, prefix: str, tmp_path: Path) -> None:
    """Whole, by its size, by ranges, as a stream and as a file; put again it is the new one; empty ones are objects."""
    content, file = os.urandom(3 * PART_BYTES + 17), tmp_path / "file"
    file.write_bytes(content)
    assert store.put_file(prefix + "file", file) == len(content)
    assert store.put(prefix + "bytes", content) == len(content)
    for key in (prefix + "file", prefix + "bytes"):
        chunks: list[bytes] = []
        store.read(key, chunks.append)
        store.get_file(key, tmp_path / "copy")
        assert (b"".join(chunks), store.get(key), store.size(key)) == (content, content, len(content))
        assert (tmp_path / "copy").read_bytes() == content
        for start, end in ((0, 1), (5, PART_BYTES + 5), (len(content) - 3, len(content) + 100)):
            assert store.get_range(key, start, end) == content[start:end]
        with pytest.raises(StorageRefused):
            store.get_range(key, len(content), len(content) + 1)
    store.put(prefix + "bytes", b"")
    assert (store.get(prefix + "bytes"), store.size(prefix + "bytes")) == (b"", 0)


def test_what_is_missing_is_not_found(store: Storage, prefix: str, tmp_path: Path) -> None:
    """By every way to read, and nothing is left of a file that was to be fetched; deleting it is no error."""
    key = prefix + "missing"
    for look in (
        lambda: store.get(key),
        lambda: store.size(key),
        lambda: store.get_range(key, 0, 1),
        lambda: store.read(key, bytes),
        lambda: store.get_file(key, tmp_path / "copy"),
    ):
        with pytest.raises(NotFound):
            look()
    assert store.delete([key, key + "/below"]) == 2
    assert not any(tmp_path.iterdir())


def test_a_store_that_is_not_there_has_lost_nothing(settings: dict[str, str], tmp_path: Path) -> None:
    """Where the bucket, or the folder, is missing, as before its disk is mounted, no way to read says that an object
    is: a stage would give up for good."""
    gone = {"object_store": str(tmp_path / "gone")} if "s3_endpoint_url" not in settings else {"s3_bucket": "gone"}
    store = storage_of(Settings.model_validate(NOWHERE | settings | gone))
    for look in (
        lambda: store.get("key"),
        lambda: store.size("key"),
        lambda: store.get_range("key", 0, 1),
        lambda: store.read("key", bytes),
        lambda: store.get_file("key", tmp_path / "copy"),
    ):
        with pytest.raises(StorageUnavailable):
            look()


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, 2 * PART_BYTES + 9])
def test_a_stream_is_an_object_only_when_it_is_closed(store: Storage, prefix: str, size: int) -> None:
    """Nothing is listed before; afterwards all of it is there; aborted at any time, nothing is."""
    content = os.urandom(size)
    for ends_well in (True, False):
        key = f"{prefix}{ends_well}"
        writer = store.writer(key)
        for start in range(0, size, 700_000):
            if writer.write(content[start : start + 700_000]):
                writer.flush()
        assert list(store.list(prefix + str(ends_well))) == []
        if ends_well:
            writer.close()
            assert store.get(key) == content
        else:
            writer.abort()
            writer.abort()
            assert (list(store.list(key)), list(store.unfinished(key))) == ([], [])


def test_an_aborted_stream_takes_a_finished_object_along(store: Storage, prefix: str) -> None:
    """An answer may have been lost, so a writer that is aborted after its end leaves nothing either."""
    writer = store.writer(prefix + "lost")
    writer.write(b"content")
    writer.close()
    writer.abort()
    assert list(store.list(prefix)) == []


def test_a_prefix_lists_and_deletes_what_begins_with_it(store: Storage, prefix: str) -> None:
    """A prefix need not end at a slash; more than one answer of S3 holds is deleted, and other keys stay."""
    keys = {prefix + name for name in ("a/1.1.json", "a/1.2.json", "a/10.1.json", "ab/1", "b", "a.b/c")}
    for key in keys:
        store.put(key, key.encode())
    for start in ("", "a", "a/", "a/1.", "a/1", "b", "b/", "c"):
        assert set(store.list(prefix + start)) == {key for key in keys if key.startswith(prefix + start)}
    assert set(store.list(prefix.rstrip("/")[:20])) == keys
    subset = {key for key in keys if key.startswith(prefix + "a/1.")}
    assert store.delete([*subset, *(f"{prefix}none/{n}" for n in range(1100))]) == 1102
    assert set(store.list(prefix)) == keys - subset


def test_parts_become_one_object(store: Storage, prefix: str) -> None:
    """In any order; until they are joined nothing is listed, and then all reads see
    them as one. Only those that are named are in it."""
    key, pieces = prefix + "joined", {n: os.urandom(size) for n, size in ((1, PART_BYTES), (2, PART_BYTES), (10, 99))}
    upload_id = store.begin(key)
    assert list(store.unfinished(prefix)) == [(key, upload_id)]
    send(store, key, upload_id, 11, b"not named")
    etags = {n: send(store, key, upload_id, n, pieces[n]) for n in (10, 2, 1)}
    there = store.parts(key, upload_id)
    assert {n: there[n] for n in pieces} == {n: Part(n, len(pieces[n]), etags[n]) for n in pieces}
    assert list(store.list(prefix)) == []
    store.join(key, upload_id, (there[n] for n in sorted(pieces)))
    content = b"".join(pieces.values())
    assert (store.get(key), store.size(key), list(store.list(prefix))) == (content, len(content), [key])
    middle = PART_BYTES - 5
    assert store.get_range(key, middle, 2 * PART_BYTES + 7) == content[middle : 2 * PART_BYTES + 7]
    assert (list(store.unfinished(prefix)), store.get_range(key, 2 * PART_BYTES, len(content))) == ([], pieces[10])
    for late in (lambda: store.parts(key, upload_id), lambda: send(store, key, upload_id, 1, b"late")):
        with pytest.raises(NotFound):
            late()
    store.put(key, b"new")
    assert store.get(key) == b"new"
    assert store.delete([key]) == 1
    assert list(store.list(prefix)) == []


def test_a_part_that_was_replaced_is_not_joined(store: Storage, prefix: str) -> None:
    """Whoever joins the one that was listed before is told, or has that one; nothing else comes of it."""
    key = prefix + "replaced"
    upload_id = store.begin(key)
    send(store, key, upload_id, 1, b"first")
    listed, content = store.parts(key, upload_id), b"first"
    _wait_for_another_second(store)
    send(store, key, upload_id, 1, b"other")
    try:
        store.join(key, upload_id, listed.values())
    except MissingParts:
        store.join(key, upload_id, store.parts(key, upload_id).values())
        content = b"other"
    assert store.get(key) == content


def _wait_for_another_second(store: Storage) -> None:
    """SeaweedFS takes either of two parts of one number that came in the same second."""
    if not isinstance(store, Folder):
        time.sleep(1.1)


def test_a_part_that_breaks_off_is_none(store: Storage, prefix: str) -> None:
    """It is as missing as before, or has the content that it had."""
    key, content = prefix + "broken", os.urandom(PART_BYTES)
    upload_id = store.begin(key)
    send(store, key, upload_id, 2, content)
    for number in (1, 2):
        with pytest.raises(IncompleteUpload):
            send(store, key, upload_id, number, os.urandom(PART_BYTES), breaks=True)
    assert store.parts(key, upload_id).keys() == {2}
    store.join(key, upload_id, store.parts(key, upload_id).values())
    assert store.get(key) == content


def test_an_aborted_upload_leaves_nothing(store: Storage, prefix: str) -> None:
    """By its id or below a prefix; its parts are not taken any more; aborting it again changes nothing."""
    keys = [f"{prefix}{name}/upload" for name in ("one", "other")]
    upload_ids = {key: store.begin(key) for key in keys}
    for key in keys:
        send(store, key, upload_ids[key], 1, b"part")
    store.abort(keys[0], upload_ids[keys[0]])
    assert list(store.unfinished(prefix)) == [(keys[1], upload_ids[keys[1]])]
    with suppress(NotFound):
        store.abort(keys[0], upload_ids[keys[0]])
    assert store.abort_uploads(prefix + "other/") == 1
    for key in keys:
        with pytest.raises(NotFound):
            send(store, key, upload_ids[key], 2, b"part")
    assert (list(store.unfinished(prefix)), list(store.list(prefix))) == ([], [])


def test_a_presigned_url_takes_its_part_only(store: Storage, prefix: str) -> None:
    """Where there is one: of the size that it was made for, by whoever has it."""
    key = prefix + "presigned"
    upload_id = store.begin(key)
    url = store.presigned(key, upload_id, 1, 5)
    if url is None:
        pytest.skip("this store has no URLs")
    assert httpx.put(url, content=b"123456", timeout=30).status_code == 403
    assert httpx.put(url, content=b"12345", timeout=30).status_code == 200
    assert [part.bytes for part in store.parts(key, upload_id).values()] == [5]
