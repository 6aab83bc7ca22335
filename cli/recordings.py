"""What is to be transcribed, and which files its transcripts go to."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cli.failures import UsageError

SUFFIXES = {
    "json": ".json", "text": ".txt", "srt": ".srt", "vtt": ".vtt", "tsv": ".tsv", "rttm": ".rttm", "csv": ".csv",
    "md": ".md", "docx": ".docx", "ttml": ".ttml", "eaf": ".eaf", "ctm": ".ctm",
}  # fmt: skip
"""Formats and the endings of their files."""

MEDIA = frozenset(
    (".3g2", ".3ga", ".3gp", ".3gpp", ".3gpp2", ".8svx", ".aa3", ".aac", ".ac3", ".adts", ".aif", ".aifc",
     ".aiff", ".amr", ".ape", ".asf", ".au", ".avi", ".avr", ".awb", ".bwf", ".caf", ".dff", ".divx", ".dsf",
     ".dss", ".dts", ".dtshd", ".dv", ".dvr-ms", ".eac3", ".ec3", ".f4a", ".f4v", ".flac", ".flv", ".gsm",
     ".gxf", ".ircam", ".ivr", ".latm", ".lbc", ".loas", ".m2a", ".m2p", ".m2t", ".m2ts", ".m4a", ".m4b",
     ".m4r", ".m4v", ".mka", ".mkv", ".mlp", ".mov", ".mp2", ".mp3", ".mp4", ".mpc", ".mpeg", ".mpg", ".mpga",
     ".mts", ".mxf", ".nist", ".nut", ".oga", ".ogg", ".ogv", ".ogx", ".oma", ".opus", ".pvf", ".qcp", ".qt",
     ".qta", ".ra", ".rf64", ".rm", ".rmvb", ".sf", ".shn", ".snd", ".sox", ".sph", ".spx", ".tak", ".thd",
     ".ts", ".tta", ".vob", ".voc", ".w64", ".wav", ".wave", ".weba", ".webm", ".wma", ".wmv", ".wtv", ".wv",
     ".xwma")
)  # fmt: skip
"""Endings by which recordings are found in a folder, those of tasks/sandbox/decoder/accepted.py. A file that is named
itself may have any."""

NAMED = 5
"""Files that are passed over are named up to this many; of more, the endings are counted."""

MAX_NAME = 100
"""Characters of a name made from a URL; file systems allow 255 bytes."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A file or a URL. `stem` is the path of its transcripts without their suffix."""

    source: Path | str
    stem: Path

    @property
    def name(self) -> str:
        """What to call it on the screen."""
        return self.source.name if isinstance(self.source, Path) else self.source

    def target(self, format: str) -> Path:
        return self.stem.with_name(self.stem.name + SUFFIXES[format])


def find(sources: Iterable[str], folder: Path | None) -> tuple[list[Recording], list[Path]]:
    """The recordings that files, folders (with all below them) and URLs stand for, each once, and the files that are
    passed over: those in folders whose names are not of recordings, except the recordings' own transcripts.

    Transcripts go beside the recording, or into `folder`, where those of a folder keep their place in it. Raises
    UsageError for what is not there, and for two recordings that would have the same transcript.
    """
    by_source: dict[str, Recording] = {}
    others: list[Path] = []
    for item in sources:
        for recording in _url(item, folder) if "://" in item else _path(item, folder, others):
            source = recording.source
            by_source.setdefault(str(source.resolve()) if isinstance(source, Path) else source, recording)
    if not by_source:
        raise UsageError(f"There is no recording in what was given. {passed_over(others)}".strip())
    inputs = _distinct(list(by_source.values()))
    transcripts = {_absolute(stem.with_name(stem.name + end)) for stem in _stems(inputs) for end in SUFFIXES.values()}
    return inputs, [path for path in dict.fromkeys(others) if _absolute(path) not in transcripts]


def passed_over(paths: Sequence[Path]) -> str:
    """What is said about files of a folder that were not taken for recordings; empty where there are none."""
    if not paths:
        return ""
    if len(paths) <= NAMED:
        names = ", ".join(str(path) for path in paths)
    else:
        by_suffix = Counter(path.suffix.lower() or "without a suffix" for path in paths)
        order = sorted(by_suffix.items(), key=lambda item: (-item[1], item[0]))
        names = ", ".join(f"{count} {suffix}" for suffix, count in order)
    files = "1 file that does" if len(paths) == 1 else f"{len(paths)} files that do"
    return f"Passed over {files} not look like a recording: {names}. Name a file itself to send it."


def _url(url: str, folder: Path | None) -> Iterator[Recording]:
    if re.fullmatch(r"(https?|s3)://[^\s/]+(/\S*)?", url, re.IGNORECASE) is None:
        raise UsageError(f"{url} is neither an http, https or s3 URL nor a file.")
    parts = urlsplit(url)
    stem = Path(unquote(parts.path)).stem or parts.netloc
    # watch?v=... : what tells two of them apart is in the query
    words = re.findall(r"\w+", f"{stem} {unquote(parts.query)}")
    yield Recording(url, (folder or Path()) / ("-".join(words)[:MAX_NAME] or "recording"))


def _path(name: str, folder: Path | None, others: list[Path]) -> Iterator[Recording]:
    """`others` is told of the files that are passed over."""
    path = Path(name)
    if path.is_dir():
        for below in _files(path):
            if below.suffix.lower() not in MEDIA:
                others.append(below)
                continue
            home = folder / below.parent.relative_to(path) if folder else below.parent
            yield Recording(below, home / below.stem)
    elif path.is_file():
        yield Recording(path, (folder or path.parent) / path.stem)
    else:
        raise UsageError(f"There is no file {name}.")


def _files(folder: Path) -> list[Path]:
    paths: list[Path] = []
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [Path(here, name) for name in files if not name.startswith(".")]
    return sorted(paths)


def _absolute(path: Path) -> Path:
    return path.parent.resolve() / path.name


def _stems(recordings: Iterable[Recording]) -> Iterator[Path]:
    """Of transcripts of this run, and of earlier ones, when there was another or no recording of the same name."""
    for recording in recordings:
        yield recording.stem
        if isinstance(recording.source, Path):
            yield recording.source.with_suffix("")
            yield recording.source


def _distinct(recordings: list[Recording]) -> list[Recording]:
    """call.mp3 beside call.wav: both keep their suffix, so that neither takes the other's place."""
    uses = Counter(recording.stem for recording in recordings)
    apart = [
        replace(one, stem=one.stem.with_name(one.source.name))
        if uses[one.stem] > 1 and isinstance(one.source, Path)
        else one
        for one in recordings
    ]
    by_stem: dict[Path, Recording] = {}
    for recording in apart:
        other = by_stem.setdefault(recording.stem, recording)
        if other is not recording:
            raise UsageError(f"{other.source} and {recording.source} would both be written to {recording.stem}.*.")
    return apart
