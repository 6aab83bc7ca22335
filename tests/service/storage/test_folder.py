"""What a folder promises as object store besides: where its files are, and what a death or a full disk leaves."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.errors import NotFound, StorageRefused, StorageUnavailable
from shared.storage import PART_BYTES
from shared.storage.folder import Folder
from shared.storage.folder_files import NEW_S
from tests.programs import namespaces

ROOT = Path(__file__).parents[3]
HOSTILE = (
    "../escaped", "../../../../tmp/escaped", "/etc/passwd", "a//b", "a/./b", "a/../b", "..", ".", "...", " ",
    "%2e%2e/x", "a\\..\\b", "*?[x]", "-rf", "~root", "a=", "a+/b", "%", "ü/ß/語", "e\u0301", "\u202e", "a" * 255,
    "ö" * 500, "a/b", "a", "CON", "x\ny",
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "outer" / "store")
    folder.ensure_bucket()
    return folder


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_dir()}


def test_a_key_is_only_a_name(store: Folder, tmp_path: Path) -> None:
    """Whatever it is, it names one object, which is listed by that name and by no other, in a file of the store."""
    for key in HOSTILE:
        store.put(key, key.encode())
    assert sorted(store.list("")) == sorted(HOSTILE)
    for key in HOSTILE:
        assert store.get(key) == key.encode()
        assert key in set(store.list(key))
        upload_id = store.begin(key)
        assert (key, upload_id) in set(store.unfinished(key))
        store.abort(key, upload_id)
    objects = tmp_path / "outer" / "store" / "objects"
    assert files(tmp_path) == files(objects)
    assert len(files(objects)) == len(HOSTILE)
    assert store.delete(HOSTILE) == len(HOSTILE)
    assert not any(objects.iterdir())


@pytest.mark.parametrize("key", ["", "a" * 1025, "a/" * 513, "\ud800"])
def test_what_is_no_key_is_refused(store: Folder, key: str) -> None:
    """Empty, longer than S3 takes, or no Unicode; so is an upload's id that is a path."""
    with pytest.raises(StorageRefused):
        store.put(key, b"x")
    with pytest.raises(NotFound):
        store.parts("key", "../../objects")


def test_nobody_else_reads_it(store: Folder, tmp_path: Path) -> None:
    """Whatever the umask, folders have mode 700 and files 600."""
    before = os.umask(0)
    try:
        store.put("a/b", b"x")
        store.begin("a/c")
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "outer").rglob("*") if path.is_dir()}
    assert (modes, {path.stat().st_mode & 0o777 for path in files(tmp_path)}) == ({0o700}, {0o600})


def test_a_folder_that_is_away_is_an_outage(store: Folder, tmp_path: Path) -> None:
    """As when its disk is not mounted: nothing is missing, nothing is deleted, and nothing is written elsewhere."""
    store.put("a", b"x")
    upload_id = store.begin("b")
    root = tmp_path / "outer" / "store"
    root.rename(tmp_path / "away")
    root.mkdir()
    for act in (
        store.check,
        lambda: store.get("a"),
        lambda: store.put("a", b"y"),
        lambda: store.size("none"),
        lambda: list(store.list("")),
        lambda: list(store.unfinished("")),
        lambda: store.delete(["a"]),
        lambda: store.begin("c"),
        lambda: store.parts("b", upload_id),
        lambda: store.abort("b", upload_id),
        lambda: store.writer("d").close(),
        store.sweep,
    ):
        with pytest.raises(StorageUnavailable):
            act()
    assert not any(root.iterdir())
    root.rmdir()
    (tmp_path / "away").rename(root)
    assert store.get("a") == b"x"


def test_a_kill_leaves_the_object_or_nothing(store: Folder, tmp_path: Path) -> None:
    """Whenever the writer dies, what is listed is whole, and what is not is swept."""
    drafts, cut_off = tmp_path / "outer" / "store" / "drafts", 0
    content = os.urandom(1_000_000)
    for number in range(15):
        ends = os.pipe()
        writer = os.fork()
        if writer == 0:
            _write_for_ever(store, f"{number}", content, ends[1])
        os.read(ends[0], 1)  # the first object is there
        time.sleep(random.uniform(0, 0.05))
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        for end in ends:
            os.close(end)
        cut_off += len(list(drafts.iterdir()))
        for key in store.list(""):
            assert hashlib.sha256(store.get(key)).hexdigest() == key.rpartition("/")[2]
        assert store.delete(store.list(""))
        for path in drafts.iterdir():
            os.utime(path, (time.time() - NEW_S - 1,) * 2)
        store.sweep()
        assert not any(drafts.iterdir())
    assert cut_off


def _write_for_ever(store: Folder, name: str, content: bytes, end: int) -> None:
    digest = hashlib.sha256(content).hexdigest()
    for turn in itertools.count():
        store.put(f"{name}/put/{turn}/{digest}", content)
        os.write(end, b".")
        writer = store.writer(f"{name}/stream/{turn}/{digest}")
        writer.write(content)
        writer.close()
        store.delete([f"{name}/put/{turn}/{digest}"])


def test_the_sweep_spares_what_is_being_written(store: Folder, tmp_path: Path) -> None:
    """However old it is."""
    (tmp_path / "outer" / "store" / "drafts" / "new").write_bytes(b"of a process that may not have locked it yet")
    writer = store.writer("a")
    writer.write(bytes(PART_BYTES))
    writer.flush()
    (file,) = (path for path in files(tmp_path) if path.name != "new")
    os.utime(file, (1, 1))
    store.sweep()
    assert len(files(tmp_path)) == 2
    writer.close()
    assert store.size("a") == PART_BYTES


FILL = """
import os, sys
from pathlib import Path
from shared.errors import StorageFull
from shared.storage import PART_BYTES
from shared.storage.folder import Folder

store = Folder(Path(sys.argv[1]) / "store")
store.ensure_bucket()
store.put("kept", b"kept")
upload_id = store.begin("upload")

def fills(act):
    try:
        act()
    except StorageFull:
        return True

def stream():
    writer = store.writer("stream")
    try:
        while True:
            writer.write(bytes(PART_BYTES))
            writer.flush()
    finally:
        writer.abort()

large = Path(sys.argv[2])
large.write_bytes(bytes(40_000_000))
for act in (lambda: store.put("put", bytes(40_000_000)), lambda: store.put_file("file", large), stream):
    assert fills(act)
    assert (list(store.list("")), os.listdir(store._root / "drafts")) == (["kept"], []), act
free = os.statvfs(sys.argv[1]).f_bavail * os.statvfs(sys.argv[1]).f_frsize
store.put("filler", bytes(free - 100_000))
for act in (lambda: store.put("put", b"x"), lambda: store.begin("other"), store.check_room):
    assert fills(act)  # before the last byte of the disk
assert store.get("kept") == b"kept"
store.delete(["filler"])
store.check_room()
store.put("put", bytes(1_000_000))
"""


def test_a_full_disk_takes_nothing_and_keeps_everything(tmp_path: Path) -> None:
    """Every way to write is StorageFull, a little before the last byte, and leaves nothing. Reading and deleting go on,
    and with room again so does writing."""
    prefix = namespaces("--mount")
    (tmp_path / "disk").mkdir()
    mount = 'mount -t tmpfs -o size=30m tmpfs "$1" && exec "$0" -c "$2" "$1" "$3"'
    process = subprocess.run(
        (*prefix, "sh", "-c", mount, sys.executable, str(tmp_path / "disk"), FILL, str(tmp_path / "large")),
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr


def test_a_copy_of_the_folder_is_a_backup(store: Folder, tmp_path: Path) -> None:
    """Made by any program while nothing is written, it is the same store."""
    for key in HOSTILE:
        store.put(key, key.encode())
    shutil.copytree(tmp_path / "outer" / "store", tmp_path / "copy")
    copy = Folder(tmp_path / "copy")
    assert {key: copy.get(key) for key in copy.list("")} == {key: key.encode() for key in HOSTILE}


def test_writes_and_deletions_at_once(store: Folder) -> None:
    """Objects come and go beside each other, in folders that are made and removed meanwhile; each is whole."""
    content = os.urandom(10_000)

    def come_and_go(number: int) -> None:
        key = f"shared/{number % 3}/{number}"
        for _ in range(10):
            store.put(key, content)
            assert store.get(key) == content
            store.delete([key])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(come_and_go, range(6)))
    assert list(store.list("")) == []


def test_uploads_begin_while_others_of_their_folder_end(store: Folder) -> None:
    """With the last one its folder goes, though the next one is just making its own in it: that one begins all the
    same."""

    def begin_and_end(_: int) -> None:
        for _ in range(400):
            store.abort("shared/upload", store.begin("shared/upload"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(begin_and_end, range(8)))
    assert list(store.unfinished("")) == []


HOLD = """
import asyncio, subprocess, sys
from pathlib import Path
from shared.errors import StorageUnavailable
from shared.storage.folder import Folder

store, other = Folder(Path(sys.argv[1]) / "store"), Path(sys.argv[1]) / "other"
store.ensure_bucket()
other.write_bytes(b"")

async def body(content):
    yield content

upload_id = store.begin("joined")
for number in (1, 2):
    asyncio.run(store.put_part("joined", upload_id, number, 1, body(b"x")))
store.join("joined", upload_id, store.parts("joined", upload_id).values())
(held,) = store._root.glob("objects/**/2")
subprocess.run(("mount", "--bind", other, held), check=True)
for act in (lambda: store.delete(["joined"]), lambda: store.put("joined", b"y")):
    try:
        act()
    except StorageUnavailable:
        assert list(store.list("")) == ["joined"]
    else:
        raise AssertionError("one of its files is there")
subprocess.run(("umount", held), check=True)
store.delete(["joined"])
assert list(store.list("")) == []
assert not [path for path in store._root.rglob("*") if path.is_file()]
"""


def test_what_cannot_be_removed_is_not_said_to_be_gone(tmp_path: Path) -> None:
    """A joined upload one of whose parts stays, as something is mounted there: its deletion fails, it is listed, and
    can be deleted later."""
    command = (*namespaces("--mount"), sys.executable, "-c", HOLD, str(tmp_path))
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 0, process.stderr
