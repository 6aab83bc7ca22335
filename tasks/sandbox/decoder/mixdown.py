"""Decoded frames of any kind to 16 kHz samples: all channels mixed to one, or each of them kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.sandbox.decoder.pcm import BYTES_PER_SAMPLE, SAMPLE_RATE, Refused
from tasks.sandbox.decoder.rescue import Rescue

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 4_000, 384_000
"""Hz. Telephones send 8 kHz, studios up to 384; one second at a claimed 1 Hz would resample to 16,000."""

MAX_CHANNELS = 64
"""What FFmpeg's resampler can hold (SWR_CH_MAX)."""

MAX_SPLIT_CHANNELS = 8
"""Channels that are kept apart at most: the tracks of common field recorders. Each costs as much as a recording."""

SPEECH_HZ = 300
"""Speech is compared above it: hum and the bass of a subwoofer lie below it, and 36 dB per octave take them away."""

LAYOUTS = ("", "mono", "stereo", "3.0", "4.0", "5.0", "6.0", "7.0", "octagonal")
"""A layout for each number of channels that are compared."""

Filter = tuple[str, dict[str, str]]


class Mixdown:
    """Decoded frames of any rate, layout and sample format in, 16 kHz signed 16-bit samples out.

    `channels` is 1, or with `split` as many as the first frame has, interleaved. A later frame with another number of
    channels is mixed and put on the first, so that nothing of it is lost.

    Sound is multiplied by `gain`. What an ordinary mix would lose is put back (rescue.py); `is_opposed` says so of the
    samples last given out, and `held_s` how many seconds of sound wait for what follows them.
    """

    def __init__(self, *, split: bool, gain: float = 1.0) -> None:
        self._split, self._gain = split, gain
        self._graphs: list[Any] = []
        self._rescue: Rescue | None = None
        self._source: tuple[str, str, int] | None = None
        self.channels = 0

    @property
    def held_s(self) -> float:
        """Seconds of sound that were fed and are not given out yet, the resampler's own delay aside."""
        return self._rescue.held / SAMPLE_RATE if self._rescue else 0.0

    @property
    def is_opposed(self) -> bool:
        """Whether, in the samples last given out, one channel was turned round."""
        return self._rescue is not None and self._rescue.is_opposed

    def begin(self, frame: Any) -> int:
        """Settle `channels` by the first frame. Raises Refused."""
        self.channels = frame.layout.nb_channels if self._split else 1
        if self.channels > MAX_SPLIT_CHANNELS:
            raise Refused("unsupported_media", f"More than {MAX_SPLIT_CHANNELS} channels cannot be kept apart.")
        return self.channels

    def feed(self, frame: Any) -> Iterator[memoryview]:
        """Samples that are ready. A frame unlike the one before starts new filter graphs. Raises Refused."""
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source != self._source:
            yield from self.flush()
            self._begin_source(frame)
            self._source = source
        yield from self._pass(frame)

    def flush(self) -> Iterator[memoryview]:
        """Samples that the resampler and the rescue still hold."""
        if self._graphs:
            yield from self._pass(None)
            if self._rescue is not None:
                yield from self._rescue.flush()
        self._graphs, self._source, self._rescue = [], None, None

    def _begin_source(self, frame: Any) -> None:
        _check(frame)
        self._graphs = [_graph(frame, [*_mixing(frame, self.channels), *self._volume()])]
        names = [channel.name for channel in frame.layout.channels]
        plain = self.channels > 1 or _is_ambisonic(frame)
        rescue = None if plain else Rescue.of(names, is_labelled=_is_labelled(frame), gain=self._gain)
        if rescue is not None:
            apart: Filter = ("aformat", {"sample_rates": str(SAMPLE_RATE), "sample_fmts": "flt"})
            high: Filter = ("highpass", {"f": str(SPEECH_HZ), "p": "2"})
            flat: Filter = ("highpass", {"f": "2000", "p": "1"})  # as much weight to its upper half, which is fainter
            speech = [*_naming(frame), apart, high, high, high, flat, apart]
            self._graphs += [_graph(frame, [apart]), _graph(frame, speech)]
        self._rescue = rescue

    def _volume(self) -> list[Filter]:
        if self._gain == 1:
            return []
        return [("volume", {"volume": str(self._gain)}), ("aformat", {"sample_fmts": "s16"})]

    def _pass(self, frame: Any) -> Iterator[memoryview]:
        mix, *others = self._graphs
        if self._rescue is None:
            yield from _through(mix, frame, self.channels * BYTES_PER_SAMPLE)
            return
        frame_bytes = 4 * self._rescue.channels
        for pcm in _through(mix, frame, BYTES_PER_SAMPLE):
            self._rescue.mix.frombytes(pcm)
        for graph, samples in zip(others, (self._rescue.apart, self._rescue.speech), strict=True):
            for pcm in _through(graph, frame, frame_bytes):
                samples.frombytes(pcm)
        yield from self._rescue.ready()


def _through(graph: Any, frame: Any, frame_bytes: int) -> Iterator[memoryview]:
    """What `graph` gives for one more frame, or with None for the end; `frame_bytes` are those of all channels."""
    graph.push(frame)
    while True:
        try:
            filtered = graph.pull()
        except (BlockingIOError, EOFError):  # it wants more, or has given all
            return
        yield memoryview(filtered.planes[0])[: filtered.samples * frame_bytes]


def _check(frame: Any) -> None:
    """Raises Refused for a rate or a number of channels that nobody records."""
    if not MIN_SAMPLE_RATE <= frame.sample_rate <= MAX_SAMPLE_RATE:
        raise Refused("unsupported_media", f"A sample rate of {frame.sample_rate} Hz is not accepted.")
    if frame.layout.nb_channels > MAX_CHANNELS:
        raise Refused("unsupported_media", f"More than {MAX_CHANNELS} channels are not accepted.")


def _is_labelled(frame: Any) -> bool:
    """Whether the file says which loudspeaker each channel belongs to; FFmpeg names them else by their number only."""
    return bool(frame.layout.name != f"{frame.layout.nb_channels} channels")


def _is_ambisonic(frame: Any) -> bool:
    """Whether the first channel is what a microphone for all sides hears, and the others are directions."""
    return bool(frame.layout.name.startswith("ambisonic"))


def _naming(frame: Any) -> list[Filter]:
    """A filter that gives channels without names some; FFmpeg's highpass leaves those without alone."""
    channels = frame.layout.nb_channels
    if _is_labelled(frame):
        return []
    names = "|".join(f"c{number}=c{number}" for number in range(channels))
    return [("pan", {"args": f"{LAYOUTS[channels]}|{names}"})]


def _mixing(frame: Any, target: int) -> list[Filter]:
    """The filters from frames like this one to `target` channels at 16 kHz."""
    channels = frame.layout.nb_channels
    rate = {"sample_rates": str(SAMPLE_RATE), "sample_fmts": "s16"}
    if channels == target > 1:
        return [("aformat", rate)]
    filters: list[Filter] = []
    if _is_ambisonic(frame):
        filters.append(("pan", {"args": "mono|c0=c0"}))
    elif channels > 2 and not _is_labelled(frame):
        # As many microphones, not loudspeakers: FFmpeg would guess surround and drop what it takes for bass.
        terms = "+".join(f"{1 / channels}*c{number}" for number in range(channels))
        filters.append(("pan", {"args": f"mono|c0={terms}"}))
    filters.append(("aformat", {**rate, "channel_layouts": "mono"}))
    if target > 1:
        filters.append(("pan", {"args": f"{target}c|c0=c0"}))
    return filters


def _graph(frame: Any, filters: list[Filter]) -> Any:
    """A configured FFmpeg graph of `filters` for frames like this one."""
    from av.filter import Graph  # after set_limits

    graph = Graph()
    graph.threads = 1
    chain = [
        graph.add(
            "abuffer",
            sample_rate=str(frame.sample_rate),
            sample_fmt=frame.format.name,
            channel_layout=frame.layout.name,
            time_base=f"1/{frame.sample_rate}",
        )
    ]
    for name, options in filters:
        chain.append(graph.add(name, options.get("args"), **{k: v for k, v in options.items() if k != "args"}))
    chain.append(graph.add("abuffersink"))
    graph.link_nodes(*chain).configure()
    return graph
