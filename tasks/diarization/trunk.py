"""Frames of a speaker embedding network, computed once for a whole recording.

A WeSpeaker ResNet turns filterbank features into frames (the trunk, nearly all of the cost, the same for every
speaker) and then pools the frames of one speaker into an embedding (nearly free). pyannote.audio runs both for every
10 s chunk and speaker; with chunks one second apart each second of audio passes the trunk some thirty times. Here it
passes once, and each chunk takes its slice.

Two things differ from a trunk run on the chunk alone: a frame near the edge of a chunk sees the audio beyond that
edge instead of zero padding, and features are centred on the 10 s round each frame instead of on the chunk.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from shared.transcript import SAMPLE_RATE

FEATURE_STEP = 160
"""Samples between two feature frames (10 ms), as WeSpeaker was trained."""

FEATURE_WINDOW = 400
"""Samples under one feature frame (25 ms)."""

STRIDE = 8
"""Feature frames per trunk frame: three of the network's four layers halve the time axis."""

FRAME_STEP = FEATURE_STEP * STRIDE
"""Samples between two trunk frames (80 ms)."""

CENTERING_WINDOW = 998
"""Feature frames over which features are centred: those of one 10 s chunk, (160000 - 400) // 160 + 1."""

BLOCK = 250
"""Trunk frames per run of the trunk, 20 s. At its widest, 32 channels x 80 bands x 10 ms, that is 20 MB a layer."""


class TrunkFrames:
    """Trunk frames of one recording, computed block by block while a window moves over it from start to end.

    Only the frames of the window and of one block are held (2560 floats per 80 ms), however long the recording.

    model : pyannote WeSpeakerResNet in eval mode, on the device to use
    waveform : (1, samples) tensor at 16 kHz, on any device
    active : (frames,) bool, the frames that anyone will look at; the others are zeros and cost nothing
    block : trunk frames per run of the trunk; no result depends on it
    """

    def __init__(self, model: Any, waveform: torch.Tensor, active: npt.NDArray[np.bool_], block: int = BLOCK) -> None:
        self._model = model
        self._waveform = waveform
        self._active = active
        self._size = block
        self._num_features = max(0, 1 + (waveform.shape[1] - FEATURE_WINDOW) // FEATURE_STEP)
        self._context = STRIDE * math.ceil(reach(model.resnet) / STRIDE)  # whole frames: blocks stay in step
        self._offset = 0  # trunk frame at which self._frames starts
        self._frames: torch.Tensor | None = None

    def window(self, start: int, stop: int) -> torch.Tensor:
        """(1, channels, bands, stop - start) tensor; `start` must not go back. Zeros beyond the recording's end."""
        if self._frames is None:
            self._offset, self._frames = start, self._block(start, start + self._size)
        elif start > self._offset:
            self._frames = self._frames[..., start - self._offset :]
            self._offset = start
        while (end := self._offset + self._frames.shape[-1]) < stop:
            self._frames = torch.cat([self._frames, self._block(end, end + self._size)], dim=-1)
        return self._frames[..., : stop - self._offset]

    def _block(self, start: int, stop: int) -> torch.Tensor:
        """Trunk frames [start, stop), run only over the span that is active."""
        resnet, device = self._model.resnet, self._model.device
        bands = resnet.feat_dim // STRIDE
        block = torch.zeros(1, resnet.stats_dim // bands, bands, stop - start, device=device)
        active_frames = np.flatnonzero(self._active[start:stop])
        if len(active_frames) == 0:
            return block
        first, last = start + int(active_frames[0]), start + int(active_frames[-1]) + 1
        low = max(0, first * STRIDE - self._context)
        high = min(self._num_features, last * STRIDE + self._context)
        frames = resnet.forward_frames(self._centered_features(low, high)[None])
        skipped = first - low // STRIDE
        frames = frames[..., skipped : skipped + last - first]
        block[..., first - start : first - start + frames.shape[-1]] = frames
        return block

    def _centered_features(self, start: int, stop: int) -> torch.Tensor:
        """(stop - start, bands) features less their mean over 10 s, a window shifted inwards at either end."""
        width = min(CENTERING_WINDOW, self._num_features)
        first = np.clip(np.arange(start, stop) - width // 2, 0, self._num_features - width)
        low, high = min(start, int(first[0])), max(stop, int(first[-1]) + width)
        samples = self._waveform[:, low * FEATURE_STEP : (high - 1) * FEATURE_STEP + FEATURE_WINDOW]
        # WeSpeaker's features are those of 16-bit samples.
        features = self._model._fbank(samples.to(self._model.device) * 2**15)
        # float64: the difference of two sums over thousands of frames keeps only its last digits
        sums = torch.nn.functional.pad(features.double().cumsum(dim=0), (0, 0, 1, 0))
        window = torch.as_tensor(first - low, device=sums.device)
        means = (sums[window + width] - sums[window]) / width
        centered: torch.Tensor = features[start - low : stop - low] - means.float()
        return centered


def reach(resnet: torch.nn.Module) -> int:
    """Feature frames to either side of a trunk frame that it depends on: 112 (1.1 s) for ResNet34.

    With so much context a block's frames equal those of one run over the whole recording. Counted here because
    pyannote's `receptive_field_size` takes padding for input and answers 1.
    """
    frames, step = 0, 1
    for name, layer in resnet.named_modules():
        if isinstance(layer, torch.nn.Conv2d) and "shortcut" not in name:
            frames += layer.kernel_size[1] // 2 * step
            step *= layer.stride[1]
    return frames


def frame_at(seconds: float) -> int:
    """The trunk frame nearest to a time."""
    return round(seconds * SAMPLE_RATE / FRAME_STEP)
