"""Which files of MODEL_DIR were found right, so that 150 MB are not hashed at every start."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.weights.catalogue import WHISPER_FILES, WHISPER_REQUIRED, Item
from scripts.weights.hashing import sha256_of

FILENAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file whose hash was computed when it had this size and modification time (ns since 1970)."""

    sha256: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that was found right: where it came from, and its files by path below the model's folder."""

    source: str
    files: dict[str, FileRecord]

    def unchanged(self, folder: Path) -> bool:
        """Whether every file still has the size and time at which it was hashed."""
        try:
            statuses = [((folder / name).stat(), record) for name, record in self.files.items()]
        except OSError:
            return False
        return all((now.st_size, now.st_mtime_ns) == (record.size_bytes, record.mtime_ns) for now, record in statuses)


def read(model_dir: Path) -> dict[str, Entry]:
    """Entries by item name; none when there is no readable manifest, for it only saves time."""
    try:
        raw = json.loads((model_dir / FILENAME).read_text("utf-8"))
        return {
            name: Entry(entry["source"], {path: FileRecord(**record) for path, record in entry["files"].items()})
            for name, entry in raw.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def note(model_dir: Path, item: Item, source: str) -> None:
    """Hash the item's files as they are now and remember them. A read-only folder is left as it is."""
    folder = model_dir / item.name
    records = look(folder, present(folder, item))
    entries = {**read(model_dir), item.name: Entry(source, records)}
    draft = model_dir / f"{FILENAME}.part"
    try:
        draft.write_text(json.dumps({name: asdict(entries[name]) for name in sorted(entries)}, indent=1), "utf-8")
    except OSError:
        return
    draft.replace(model_dir / FILENAME)


def fault(folder: Path, item: Item, entry: Entry | None) -> str | None:
    """One line about what is wrong with the item in `folder`, or None when it is right.

    Right is what the catalogue pins, or what `entry` noted when the files were made here. An unpinned Whisper model
    that someone put there by hand is taken as it is, provided it is complete.
    """
    missing = absent(folder, item)
    if missing is not None:
        return f"{missing} is missing"
    if not item.files:
        return None
    hashes = {name: record.sha256 for name, record in look(folder, present(folder, item)).items()}
    accepted = [{file.path: file.sha256 for file in item.files}]
    if entry is not None:
        accepted.append({path: record.sha256 for path, record in entry.files.items()})
    if any(reference and reference.items() <= hashes.items() for reference in accepted):
        return None
    wrong = next(
        (name for name in hashes if all(reference.get(name) != hashes[name] for reference in accepted)), "some file"
    )
    return f"{wrong} is not the one of the catalogue"


def absent(folder: Path, item: Item) -> str | None:
    """A file without which the item is not complete, or None."""
    required = WHISPER_REQUIRED if _is_whisper(item) else _pinned(item)
    return next((pattern for pattern in required if not any(folder.glob(pattern))), None)


def present(folder: Path, item: Item) -> list[str]:
    """Paths of the item's files in `folder`."""
    patterns = WHISPER_FILES if _is_whisper(item) else _pinned(item)
    return sorted({str(path.relative_to(folder)) for pattern in patterns for path in folder.glob(pattern)})


def _is_whisper(item: Item) -> bool:
    return item.name.startswith("whisper/")


def _pinned(item: Item) -> tuple[str, ...]:
    return tuple(file.path for file in item.files)


def look(folder: Path, names: Iterable[str]) -> dict[str, FileRecord]:
    """Hash these files."""
    records = {}
    for name in names:
        status = (folder / name).stat()
        records[name] = FileRecord(sha256_of(folder / name), status.st_size, status.st_mtime_ns)
    return records
