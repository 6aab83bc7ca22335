"""Voices for tests without a model: something with the pitch, the formants and the syllables of speech, and pauses."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 48_000
Samples = np.ndarray[Any, np.dtype[np.float64]]


def voice(seconds: float, *, pitch: float = 120, seed: int = 0, rate: int = RATE) -> Samples:
    """Somebody who talks at a tenth of full scale, with a pause of 0.3 s every 2 s."""
    time = np.arange(round(seconds * rate)) / rate
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, 30)
    glide = pitch * (time + 0.05 * np.sin(2 * np.pi * 0.7 * time + seed))
    tones = (np.sin(2 * np.pi * n * glide + phases[n - 1]) / n**0.7 for n in range(1, 30))
    syllables = np.clip(0.2 + np.sin(2 * np.pi * 4 * time + seed), 0, None) * ((time + seed * 0.37) % 2 < 1.7)
    sound: Samples = sum(tones, np.zeros(time.size)) * syllables
    sound *= 0.1 / np.sqrt(np.mean(sound**2))
    return sound


def write_channels(
    path: Path,
    channels: list[Samples],
    layout: str,
    *,
    codec: str = "pcm_s16le",
    muxer: str = "wav",
    options: dict[str, str] | None = None,
) -> Path:
    """A file of these channels at 48 kHz; with `layout` "" they are as many microphones without names."""
    samples = (np.clip(np.stack(channels, axis=1), -1, 1) * 32_767).astype(np.int16)
    if not layout:
        with wave.open(str(path), "wb") as file:
            file.setparams((len(channels), 2, RATE, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
        return path
    with av.open(str(path), "w", format=muxer, options=options or {}) as container:
        stream = container.add_stream(codec, rate=RATE, layout=layout)
        stream.codec_context.options = {"strict": "experimental"}
        resampler = av.AudioResampler(
            stream.format.name, layout, RATE, frame_size=stream.codec_context.frame_size or 4096
        )
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.reshape(1, -1)), format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def likeness(mono: np.ndarray[Any, Any], sound: Samples, start: float = 0, end: float | None = None) -> float:
    """How much of `sound` (48 kHz) is in `heard` (16 kHz) from `start` to `end`: the correlation, 0..1, at 0 delay."""
    plain = sound.reshape(-1)[: sound.size - sound.size % 3].reshape(-1, 3).mean(axis=1)
    stretch = slice(round(start * 16_000), round(end * 16_000) if end else min(plain.size, mono.size))
    a, b = mono[stretch].astype(float), plain[stretch]
    return float(abs(a @ b) / max(np.sqrt((a @ a) * (b @ b)), 1e-9))
