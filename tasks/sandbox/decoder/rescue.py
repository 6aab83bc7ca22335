"""What an ordinary mix of channels would lose: voices that cancel each other out, and a voice on the bass channel.

A microphone wired the wrong way round records the sound upside down, and the sum of it and its neighbour is silence.
A recorder with six microphones calls them 5.1, and FFmpeg leaves out the fourth, which is then called LFE.

The mix is looked at 50 ms at a time. Where two channels cancel, one of them is turned round; where LFE has more than
bass, it is added. Whatever needs neither passes unchanged, to the byte.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite, log2
from operator import mul

HOP = 800
"""Samples that are judged at once: 50 ms at 16 kHz."""

FADE = 320
"""Samples over which a change comes in: 20 ms, so that it does not click."""

MAX_CHANNELS = 8
"""Channels that are compared with each other; in the sum of more, two that cancel are a small part."""

LOOKED_AT = 160
"""Samples of a hop whose energy is measured: a fifth. More cost time and hardly change the ratio."""

QUIET = 1e-9
RELATIVELY_QUIET = 1e-5
"""Mean square below which a hop says nothing: -90 dB, or 50 dB below the loudest hop so far."""

OPPOSED = 6.0
"""The difference of two channels has so many times the energy of their sum: 8 dB. Two voices on two channels, or one
voice on two distant microphones, stay within about 3 dB; one that is half as loud on the wrong channel is at 10."""

EVIDENCE = 15.0
"""Doublings of that ratio, summed over hops and at most `HOP_EVIDENCE` of one, that make it certain: 0.2 s where the
channels cancel altogether, 0.3 s at 8 dB."""

HOP_EVIDENCE = 4.0

ALIKE = 2.0
"""Below this ratio the channels do not cancel."""

AGREEING_HOPS = 2
"""Hops after which channels that were opposed no longer are."""

UNDECIDED_HOPS = 20
"""Hops after which what was not certain until then is not waited for."""

VOICED = 0.001
"""Share of LFE's energy above 300 Hz. Of bass below 150 Hz less than a ten-thousandth is left there."""

VOICED_HOPS = 4

FULL_SCALE = 32768.0

FFMPEG_WEIGHTS = {
    **dict.fromkeys(("FL", "FR", "FLC", "FRC", "TFL", "TFR", "DL", "DR"), 0.7071),
    **dict.fromkeys(("BL", "BR", "BC", "SL", "SR"), 0.5),
    "FC": 1.0,
}
"""How FFmpeg mixes loudspeakers to mono, before it divides by the sum. The others it leaves out, LFE among them."""


@dataclass(slots=True)
class _Switch:
    """Something that is off or on for each hop, and decided some hops later."""

    is_on: bool = False
    run: int | None = None  # hops ago that the evidence for the other state began
    evidence: float = 0.0

    def hear(self, evidence_on: float, *, speaks_for_off: bool) -> int | None:
        """Take in a hop. When that settles a change: how many hops ago it began."""
        against = speaks_for_off if not self.is_on else evidence_on > 0
        gain = evidence_on if not self.is_on else EVIDENCE / AGREEING_HOPS * speaks_for_off
        if self.run is not None:
            self.run += 1
        if against or (self.run is not None and self.run >= UNDECIDED_HOPS):
            self.run, self.evidence = None, 0.0
        if gain > 0 and not against:
            self.run = 0 if self.run is None else self.run
            self.evidence += gain
            if self.evidence >= EVIDENCE:
                began, self.run, self.evidence, self.is_on = self.run, None, 0.0, not self.is_on
                return began
        return None


@dataclass(slots=True)
class _Hop:
    """A hop that waits until all that concerns it is certain. `opposed` and `voiced` are channels."""

    mix: array[int]
    apart: array[float]
    opposed: set[tuple[int, int]] = field(default_factory=set)
    voiced: set[int] = field(default_factory=set)


class Rescue:
    """Append to `mix` (int16), and to `apart` and `speech` (float32, interleaved, the latter without bass), the same
    seconds of sound; `ready` then gives what is certain, `flush` the rest.
    """

    def __init__(self, weights: Sequence[float], pairs: Sequence[tuple[int, int]], left_out: Sequence[int]) -> None:
        self.channels = len(weights)
        self.mix: array[int] = array("h")
        self.apart: array[float] = array("f")
        self.speech: array[float] = array("f")
        self.is_opposed = False
        self._weights = weights
        self._pairs = {pair: _Switch() for pair in pairs}
        self._left_out = {channel: _Switch() for channel in left_out}
        self._waiting: deque[_Hop] = deque()
        self._gains = [0.0] * self.channels
        self._loudest = 0.0

    @classmethod
    def of(cls, names: Sequence[str], *, is_labelled: bool, gain: float) -> Rescue | None:
        """For channels of these names, whose mix was multiplied by `gain`; None where nothing can be lost."""
        count = len(names)
        weights = [FFMPEG_WEIGHTS.get(name, 0.0) if is_labelled else 1.0 for name in names]
        left_out = [number for number, weight in enumerate(weights) if not weight]
        audible = [number for number, weight in enumerate(weights) if weight]
        pairs = [(i, j) for i in audible for j in audible if i < j] if count <= MAX_CHANNELS else []
        if not pairs and not left_out:
            return None
        total = (sum(weights) or 1.0) / gain
        return cls([(weight or 0.7071) / total for weight in weights], pairs, left_out)

    @property
    def held(self) -> int:
        """Samples of one channel that were put in and are not given out."""
        return len(self.mix) + sum(len(hop.mix) for hop in self._waiting)

    def ready(self) -> Iterator[memoryview]:
        """Samples of which nothing is uncertain any more."""
        whole = min(len(self.mix), len(self.apart) // self.channels, len(self.speech) // self.channels) // HOP
        for number in range(whole):
            inner = slice(number * HOP * self.channels, (number + 1) * HOP * self.channels)
            hop = _Hop(self.mix[number * HOP : (number + 1) * HOP], self.apart[inner])
            self._judge(hop, self.speech[inner])
            yield from self._certain()
        if whole:
            del self.mix[: whole * HOP], self.apart[: whole * HOP * self.channels]
            del self.speech[: whole * HOP * self.channels]

    def flush(self) -> Iterator[memoryview]:
        """All that is left, with what was certain so far."""
        yield from self.ready()
        if self.mix:
            opposed = {pair for pair, switch in self._pairs.items() if switch.is_on}
            voiced = {channel for channel, switch in self._left_out.items() if switch.is_on}
            self.apart.extend([0.0] * max(0, len(self.mix) * self.channels - len(self.apart)))
            self._waiting.append(_Hop(self.mix[:], self.apart[: len(self.mix) * self.channels], opposed, voiced))
            del self.mix[:]
        while self._waiting:
            yield self._faded(self._waiting.popleft())

    def _certain(self) -> Iterator[memoryview]:
        runs = [switch.run for switch in (*self._pairs.values(), *self._left_out.values()) if switch.run is not None]
        open_hops = max(runs, default=-1) + 1
        while len(self._waiting) > open_hops:
            yield self._faded(self._waiting.popleft())

    def _judge(self, hop: _Hop, speech: array[float]) -> None:
        """Decide what `hop` and, going back, the hops that wait are like; `hop` waits then, too."""
        step = HOP // LOOKED_AT * self.channels
        voices = [speech[channel::step] for channel in range(self.channels)]
        energies = [
            weight * weight * sum(map(mul, voice, voice)) / LOOKED_AT
            for weight, voice in zip(self._weights, voices, strict=True)
        ]
        self._waiting.append(hop)
        self._loudest = min(max(self._loudest, *energies), 1.0)
        quiet = max(QUIET, RELATIVELY_QUIET * self._loudest)
        for pair, switch in self._pairs.items():
            first, second = pair
            both = energies[first] + energies[second]
            if min(energies[first], energies[second]) * 100 > both > quiet:
                scale = 2 * self._weights[first] * self._weights[second] / LOOKED_AT
                cross = scale * sum(map(mul, voices[first], voices[second]))
                ratio = max(both - cross, 0.0) / max(both + cross, both * 1e-6)
                evidence = min(log2(ratio), HOP_EVIDENCE) if ratio > OPPOSED else 0.0
                began = switch.hear(evidence, speaks_for_off=ratio < ALIKE)
            else:
                began = switch.hear(0.0, speaks_for_off=both > quiet)
            for waiting in self._since(began):
                (waiting.opposed.add if switch.is_on else waiting.opposed.discard)(pair)
            if switch.is_on and began is None:
                hop.opposed.add(pair)
        for channel, switch in self._left_out.items():
            if switch.is_on:
                hop.voiced.add(channel)
                continue
            low = hop.apart[channel::step]
            whole = self._weights[channel] ** 2 * sum(map(mul, low, low)) / LOOKED_AT
            is_voiced = energies[channel] > max(quiet, VOICED * whole)
            began = switch.hear(EVIDENCE / VOICED_HOPS if is_voiced else 0.0, speaks_for_off=False)
            for waiting in self._since(began):
                waiting.voiced.add(channel)

    def _since(self, began: int | None) -> list[_Hop]:
        return [] if began is None else list(self._waiting)[-began - 1 :]

    def _faded(self, hop: _Hop) -> memoryview:
        """The hop's samples, with gains that fade from those of the hop before."""
        turned: set[int] = set()
        for first, second in sorted(hop.opposed):
            if first not in turned:
                turned.add(second)
        gains = [0.0] * self.channels
        for channel in turned:
            gains[channel] = -2 * self._weights[channel]
        for channel in hop.voiced:
            gains[channel] = self._weights[channel]
        before, self._gains = self._gains, gains
        self.is_opposed = bool(turned)
        if not any(gains) and not any(before):
            return memoryview(hop.mix.tobytes())
        mixed: list[float] = list(hop.mix)
        for channel, (old, new) in enumerate(zip(before, gains, strict=True)):
            if old or new:
                sound = hop.apart[channel :: self.channels]
                if not isfinite(sum(sound)):
                    continue  # floating point samples may be anything
                fade = min(FADE, len(sound)) if old != new else 0
                slope = (new - old) / fade if fade else 0.0
                levels = [FULL_SCALE * (old + slope * (n + 1)) for n in range(fade)]
                levels += [FULL_SCALE * new] * (len(sound) - fade)
                mixed = [sample + level * other for sample, level, other in zip(mixed, levels, sound, strict=True)]
        if max(mixed) > FULL_SCALE - 1 or min(mixed) < -FULL_SCALE:
            mixed = [min(max(sample, -FULL_SCALE), FULL_SCALE - 1) for sample in mixed]
        return memoryview(array("h", map(int, mixed)).tobytes())
