"""Who speaks in each frame: the votes of the chunks, and what the short window round it sounds like."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pyannote.core import SlidingWindow, SlidingWindowFeature

from tasks.diarization.windows import Windows

Floats = npt.NDArray[np.float32]

TEMPERATURE = 0.1
"""A cosine nearer by this much is e times as likely."""

WEIGHT = 2.0
"""What the opinion of a window counts beside that of all chunks: it decides unless it wavers."""

BLOCK = 100_000
"""Frames looked at at once, half an hour."""


def chunk_votes(
    segmentations: SlidingWindowFeature, clusters: npt.NDArray[Any], voices: int, count: SlidingWindowFeature
) -> Floats:
    """(frames, voices): the share of the chunks with a frame in which a voice is heard there.

    pyannote first builds a (chunks, chunk frames, voices) array, gigabytes for a long recording with many speakers;
    here each chunk is added to the frames as it comes.
    """
    frames = count.sliding_window
    votes = np.zeros((len(count.data), voices), dtype=np.float32)
    chunks = np.zeros((len(count.data), 1), dtype=np.float32)
    for (chunk, activity), labels in zip(segmentations, clusters, strict=True):
        start = frames.closest_frame(chunk.start + 0.5 * frames.duration)
        rows = votes[start : start + len(activity)]
        chunks[start : start + len(activity)] += 1
        for voice in np.unique(labels[labels >= 0]):
            rows[:, voice] += np.nan_to_num(activity[:, labels == voice].max(axis=1))[: len(rows)]
    votes /= np.maximum(chunks, 1)
    return votes


def add_windows(votes: Floats, windows: Windows, voices: Floats, frames: SlidingWindow) -> None:
    """Add to (frames, voices) votes what the window round each frame says; one without an embedding says nothing."""
    for low in range(0, len(votes), BLOCK):
        rows = votes[low : low + BLOCK]
        middles = frames.start + frames.step * np.arange(low, low + len(rows)) + frames.duration / 2
        nearest = windows.at(middles)
        likeness = windows.embeddings[nearest[0] : nearest[-1] + 1].astype(np.float32) @ voices.T
        shares = np.exp((likeness - likeness.max(axis=1, keepdims=True)) / TEMPERATURE)
        shares *= WEIGHT / shares.sum(axis=1, keepdims=True)
        rows += shares[nearest - nearest[0]]


def loudest(votes: Floats, count: npt.NDArray[Any]) -> Floats:
    """(frames, voices) zeros and ones: in each frame the `count`, (frames, 1), voices with most votes, or all."""
    order = np.argsort(-votes, axis=1, kind="stable")
    mask = (np.arange(votes.shape[1]) < count).astype(np.float32)
    discrete = np.zeros_like(votes)
    np.put_along_axis(discrete, order, mask, axis=1)
    return discrete
