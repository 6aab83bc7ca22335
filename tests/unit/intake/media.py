"""Media files for tests, built on the spot: a tone in any container, and the dominant tone of a WAV."""

from __future__ import annotations

import wave
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

VIDEO_RATE = 25
"""Frames per second of the small picture that goes with some of the tones."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A container with a codec that PyAV can write into it. `video` adds a picture track."""

    suffix: str
    muxer: str
    codec: str
    rate: int
    video: str | None = None
    layout: str = "mono"
    bit_rate: int | None = None


KINDS = (
    Kind("mp3", "mp3", "libmp3lame", 44_100),
    Kind("mp2", "mp2", "mp2", 44_100),
    Kind("m4a", "ipod", "aac", 44_100),
    Kind("alac.m4a", "ipod", "alac", 44_100),
    Kind("aac", "adts", "aac", 44_100),
    Kind("wav", "wav", "pcm_s16le", 44_100, layout="stereo"),
    Kind("float.wav", "wav", "pcm_f32le", 48_000),
    Kind("mulaw.wav", "wav", "pcm_mulaw", 8_000),
    Kind("w64", "w64", "pcm_s24le", 48_000),
    Kind("ogg", "ogg", "vorbis", 44_100, layout="stereo"),
    Kind("opus", "ogg", "libopus", 48_000),
    Kind("flac", "flac", "flac", 44_100),
    Kind("wma", "asf", "wmav2", 44_100, layout="stereo", bit_rate=128_000),
    Kind("webm", "webm", "libopus", 48_000),
    Kind("mp4", "mp4", "aac", 48_000, video="mpeg4"),
    Kind("mov", "mov", "pcm_s16le", 48_000, video="mpeg4"),
    Kind("avi", "avi", "libmp3lame", 44_100, video="mpeg4"),
    Kind("mkv", "matroska", "ac3", 48_000, video="mpeg4"),
    Kind("flv", "flv", "libmp3lame", 44_100, video="flv"),
    Kind("mpg", "mpeg", "mp2", 44_100, video="mpeg1video"),
    Kind("ts", "mpegts", "aac", 48_000, video="mpeg2video"),
    Kind("aiff", "aiff", "pcm_s16be", 44_100),
    Kind("amr", "amr", "libopencore_amrnb", 8_000),
    Kind("3gp", "3gp", "libopencore_amrnb", 8_000),
    Kind("caf", "caf", "pcm_s16be", 44_100),
    Kind("ac3", "ac3", "ac3", 48_000),
    Kind("au", "au", "pcm_s16be", 44_100),
    Kind("loas", "latm", "aac", 44_100),
    Kind("eac3", "eac3", "eac3", 48_000),
    Kind("wv", "wv", "wavpack", 44_100),
    Kind("tta", "tta", "tta", 44_100),
    Kind("voc", "voc", "pcm_s16le", 44_100),
    Kind("sf", "ircam", "pcm_s16le", 44_100),
    Kind("sox", "sox", "pcm_s32le", 44_100),
    Kind("nut", "nut", "mp2", 44_100, video="mpeg4"),
    Kind("mxf", "mxf", "pcm_s16le", 48_000, video="mpeg2video"),
    Kind("wtv", "wtv", "mp2", 48_000, video="mpeg2video"),
    Kind("rm", "rm", "real_144", 8_000),
    Kind("ac3.rm", "rm", "ac3", 48_000),
)
"""Every container that convert accepts and PyAV can write; tests/unit/files has others."""

KIND = {kind.suffix: kind for kind in KINDS}


def tone(frequency: float, seconds: float, rate: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    """A sine of `frequency` Hz at half of full scale: int16, shape (samples,)."""
    time = np.arange(round(seconds * rate)) / rate
    return (16_000 * np.sin(2 * np.pi * frequency * time)).astype(np.int16)


def write_tone(
    path: Path, kind: Kind, *, frequency: float = 440, seconds: float = 3, start: float = 0, title: str = ""
) -> Path:
    """Write a tone as `kind`; in a file with video its sound begins `start` seconds after the picture."""
    with av.open(str(path), "w", format=kind.muxer) as container:
        if title:
            container.metadata["title"] = title
        picture = container.add_stream(kind.video, rate=VIDEO_RATE, width=64, height=48) if kind.video else None
        if picture is not None:
            picture.pix_fmt = "yuv420p"
        sound = container.add_stream(kind.codec, rate=kind.rate, layout=kind.layout)
        if kind.bit_rate:
            sound.bit_rate = kind.bit_rate
        sound.codec_context.options = {"strict": "experimental"}
        pictures = round((start + seconds) * VIDEO_RATE) if picture is not None else 0
        samples = tone(frequency, seconds, kind.rate)
        for second in range(max(pictures // VIDEO_RATE, int(start + seconds)) + 1):
            for index in range(second * VIDEO_RATE, min((second + 1) * VIDEO_RATE, pictures)):
                assert picture is not None
                container.mux(picture.encode(_picture(index)))
            first = round((second - start) * kind.rate)
            block = samples[max(0, first) : max(0, first + kind.rate)]
            if block.size:
                container.mux(sound.encode(_frame(block, kind, max(0, first) + round(start * kind.rate))))
        for stream in (picture, sound):
            if stream is not None:
                container.mux(stream.encode(None))
    return path


def write_with_pause(path: Path, *, seconds: float, pause: float) -> Path:
    """A Matroska file of two tones of `seconds` whose timestamps lie `pause` seconds apart."""
    kind = Kind("mkv", "matroska", "pcm_s16le", 16_000)
    with av.open(str(path), "w", format=kind.muxer) as container:
        stream = container.add_stream(kind.codec, rate=kind.rate, layout=kind.layout)
        block = tone(440, seconds, kind.rate)
        for number in range(2):
            for packet in stream.encode(_frame(block, kind, 0)):
                packet.time_base = Fraction(1, kind.rate)
                packet.pts = packet.dts = round(number * (seconds + pause) * kind.rate)
                container.mux(packet)
    return path


def write_picture_only(path: Path, seconds: int = 2) -> Path:
    """An MP4 with a picture track and no sound."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=VIDEO_RATE, width=64, height=48)
        stream.pix_fmt = "yuv420p"
        for index in range(seconds * VIDEO_RATE):
            container.mux(stream.encode(_picture(index)))
        container.mux(stream.encode(None))
    return path


def write_long_silence(path: Path, kind: Kind, hours: float) -> Path:
    """Hours of silence in a moment: a few seconds are encoded and one of their packets is muxed again and again."""
    with av.open(str(path), "w", format=kind.muxer) as container:
        stream = container.add_stream(kind.codec, rate=kind.rate, layout=kind.layout)
        stream.codec_context.options = {"frame_size": "16384", "frame_duration": "60"}  # long packets: FLAC, Opus
        silence = np.zeros(20 * kind.rate, np.int16)
        encoded = stream.encode(_frame(silence, kind, 0))
        steady = bytes(encoded[len(encoded) // 2])
        length = encoded[1].pts - encoded[0].pts
        for number in range(round(hours * 3600 * kind.rate / length)):
            packet = av.Packet(steady)
            packet.stream, packet.time_base = stream, Fraction(1, kind.rate)
            packet.pts = packet.dts = number * length
            packet.duration = length
            container.mux(packet)
    return path


def read_wav(path: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    """The samples of a 16 kHz mono 16-bit WAV."""
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def dominant_frequency(samples: np.ndarray[Any, np.dtype[np.int16]], rate: int = 16_000) -> float:
    """Hz of the strongest sine."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(np.argmax(spectrum) * rate / samples.size)


def _frame(samples: np.ndarray[Any, np.dtype[np.int16]], kind: Kind, pts: int) -> Any:
    channels = 2 if kind.layout == "stereo" else 1
    frame = av.AudioFrame.from_ndarray(np.repeat(samples, channels)[np.newaxis], format="s16", layout=kind.layout)
    frame.sample_rate, frame.pts, frame.time_base = kind.rate, pts, Fraction(1, kind.rate)
    return frame


def _picture(index: int) -> Any:
    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), index * 7 % 256, np.uint8), format="rgb24")
    frame.pts, frame.time_base = index, Fraction(1, VIDEO_RATE)
    return frame


def decoders() -> list[psutil.Process]:
    """The decoders of this process, which are children of its fork servers."""
    return [decoder for server in fork_servers() for decoder in server.children()]


def fork_servers(program: str = "tasks/sandbox/decoder/") -> list[psutil.Process]:
    """The processes that fork the decoders of this process. Other tests' servers may be its children too, and end at
    this very moment."""
    children = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and any(program in part for part in child.cmdline()):
                children.append(child)
    return children
