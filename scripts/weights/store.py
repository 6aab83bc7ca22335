"""MODEL_DIR as a whole: what is already there, what is missing, and putting a model in place in one step."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from scripts.weights import manifest
from scripts.weights.catalogue import ALIASES, DIARIZATION, SPEAKERS, WHISPER, Item
from shared.abilities import ONNX_MODELS
from shared.errors import ModelUnavailable

if TYPE_CHECKING:
    from rich.progress import Progress

    from scripts.weights.hub import HubSettings

PARTIAL = ".partial"
"""Downloads under way, below MODEL_DIR so that the last step is a rename."""


class Source(Protocol):
    """Somewhere that models come from: a folder, the Hub, the mirror."""

    name: str

    def fetch(self, item: Item, folder: Path, progress: Progress) -> None:
        """Put the item's files into `folder`, checked. Raises `SourceFailed`."""


def ensure(
    model_dir: Path,
    whisper: Sequence[str] = (),
    diarization: bool = False,
    *,
    speakers: bool = False,
    offline: bool = False,
    copy_from: Path | None = None,
    hub: HubSettings | None = None,
) -> dict[str, str]:
    """Have these models in `model_dir`; returns item name -> source of those that had to be fetched.

    What is there and right is left alone, without a network and within milliseconds. The rest comes from `copy_from`
    (another MODEL_DIR), from the Hub, or from the mirror; `offline` allows only the folder, and so does
    HF_HUB_OFFLINE=1 for an item that is optional. `hub` None means the settings of the environment. Raises
    `ModelUnavailable` with one line that says what every source answered, but for an item that is optional.
    """
    for name in ONNX_MODELS.keys() & set(whisper):
        _require_onnx(model_dir / "onnx" / name)
    whisper = [name for name in whisper if name not in ONNX_MODELS]
    items = [_item(name) for name in whisper] + ([DIARIZATION] if diarization else [])
    items += [SPEAKERS] if speakers else []
    fetched = ensure_items(model_dir, items, offline=offline, copy_from=copy_from, hub=hub)
    for name in whisper:
        if name in ALIASES:
            _link(model_dir / "whisper" / name, ALIASES[name])
    return fetched


def ensure_items(
    model_dir: Path,
    items: Sequence[Item],
    *,
    offline: bool = False,
    copy_from: Path | None = None,
    hub: HubSettings | None = None,
) -> dict[str, str]:
    """`ensure` for entries of a catalogue."""
    entries = manifest.read(model_dir)
    unsure = [item for item in items if not _is_right(model_dir, item, entries)]
    if not unsure:
        return {}
    try:
        with _alone(model_dir):
            missing = {item: fault for item in unsure if (fault := _adopt(model_dir, item)) is not None}
            return _fetch(model_dir, missing, offline, copy_from, hub) if missing else {}
    except (ModelUnavailable, OSError):
        if all(item.is_optional for item in unsure):
            return {}
        raise


def _require_onnx(folder: Path) -> None:
    """These models are not fetched. Raises ModelUnavailable when nobody has brought this one."""
    if not (folder / "config.json").is_file():
        raise ModelUnavailable(f"{folder.name} is not fetched here: put its files into {folder} (docs/models.md)")


def _item(name: str) -> Item:
    item = WHISPER.get(ALIASES.get(name, name))
    if item is None:
        raise ModelUnavailable(f"there is no Whisper model {name!r}; known are {', '.join([*WHISPER, *ALIASES])}")
    return item


def _is_right(model_dir: Path, item: Item, entries: Mapping[str, manifest.Entry]) -> bool:
    entry = entries.get(item.name)
    return entry is not None and entry.unchanged(model_dir / item.name)


def _adopt(model_dir: Path, item: Item) -> str | None:
    """Hash what lies in the folder already and take it when it is right; otherwise say what is wrong."""
    entry = manifest.read(model_dir).get(item.name)
    fault = manifest.fault(model_dir / item.name, item, entry)
    if fault is None:
        manifest.note(model_dir, item, entry.source if entry else "found in place")
    return fault


def _fetch(
    model_dir: Path, items: Mapping[Item, str], offline: bool, copy_from: Path | None, hub: HubSettings | None
) -> dict[str, str]:
    from scripts.weights.download import progress_bar
    from scripts.weights.folder import Folder
    from scripts.weights.hub import Hub, HubSettings
    from scripts.weights.mirror import Mirror

    work = model_dir / PARTIAL
    near: list[Source] = [] if copy_from is None else [Folder(copy_from)]
    sources = near
    if not offline:
        sources = [*near, Hub(hub or HubSettings.from_environment()), Mirror(work / "archives")]
    fetched: dict[str, str] = {}
    is_whole = True
    try:
        with progress_bar() as progress:
            for item, fault in items.items():
                origins = near if item.is_optional and os.environ.get("HF_HUB_OFFLINE") == "1" else sources
                try:
                    fetched[item.name] = _fetch_one(model_dir, item, fault, origins, progress)
                except (ModelUnavailable, OSError):  # MODEL_DIR may be read-only
                    if not item.is_optional:
                        raise
                    is_whole = False
        if is_whole:
            shutil.rmtree(work, ignore_errors=True)  # there is none where nothing was tried
        return fetched
    finally:
        if not any(path.is_file() for path in work.rglob("*")):  # otherwise something is left to take up again
            shutil.rmtree(work, ignore_errors=True)


def _fetch_one(model_dir: Path, item: Item, fault: str, sources: Sequence[Source], progress: Progress) -> str:
    """Ask the sources in order; returns the name of the one that delivered."""
    from scripts.weights.download import SourceFailed, room_on_disk

    answers = [f"MODEL_DIR: {fault}"]
    for source in sources:
        folder = model_dir / PARTIAL / source.name / item.name
        with room_on_disk(model_dir):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                source.fetch(item, folder, progress)
            except SourceFailed as error:
                answers.append(f"{source.name}: {error}")
                continue
        missing = manifest.absent(folder, item)
        if missing is not None:
            answers.append(f"{source.name}: {missing} is missing")
            continue
        _put_in_place(folder, model_dir / item.name)
        manifest.note(model_dir, item, source.name)
        return source.name
    raise ModelUnavailable(f"{item.name}: " + "; ".join(answers))


def _put_in_place(folder: Path, target: Path) -> None:
    """Rename `folder` to `target`. What was there is wrong and goes away."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink():
        target.unlink()
    elif target.exists():
        old = folder.with_name(f"{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    folder.rename(target)


def _link(link: Path, target: str) -> None:
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(target, target_is_directory=True)


@contextmanager
def _alone(model_dir: Path) -> Iterator[None]:
    """One download at a time per folder; a second one is told so at once."""
    try:
        model_dir.mkdir(parents=True, exist_ok=True)
        lock = (model_dir / ".lock").open("w")
    except OSError:  # a read-only MODEL_DIR can still be looked at
        yield
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ModelUnavailable(f"another download into {model_dir} is under way") from error
        yield
