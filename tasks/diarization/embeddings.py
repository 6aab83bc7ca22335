"""Everything that is embedded of a recording, in one pass of the trunk: its chunks, and short windows of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.stride_tricks import sliding_window_view
from pyannote.core import SlidingWindowFeature

from shared.transcript import SAMPLE_RATE
from tasks.diarization import windows
from tasks.diarization.trunk import TrunkFrames, frame_at
from tasks.diarization.windows import Windows

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What is heard of the voices of a recording.

    chunks : (chunks, local speakers, dimension); a speaker silent in a chunk has the embedding of no frames at all
    long, short : windows of 2.0 and of 1.2 s
    speakers : (long windows,) how many people speak in each on average
    """

    chunks: Floats
    long: Windows
    short: Windows
    speakers: Floats


def embed(
    model: Any,
    waveform: torch.Tensor,
    segmentations: SlidingWindowFeature,
    shortest: int,
    watch: Callable[[int], None],
) -> Embeddings:
    """All embeddings of a recording. In memory are those and, at any time, the trunk's frames of one chunk.

    model : pyannote WeSpeakerResNet in eval mode, on the device to use
    waveform : (1, samples) tensor at 16 kHz
    segmentations : (chunks, segmentation frames, local speakers) zeros and ones
    shortest : segmentation frames alone that are too few for the embedding of a chunk, as `solo_masks`
    watch : called with the number of chunks that are done
    """
    sliding = segmentations.sliding_window
    width = model.num_frames(round(sliding.duration * SAMPLE_RATE))
    starts = [frame_at(sliding[index].start) for index in range(len(segmentations.data))]
    # Nobody is heard in the padding of the last chunk, so whoever speaks has frames of the recording to speak in.
    num_frames = model.num_frames(waveform.shape[1])
    active, speakers = _activity(segmentations, shortest, starts, width, num_frames)
    frames = TrunkFrames(model, waveform, active)
    long, short = (
        Windows(model, solo_weights(segmentations, starts, width, active[:num_frames], size, step), step)
        for size, step in ((windows.LONG, windows.LONG_STEP), (windows.SHORT, windows.STEP))
    )
    with torch.inference_mode():
        silent = model.resnet.seg_1(torch.zeros(model.resnet.pool_out_dim, device=model.device))
        chunks = silent.repeat(len(starts), segmentations.data.shape[2], 1)
        for index, masks in enumerate(solo_masks(segmentations, shortest)):
            start, following = starts[index], starts[index + 1] if index + 1 < len(starts) else None
            weights = _stretch(masks, width) * active[start : start + width]
            speaking = weights.any(axis=1)
            if speaking.any():
                pooled = torch.from_numpy(weights[speaking]).to(model.device)
                chunks[index, torch.from_numpy(speaking)] = model.forward_embedding(
                    frames.window(start, start + width), weights=pooled[None]
                )[0]
            for each in (long, short):
                each.take(frames, start, start + width, following)
            watch(index + 1)
    return Embeddings(chunks.cpu().numpy(), long, short, _means(speakers, windows.LONG, windows.LONG_STEP))


def solo_masks(segmentations: SlidingWindowFeature, shortest: int) -> Iterator[Floats]:
    """Per chunk, (speakers, segmentation frames): 1 where a speaker's voice may be taken from.

    That is where nobody else speaks, unless there are no more than `shortest` such frames; with -1, wherever they
    speak.
    """
    for chunk in segmentations.data:
        masks = np.nan_to_num(chunk, nan=0.0).astype(np.float32).T
        alone = masks * (masks.sum(axis=0) < 2) if shortest >= 0 else masks
        yield np.where(alone.sum(axis=1, keepdims=True) > shortest, alone, masks)


def shortest_solo(segmentations: SlidingWindowFeature, min_samples: int) -> int:
    """Segmentation frames in `min_samples` samples, the least that an embedding needs."""
    num_samples = float(segmentations.sliding_window.duration) * SAMPLE_RATE
    return math.ceil(int(segmentations.data.shape[1]) * min_samples / num_samples)


def _activity(
    segmentations: SlidingWindowFeature, shortest: int, starts: list[int], width: int, num_frames: int
) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Of each trunk frame, whether a chunk takes a voice from it, and how many people speak, on average over the
    chunks that hear it. The first goes on to the end of the last chunk, the second ends with the recording."""
    active = np.zeros(starts[-1] + width, dtype=np.bool_)
    hearing, speakers = (np.zeros(len(active), dtype=np.float32) for _ in range(2))
    every = zip(starts, solo_masks(segmentations, shortest), segmentations.data, strict=True)
    for start, masks, chunk in every:
        span = slice(start, start + width)
        active[span] |= _stretch(masks, width).any(axis=0)
        speakers[span] += _stretch(np.nan_to_num(chunk).sum(axis=1)[None], width)[0]
        hearing[span] += 1
    active[num_frames:] = False
    speakers /= np.maximum(hearing, 1)
    return active, speakers[:num_frames]


def solo_weights(
    segmentations: SlidingWindowFeature,
    starts: list[int],
    width: int,
    active: npt.NDArray[np.bool_],
    size: int,
    step: int,
) -> Floats:
    """(windows, size): 1 where, of all who speak in a window, whoever does most speaks alone.

    As told in the chunk that has the window nearest to its middle. So a window in which the speaker changes sounds
    like one of the two and not like a third. Frames outside of the recording have 0.
    """
    centres = np.arange(0, len(active), step)
    weights = np.empty((len(centres), size), dtype=np.float32)
    middles = np.asarray(starts) + width // 2
    bounds = np.searchsorted(centres, (middles[1:] + middles[:-1]) / 2)
    for chunk, own in enumerate(np.split(np.arange(len(centres)), bounds)):
        masks = np.nan_to_num(segmentations.data[chunk]).astype(np.float32).T
        alone = np.pad(_stretch(masks * (masks.sum(axis=0) == 1), width), ((0, 0), (size, size)))
        firsts = centres[own] - size // 2 - starts[chunk] + size
        windows = sliding_window_view(alone, size, axis=1)[:, firsts]
        weights[own] = windows[windows.sum(axis=2).argmax(axis=0), np.arange(len(own))]
    weights *= sliding_window_view(np.pad(active, size // 2), size)[centres]
    return weights


def _means(values: Floats, size: int, step: int) -> Floats:
    """(windows,) means of `values`, one for each trunk frame, over the part of each window that is there."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    centres = np.arange(0, len(values), step)
    low, high = np.maximum(0, centres - size // 2), np.minimum(len(values), centres + size // 2 + 1)
    means: Floats = ((sums[high] - sums[low]) / (high - low)).astype(np.float32)
    return means


def _stretch(masks: Floats, width: int) -> Floats:
    """(speakers, frames) masks at `width` frames, each the nearest one before, as pyannote's pooling does it."""
    num_frames = masks.shape[1]
    return masks[:, np.arange(width) * num_frames // width]
