"""Embeddings of short windows of a recording, from the trunk's frames while they pass by.

A chunk of 10 s hardly feels a turn of 2 s; a window of that length, every quarter of a second, does. The frames are
there anyway, so that a window costs its pooling alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from shared.transcript import SAMPLE_RATE
from tasks.diarization.trunk import FEATURE_WINDOW, FRAME_STEP, TrunkFrames

Floats = npt.NDArray[np.float32]

STEP = 3
"""Trunk frames between two short windows, 0.24 s."""

SHORT = 15
"""Trunk frames under a short window, 1.2 s. It says who speaks in its middle."""

LONG_STEP = 9
"""Trunk frames between two long windows, 0.72 s."""

LONG = 25
"""Trunk frames under a long window, 2.0 s. Long windows say which voices there are."""

LEAST = 4.0
"""Trunk frames of one person alone, 0.32 s, below which a window has no embedding."""

_FRAME_CENTRE = FEATURE_WINDOW // 2
"""Samples from the start of a trunk frame's first feature to the middle of that."""


class Windows:
    """Embeddings of equally long windows round every `step`-th trunk frame, from the first on.

    What comes out, in `embeddings`, is (windows, dimension) of length 1, or zeros where too little is said by one
    person alone. It is float16: two bytes a number keep 8 h of short windows in 61 MB, and a cosine to 0.001.

    model : as `TrunkFrames`
    weights : (windows, frames of one) what each frame of a window counts in its embedding, 0..1
    step : trunk frames between two windows
    """

    def __init__(self, model: Any, weights: Floats, step: int) -> None:
        self._model = model
        self._weights = weights
        self._half = weights.shape[1] // 2
        self._step = step
        self.embeddings: npt.NDArray[np.float16] = np.zeros((len(weights), model.resnet.embed_dim), np.float16)
        self._count = 0

    def at(self, seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
        """Indices of the windows whose middles are nearest to these times."""
        frames = (seconds * SAMPLE_RATE - _FRAME_CENTRE) / FRAME_STEP
        return np.clip(np.rint(frames / self._step), 0, len(self.embeddings) - 1).astype(np.intp)

    def take(self, frames: TrunkFrames, start: int, stop: int, following: int | None) -> None:
        """Embed the windows that end by `stop`, once some of them begin before `following`.

        `following` is the trunk frame behind which everything is forgotten next; None when nothing comes any more.
        """
        if following is not None and self._count * self._step - self._half >= following:
            return
        count = len(self.embeddings)
        if following is not None:
            count = min(count, max(0, stop - self._half - 1) // self._step + 1)
        first, self._count = self._count, max(self._count, count)
        weights = self._weights[first : self._count]
        mask = weights.sum(axis=1) >= LEAST
        if not mask.any():
            return
        low = first * self._step - self._half
        width = (self._count - first - 1) * self._step + weights.shape[1]
        spread = np.zeros((len(weights), width), dtype=np.float32)
        columns = np.arange(len(weights))[:, None] * self._step + np.arange(weights.shape[1])
        np.put_along_axis(spread, columns, weights, axis=1)
        # Beyond the recording's ends there is no weight.
        inside = slice(max(0, start - low), min(width, stop - low))
        passing = frames.window(start, stop)[..., max(0, low - start) : low - start + inside.stop]
        embeddings = self._embed(passing, torch.from_numpy(spread[mask, inside]).to(passing.device))
        self.embeddings[first : self._count][mask] = embeddings.cpu().numpy()

    def _embed(self, frames: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """(windows, dimension) float16 of length 1, for (1, channels, bands, frames) and (windows, frames).

        Weighted mean and deviation as pyannote's pooling has them, but by products of matrices: all windows at once,
        a third of the time.
        """
        features = frames.flatten(end_dim=-2)
        total = weights.sum(dim=1, keepdim=True)
        mean = weights @ features.T / total
        variance = (weights @ features.square().T / total - mean.square()).clamp(min=0)
        freedom = total - weights.square().sum(dim=1, keepdim=True) / total
        deviation = (variance * total / (freedom + 1e-8)).sqrt()
        embedded = self._model.resnet.seg_1(torch.cat([mean, deviation], dim=1))
        unit: torch.Tensor = torch.nn.functional.normalize(embedded, dim=1).half()
        return unit
