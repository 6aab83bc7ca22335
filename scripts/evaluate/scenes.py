"""Conversations made of single voices, so that the words, the turns and the overlaps are known exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from scripts.evaluate.sources import Clip, Samples
from shared.transcript import SAMPLE_RATE, SpeakerTurn

FRAME = 480
"""Samples of 30 ms, over which loudness is measured."""

LOUDNESS = 0.08
"""Root mean square of a clip's speech, to which all voices are brought."""

PAUSE_S = 0.5
"""A pause this long inside a clip ends a turn."""

QUIET_DB = -26.0
NOISE_DB = -10.0
MUSIC_DB = -14.0
LONG_S = 22 * 60.0
SILENCE_S = 90.0


@dataclass(frozen=True, slots=True)
class Utterance:
    """What one speaker says from `start` to `end`. An unknown text is empty."""

    start: float
    end: float
    speaker: str
    text: str


@dataclass
class Scene:
    """A recording in the making. `samples` grow with the clips that are put in."""

    samples: Samples = field(default_factory=lambda: np.zeros(0, np.float32))
    utterances: list[Utterance] = field(default_factory=list)
    turns: list[SpeakerTurn] = field(default_factory=list)

    @property
    def end(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    def add(self, clip: Clip, gap: float, gain_db: float = 0.0) -> None:
        """Put a clip `gap` seconds behind the end of what is there, or into it where `gap` is negative."""
        samples = levelled(clip.samples) * np.float32(10 ** (gain_db / 20))
        stretches = speech(samples)
        first, last = stretches[0][0], stretches[-1][1]
        start = max(0.0, self.end + gap)
        begin = round(start * SAMPLE_RATE)
        end = begin + last - first
        if end > len(self.samples):
            self.samples = np.concatenate([self.samples, np.zeros(end - len(self.samples), np.float32)])
        self.samples[begin:end] += samples[first:last]
        for a, b in stretches:
            turn = SpeakerTurn(start + (a - first) / SAMPLE_RATE, start + (b - first) / SAMPLE_RATE, clip.voice)
            self.turns.append(turn)
        self.utterances.append(Utterance(start, end / SAMPLE_RATE, clip.voice, clip.text))

    def pause(self, seconds: float) -> None:
        self.samples = np.concatenate([self.samples, np.zeros(round(seconds * SAMPLE_RATE), np.float32)])


def levelled(samples: Samples) -> Samples:
    """The clip with its speech at LOUDNESS."""
    loud = _loudness(samples)
    level = np.sqrt(np.mean(loud[loud > 0.1 * np.percentile(loud, 95)] ** 2))
    return samples * np.float32(LOUDNESS / max(level, 1e-6))


def speech(samples: Samples) -> list[tuple[int, int]]:
    """Stretches of a clean clip between which nobody speaks for PAUSE_S or more, as bounds in samples."""
    loud = _loudness(samples)
    frames = np.flatnonzero(loud > 0.05 * np.percentile(loud, 95))
    cuts = [
        index + 1 for index, (a, b) in enumerate(pairwise(frames.tolist())) if (b - a) * FRAME >= PAUSE_S * SAMPLE_RATE
    ]
    return [(int(part[0]) * FRAME, min(len(samples), (int(part[-1]) + 1) * FRAME)) for part in np.split(frames, cuts)]


def _loudness(samples: Samples) -> Samples:
    frames = samples[: max(1, len(samples) // FRAME) * FRAME].reshape(-1, FRAME)
    loudness: Samples = np.sqrt(np.mean(frames**2, axis=1))
    return loudness


class Cast:
    """Voices that take turns at random, each with its clips in an order of its own, again from the first when all
    are said. What is drawn depends on the generator alone.
    """

    def __init__(self, voices: dict[str, list[Clip]], rng: np.random.Generator) -> None:
        self._rng = rng
        self._decks = {voice: self._deck(clips) for voice, clips in voices.items()}

    def turns(self, count: int) -> Iterator[Clip]:
        """So many clips, nobody twice in a row, everybody once before anyone has spoken twice as often."""
        names = sorted(self._decks)
        last = ""
        while count > 0:
            for voice in self._rng.permutation(names)[:count]:
                name = str(voice)
                if name == last and len(names) > 1:
                    continue
                last = name
                count -= 1
                yield next(self._decks[name])

    def _deck(self, clips: Sequence[Clip]) -> Iterator[Clip]:
        while True:
            for index in self._rng.permutation(len(clips)):
                yield clips[int(index)]


def conversation(cast: Cast, rng: np.random.Generator, count: int, gap: tuple[float, float] = (0.3, 0.9)) -> Scene:
    """Voices one after another, with a pause between `gap` seconds; a negative one is an overlap."""
    scene = Scene()
    for clip in cast.turns(count):
        scene.add(clip, float(rng.uniform(*gap)))
    return scene


def _overlaps(cast: Cast, rng: np.random.Generator) -> Scene:
    return conversation(cast, rng, 12, (-1.0, 0.3))


def _noise(cast: Cast, rng: np.random.Generator) -> Scene:
    """Pink noise below all of it."""
    scene = conversation(cast, rng, 10)
    spectrum = np.fft.rfft(rng.standard_normal(len(scene.samples)))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    noise = np.fft.irfft(spectrum, len(scene.samples)).astype(np.float32)
    scene.samples += noise * np.float32(LOUDNESS * 10 ** (NOISE_DB / 20) / noise.std())
    return scene


def _telephone(cast: Cast, rng: np.random.Generator) -> Scene:
    """Only 300-3400 Hz, in the 8 bit of a telephone line."""
    scene = conversation(cast, rng, 10)
    spectrum = np.fft.rfft(scene.samples)
    hertz = np.fft.rfftfreq(len(scene.samples), 1 / SAMPLE_RATE)
    spectrum[(hertz < 300) | (hertz > 3400)] = 0
    line = np.clip(np.fft.irfft(spectrum, len(scene.samples)), -1, 1)
    law = np.sign(line) * np.log1p(255 * np.abs(line)) / np.log1p(255)
    law = np.round(law * 127) / 127
    scene.samples = (np.sign(law) * np.expm1(np.abs(law) * np.log1p(255)) / 255).astype(np.float32)
    return scene


def _quiet(cast: Cast, rng: np.random.Generator) -> Scene:
    """One voice is 26 dB below the other."""
    scene = Scene()
    soft = ""
    for clip in cast.turns(10):
        soft = soft or clip.voice
        scene.add(clip, float(rng.uniform(0.3, 0.9)), QUIET_DB if clip.voice == soft else 0.0)
    scene.samples += (1e-4 * rng.standard_normal(len(scene.samples))).astype(np.float32)
    return scene


def _music(cast: Cast, rng: np.random.Generator) -> Scene:
    """Chords before, between and below what is said."""
    scene = Scene()
    scene.pause(6)
    for number, clip in enumerate(cast.turns(8)):
        scene.add(clip, 5.0 if number == 4 else float(rng.uniform(0.3, 0.9)))
    scene.pause(6)
    time = np.arange(len(scene.samples)) / SAMPLE_RATE
    roots = 220 * 2 ** (rng.integers(0, 12, int(time[-1]) + 1) / 12)
    phases = 2 * np.pi * np.cumsum(roots[time.astype(int)]) / SAMPLE_RATE
    chord = sum(np.sin(phases * ratio) / place for place, ratio in enumerate((1, 1.25, 1.5, 2), 1))
    chord *= 0.6 + 0.4 * np.cos(2 * np.pi * 2 * time)
    scene.samples += (chord * LOUDNESS * 10 ** (MUSIC_DB / 20) / np.std(chord)).astype(np.float32)
    return scene


def _silence(cast: Cast, rng: np.random.Generator) -> Scene:
    """A minute and a half without speech in the middle."""
    scene = Scene()
    for number, clip in enumerate(cast.turns(8)):
        scene.add(clip, SILENCE_S if number == 4 else float(rng.uniform(0.3, 0.9)))
    scene.samples += (3e-4 * rng.standard_normal(len(scene.samples))).astype(np.float32)
    return scene


def _long(cast: Cast, rng: np.random.Generator) -> Scene:
    """22 minutes of everybody, now and then over one another."""
    scene = Scene()
    parts = [scene]
    length = 0.0
    while length < LONG_S:
        part = conversation(cast, rng, 20, (-0.4, 1.2))
        for utterance in part.utterances:
            scene.utterances.append(
                Utterance(utterance.start + length, utterance.end + length, utterance.speaker, utterance.text)
            )
        scene.turns += [SpeakerTurn(turn.start + length, turn.end + length, turn.speaker) for turn in part.turns]
        part.pause(0.7)
        parts.append(part)
        length += part.end
    scene.samples = np.concatenate([part.samples for part in parts])
    return scene


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a scene is made, of how many voices at most, and the group that its figures belong to."""

    group: str
    voices: int
    make: Callable[[Cast, np.random.Generator], Scene]
    foreign: int = 0


RECIPES = {
    "two": Recipe("conversations", 2, lambda cast, rng: conversation(cast, rng, 12)),
    "three": Recipe("conversations", 3, lambda cast, rng: conversation(cast, rng, 15)),
    "four": Recipe("conversations", 4, lambda cast, rng: conversation(cast, rng, 18)),
    "five": Recipe("conversations", 5, lambda cast, rng: conversation(cast, rng, 25)),
    "overlaps": Recipe("hard", 3, _overlaps),
    "noise": Recipe("hard", 3, _noise),
    "telephone": Recipe("hard", 2, _telephone),
    "quiet": Recipe("hard", 2, _quiet),
    "music": Recipe("hard", 2, _music),
    "silence": Recipe("hard", 2, _silence),
    "languages": Recipe("two languages", 1, lambda cast, rng: conversation(cast, rng, 8), foreign=1),
    "long": Recipe("long", 99, _long),
}
"""The scenes of each half."""
