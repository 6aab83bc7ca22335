"""16 kHz PCM in, one file out: mono Opus in WebM, and behind it the peaks that a waveform is drawn by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any

SAMPLE_RATE = 16_000
BYTES_PER_SAMPLE = 2
HEADER_BYTES = 44

BIT_RATE = 24_000
"""bit/s, at which speech of 16 kHz sounds as it did: 11 MB for an hour."""

CHOICES = {"application": "audio", "compression_level": "0", "frame_duration": "60"}
"""Of libopus: an hour takes 5 s of one core. `voip` takes twice as long, and its spectra are as far from the
recording's (5.7 dB beside 5.8, of read speech); so does more effort. Packets of 60 ms save a seventh over 20."""

PEAKS_PER_SECOND = 20
BLOCK_S = 10

LAYOUTS = ("", "mono", "stereo", "3.0", "4.0", "5.0", "6.0", "7.0", "octagonal")
"""A layout for each number of channels that convert keeps apart."""

LOUDNESS = bytes(255 if value == 128 else 2 * (value if value < 128 else 256 - value) for value in range(256))
"""The upper byte of a sample -> how far it is from zero, 0 to 255."""


def encode(source: IO[bytes], target: IO[bytes], channels: int, at_byte: Callable[[int], None]) -> dict[str, int]:
    """Encode a converted recording of so many interleaved channels.

    The peaks follow the Opus: a byte per 1/PEAKS_PER_SECOND s, lane behind lane, a lane per channel. Returns the bytes
    of the Opus, and of each lane. `at_byte` is told the position in the source.
    """
    import av  # loaded by whoever runs this; here, as it must not be before the limits are set

    frame_bytes = channels * BYTES_PER_SAMPLE
    lanes = [bytearray() for _ in range(channels)]
    # bitexact: without, the muxer asks for random numbers, of which there are none behind the locked door
    output = av.open(target, "w", format="webm", options={"fflags": "+bitexact"})
    stream: Any = output.add_stream("libopus", rate=SAMPLE_RATE, layout="mono")
    stream.bit_rate = BIT_RATE
    stream.options = dict(CHOICES)
    mix = _mixer(channels)
    source.seek(HEADER_BYTES)
    sample = 0
    while pcm := source.read(BLOCK_S * SAMPLE_RATE * frame_bytes):
        pcm = pcm[: len(pcm) - len(pcm) % frame_bytes]
        _add_peaks(pcm, lanes)
        for frame in mix(_frame(pcm, channels, sample)):
            for packet in stream.encode(frame):
                output.mux(packet)
        sample += len(pcm) // frame_bytes
        at_byte(HEADER_BYTES + sample * frame_bytes)
    for frame in mix(None):
        for packet in stream.encode(frame):
            output.mux(packet)
    for packet in stream.encode(None):
        output.mux(packet)
    output.close()
    audio_bytes = target.seek(0, 2)
    for lane in lanes:
        target.write(lane)
    target.flush()
    return {"audio_bytes": audio_bytes, "lane_bytes": len(lanes[0])}


def _add_peaks(pcm: bytes, lanes: list[bytearray]) -> None:
    width = SAMPLE_RATE // PEAKS_PER_SECOND
    for channel, lane in enumerate(lanes):
        loud = pcm[2 * channel + 1 :: BYTES_PER_SAMPLE * len(lanes)].translate(LOUDNESS)
        lane.extend(max(loud[start : start + width]) for start in range(0, len(loud), width))


def _frame(pcm: bytes, channels: int, first_sample: int) -> Any:
    import av

    frame = av.AudioFrame("s16", LAYOUTS[channels], len(pcm) // (channels * BYTES_PER_SAMPLE))
    plane = frame.planes[0]
    plane.update(pcm + bytes(plane.buffer_size - len(pcm)))  # a plane may be longer than its samples
    frame.sample_rate = SAMPLE_RATE
    frame.pts = first_sample
    return frame


def _mixer(channels: int) -> Callable[[Any], Iterator[Any]]:
    """A function that takes a frame, or None for the end, and gives frames of one channel: the mean of all."""
    if channels == 1:
        return lambda frame: iter(() if frame is None else (frame,))
    from av.filter import Graph

    graph = Graph()
    graph.threads = 1
    source = graph.add(
        "abuffer",
        sample_rate=str(SAMPLE_RATE),
        sample_fmt="s16",
        channel_layout=LAYOUTS[channels],
        time_base=f"1/{SAMPLE_RATE}",
    )
    terms = "+".join(f"{1 / channels}*c{number}" for number in range(channels))
    mono = graph.add("pan", f"mono|c0={terms}")
    shape = graph.add("aformat", sample_fmts="s16", channel_layouts="mono")
    graph.link_nodes(source, mono, shape, graph.add("abuffersink")).configure()

    def mix(frame: Any) -> Iterator[Any]:
        graph.push(frame)
        while True:
            try:
                yield graph.pull()
            except (BlockingIOError, EOFError):
                return

    return mix
