"""The recordings, what is said in them and by whom, and which of them nobody may tune by.

Half of the voices are held out. A made-up conversation has voices of one half only, so that whoever tunes on the other
never heard them.
"""

from __future__ import annotations

import hashlib
import re
import wave
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from scripts.bench.scoring import read_rttm, read_stm
from scripts.evaluate import dialogues
from scripts.evaluate.scenes import RECIPES, Cast, Recipe, Scene, Utterance
from scripts.evaluate.sources import CACHE, PYANNOTE, VOICES, Clip, Samples, Unavailable, decode, member
from shared.transcript import SAMPLE_RATE, SpeakerTurn

Half = Literal["tuning", "held_out"]
HALVES: tuple[Half, Half] = ("tuning", "held_out")

FOLDER = CACHE / "recordings"

VERSION = 1
"""Of the recordings: figures of two versions cannot be compared."""

DEVELOPED_WITH = {"sample"}
"""Voices that were listened to again and again while Parley was written, whatever their hash."""

MEETINGS = {
    "ami-dev": ("dev00", "dev01"),
    "ami-tst": ("tst00", "tst01"),
    "ami-trn01": ("trn01", "trn02", "trn03"),
    "ami-trn04": ("trn04",),
    "ami-trn05": ("trn05",),
    "ami-trn06": ("trn06", "trn09"),
    "ami-trn07": ("trn07", "trn08"),
}
"""Extracts of 30 s, together where the same people talk."""


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word of the reference with its time."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as 16 kHz mono 16-bit WAV and what is known of it; None where something is not known.

    text : all words in the order in which they begin
    utterances : the same with speakers and times
    words : with the time of each
    turns : who speaks when
    """

    name: str
    group: str
    half: Half
    audio: Path
    duration: float
    language: str
    text: str | None = None
    utterances: tuple[Utterance, ...] | None = None
    words: tuple[TimedWord, ...] | None = None
    turns: tuple[SpeakerTurn, ...] | None = None

    @property
    def speakers(self) -> int | None:
        return len({turn.speaker for turn in self.turns}) if self.turns is not None else None


def half_of(name: str) -> Half:
    """The half that a voice, a meeting or a recording of the user's belongs to, by its name alone."""
    odd = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2
    return "held_out" if odd and name not in DEVELOPED_WITH else "tuning"


def recordings(report: list[str]) -> list[Recording]:
    """All recordings that can be had here; `report` gets a line about each source that cannot."""
    voices: dict[str, list[Clip]] = {}
    corpus: list[Recording] = []
    for name, load in VOICES.items():
        try:
            voices[name] = load()
        except Unavailable as error:
            report.append(f"{name}: {error}")
    corpus += [_reading(name, clips) for name, clips in voices.items()]
    for load_recorded in (_sample, _meetings, _dialogues):
        try:
            corpus += load_recorded()
        except Unavailable as error:
            report.append(f"{load_recorded.__name__[1:]}: {error}")
    return corpus + scenes(voices)


def scenes(
    voices: Mapping[str, list[Clip]], recipes: Mapping[str, Recipe] = RECIPES, folder: Path = FOLDER
) -> list[Recording]:
    """Each recipe made twice, once of the voices of each half; none of a half that has no English voice."""
    corpus = []
    for half in HALVES:
        cast = {name: clips for name, clips in voices.items() if half_of(name) == half}
        if any(clips[0].language == "en" for clips in cast.values()):
            corpus += [_scene(name, recipe, half, cast, folder) for name, recipe in recipes.items()]
    return corpus


def selection(corpus: Iterable[Recording], split: Half | Literal["all"], names: str = "") -> list[Recording]:
    """The recordings of a half whose name the expression `names` finds."""
    return [each for each in corpus if split in ("all", each.half) and re.search(names, each.name)]


def _reading(name: str, clips: Sequence[Clip]) -> Recording:
    """All that one voice says, with pauses of half a second."""
    group = "other languages" if clips[0].language != "en" else "synthetic" if name.startswith("flite") else "readings"
    scene = Scene()
    for clip in clips:
        scene.add(clip, 0.5)
    scene.pause(0.5)
    return _recording(name, group, half_of(name), clips[0].language, scene)


def _scene(name: str, recipe: Recipe, half: Half, voices: Mapping[str, list[Clip]], folder: Path) -> Recording:
    """A scene of one half. Which voices it has depends on its name."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{half} {name} {VERSION}".encode()).digest()[:8]))
    english = sorted(voice for voice, clips in voices.items() if clips[0].language == "en")
    other = sorted(voice for voice, clips in voices.items() if clips[0].language in ("es", "fr", "it", "pt"))
    cast = [str(voice) for voice in rng.permutation(english)[: recipe.voices]]
    cast += [str(voice) for voice in rng.permutation(other)[: recipe.foreign]]
    scene = recipe.make(Cast({voice: voices[voice] for voice in cast}, rng), rng)
    return _recording(f"{name}-{half.replace('_', '-')}", recipe.group, half, "en", scene, folder)


def _recording(name: str, group: str, half: Half, language: str, scene: Scene, folder: Path = FOLDER) -> Recording:
    utterances = tuple(sorted(scene.utterances, key=lambda utterance: utterance.start))
    return Recording(
        name,
        group,
        half,
        write_wav(folder / f"{name}.wav", scene.samples),
        scene.end,
        language,
        " ".join(utterance.text for utterance in utterances),
        utterances,
        turns=tuple(sorted(scene.turns, key=lambda turn: turn.start)),
    )


def _sample() -> list[Recording]:
    """pyannote's sample: 30 s of a telephone call."""
    path = member(PYANNOTE, "src/pyannote/audio/sample/sample.wav")
    recording = replace(with_references(path, "sample", "call", "en"), half=half_of("sample"))
    return [recording]


def _meetings() -> list[Recording]:
    """Far-field extracts of AMI meetings; only the turns are known."""
    folder = member(PYANNOTE, "tests/data/database.yml").parent
    rows = [row.split() for file in sorted(folder.glob("*.rttm")) for row in file.read_text("utf-8").splitlines()]
    corpus = []
    for meeting, extracts in MEETINGS.items():
        for extract in extracts:
            samples = decode(folder / f"{extract}.wav")
            turns = tuple(
                SpeakerTurn(float(row[3]), float(row[3]) + float(row[4]), row[7]) for row in rows if row[1] == extract
            )
            name = f"ami-{extract}"
            path = write_wav(FOLDER / f"{name}.wav", samples)
            corpus.append(
                Recording(name, "meetings", half_of(meeting), path, len(samples) / SAMPLE_RATE, "en", turns=turns)
            )
    return corpus


def _dialogues() -> list[Recording]:
    """Acted talks, a language in each half."""
    corpus = []
    for language in dialogues.LANGUAGES:
        for level in dialogues.LEVELS:
            scene = Scene()
            for clip in dialogues.dialogue(language, level):
                scene.add(clip, 0.4)
            half = half_of(f"fillets-{language}")
            corpus.append(_recording(f"dialogue-{language}-{level}", "dialogues", half, language, scene))
    return corpus


def folder_recordings(folder: Path, language: str) -> list[Recording]:
    """The user's own: every audio file with a .txt, .stm, .rttm or .ctm of the same name beside it."""
    references = {".txt", ".stm", ".rttm", ".ctm"}
    files = sorted(file for file in folder.iterdir() if file.is_file())
    named = {file.stem for file in files if file.suffix.lower() in references}
    return [
        with_references(file, file.stem, folder.name, language)
        for file in files
        if file.stem in named and file.suffix.lower() not in {*references, ".uem", ".json", ".md"}
    ]


def with_references(audio: Path, name: str, group: str, language: str) -> Recording:
    """A recording with what lies beside it: .stm (words and turns), .txt (words), .rttm (turns), .ctm (word times)."""
    samples = decode(audio)
    path = write_wav(FOLDER / f"{name}.wav", samples)
    recording = Recording(name, group, half_of(name), path, len(samples) / SAMPLE_RATE, language)
    if (stm := audio.with_suffix(".stm")).exists():
        rows = sorted(read_stm(stm), key=lambda row: row[0].start)
        utterances = tuple(Utterance(turn.start, turn.end, turn.speaker, text) for turn, text in rows)
        text = " ".join(utterance.text for utterance in utterances)
        recording = replace(recording, utterances=utterances, text=text, turns=tuple(turn for turn, _ in rows))
    if (ctm := audio.with_suffix(".ctm")).exists():
        words = tuple(sorted(_ctm(ctm), key=lambda word: word.start))
        recording = replace(recording, words=words, text=recording.text or " ".join(word.text for word in words))
    if (txt := audio.with_suffix(".txt")).exists():
        recording = replace(recording, text=txt.read_text("utf-8"))
    if (rttm := audio.with_suffix(".rttm")).exists():
        recording = replace(recording, turns=tuple(read_rttm(rttm)))
    return recording


def _ctm(path: Path) -> Iterator[TimedWord]:
    """Words of a NIST CTM file (`file channel start duration word [confidence]`)."""
    for line in path.read_text("utf-8").splitlines():
        row = line.split()
        if len(row) >= 5 and not line.startswith(";;"):
            yield TimedWord(float(row[2]), float(row[2]) + float(row[3]), row[4])


def write_wav(path: Path, samples: Samples) -> Path:
    """Mono 16 bit at 16 kHz, made softer where it would be cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    peak = float(np.abs(samples).max(initial=0.0))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes((samples * (32767 / max(1.0, peak))).astype("<i2").tobytes())
    return path
