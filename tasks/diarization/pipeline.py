"""pyannote's speaker diarization with its two costs bounded: embedding time, and memory on long recordings.

Load it through `tasks.diarization.loading`, which prepares the import of pyannote. Written against pyannote.audio 4.0.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pyannote.audio.pipelines import SpeakerDiarization
from pyannote.audio.pipelines.clustering import AgglomerativeClustering, VBxClustering
from pyannote.core import SlidingWindowFeature
from scipy.optimize import linear_sum_assignment

from tasks.diarization.steps import SEGMENTATION
from tasks.diarization.trunk import TrunkFrames, frame_at

Mode = Literal["fast", "exact"]
Hook = Callable[..., None]
Floats = npt.NDArray[np.float32]

MAX_CLUSTERED = 4096
"""Embeddings clustered at once. Linkage holds all their distances twice, 8 n^2 bytes: 134 MB. That is about 50 minutes
of conversation (a chunk a second, 1.4 speakers in it); chunks overlap by 90 %, so a thinned set has every voice."""


def spread(count: int, limit: int) -> npt.NDArray[np.intp]:
    """At most `limit` indices below `count`, evenly spread from the first to the last."""
    if count <= limit:
        return np.arange(count)
    return np.linspace(0, count - 1, limit).round().astype(np.intp)


class BoundedClustering:
    """Mixed into a pyannote clustering: what is clustered is an evenly spread part of the embeddings.

    pyannote assigns every embedding to the nearest centroid afterwards, so the rest are assigned as well.
    """

    max_clustered = MAX_CLUSTERED

    def filter_embeddings(self, *args: Any, **kwargs: Any) -> tuple[Floats, npt.NDArray[Any], npt.NDArray[Any]]:
        """Embeddings fit for clustering, (n, dimension), with their chunks and local speakers, (n,) each."""
        embeddings, chunks, speakers = super().filter_embeddings(*args, **kwargs)  # type: ignore[misc]
        indices = spread(len(embeddings), self.max_clustered)
        return embeddings[indices], chunks[indices], speakers[indices]


class BoundedAgglomerative(BoundedClustering, AgglomerativeClustering):  # type: ignore[misc]
    """Agglomerative clustering of at most `max_clustered` embeddings.

    Voices that were told apart within a chunk stay apart, as in pyannote's VBx. The base class gives each its nearest
    centroid, and near a tie small differences in an embedding then make one person of two: on a telephone call begun
    at nine places, the error rates of fast and exact embeddings were up to 1.5 points apart; so constrained, none.
    """

    def __call__(self, embeddings: Floats, segmentations: SlidingWindowFeature, **kwargs: Any) -> Any:
        """(chunks, local speakers) clusters, their scores with a third axis for clusters, and the centroids."""
        clusters, scores, centroids = super().__call__(embeddings, segmentations=segmentations, **kwargs)
        speaking = segmentations.data.any(axis=1)
        for chunk in np.flatnonzero(speaking.sum(axis=1) > 1):
            local = np.flatnonzero(speaking[chunk])
            rows, columns = linear_sum_assignment(scores[chunk, local], maximize=True)
            clusters[chunk, local[rows]] = columns
        return clusters, scores, centroids


class BoundedVBx(BoundedClustering, VBxClustering):  # type: ignore[misc]
    """VBx of at most `max_clustered` embeddings, which never asks for more speakers than there are embeddings."""

    def __call__(self, embeddings: Floats, segmentations: Any = None, **counts: Any) -> Any:
        """As the base class, whose k-means fails when `num_clusters` exceeds the embeddings it has."""
        count = len(self.filter_embeddings(embeddings, segmentations=segmentations)[0])
        for name in ("num_clusters", "min_clusters"):
            if counts.get(name) is not None:
                counts[name] = max(1, min(counts[name], count))
        return super().__call__(embeddings=embeddings, segmentations=segmentations, **counts)


BOUNDED = {"AgglomerativeClustering": BoundedAgglomerative, "VBxClustering": BoundedVBx}


class Diarizer(SpeakerDiarization):  # type: ignore[misc]
    """pyannote's pipeline; only how embeddings are computed, how many are clustered and how turns are rebuilt differ.

    stock : a loaded pipeline whose models, settings and hyper-parameters are taken over
    mode : "exact" gives the embeddings of the stock pipeline, the trunk run once per chunk instead of once per chunk
        and speaker; "fast" runs it once over the recording (see `TrunkFrames`)
    max_clustered : embeddings clustered at once; the rest go to the nearest centroid
    """

    def __init__(self, stock: SpeakerDiarization, mode: Mode, max_clustered: int = MAX_CLUSTERED) -> None:
        super().__init__(
            segmentation=stock._segmentation.model,
            segmentation_step=stock.segmentation_step,
            embedding=stock._embedding.model_,
            embedding_exclude_overlap=stock.embedding_exclude_overlap,
            plda=stock._plda,
            clustering=stock.klustering,
            embedding_batch_size=stock.embedding_batch_size,
            segmentation_batch_size=stock.segmentation_batch_size,
        )
        self.mode = mode
        if bounded := BOUNDED.get(self.klustering):
            source = (self._plda,) if bounded is BoundedVBx else ()
            self.clustering = bounded(*source, metric=self._embedding.metric)
            self.clustering.max_clustered = max_clustered
        self.instantiate(stock.parameters(instantiated=True))

    def warm_up(self) -> None:
        """Find the shortest audio that gives an embedding now and not within the first recording."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pooling warns of the lengths that turn out to be too short
            _ = self._embedding.min_num_samples

    def to_cpu(self) -> bool:
        """Leave the card for good; False when the pipeline is on none."""
        if self._embedding.model_.device.type == "cpu":
            return False
        self.to(torch.device("cpu"))
        torch.cuda.empty_cache()
        return True

    def get_segmentations(self, file: Any, hook: Hook | None = None) -> SlidingWindowFeature:
        """(chunks, frames, local speakers); kept in `file`, so that another go after a failure begins behind it."""
        if SEGMENTATION not in file:
            file[SEGMENTATION] = super().get_segmentations(file, hook=hook)
        return file[SEGMENTATION]

    def get_embeddings(
        self,
        file: Any,
        binary_segmentations: SlidingWindowFeature,
        exclude_overlap: bool = False,
        hook: Hook | None = None,
    ) -> Floats:
        """(chunks, local speakers, dimension) embeddings; a speaker silent in a chunk has that of no frames at all."""
        embed = self._exact_embeddings if self.mode == "exact" else self._fast_embeddings
        model = self._embedding.model_
        chunks, _, speakers = binary_segmentations.data.shape
        with torch.inference_mode():
            silent = model.resnet.seg_1(torch.zeros(model.resnet.pool_out_dim, device=model.device))
            embeddings = silent.repeat(chunks, speakers, 1)
            embed(file, binary_segmentations, exclude_overlap, embeddings, hook or _no_hook)
        result: Floats = embeddings.cpu().numpy()
        return result

    def _exact_embeddings(
        self, file: Any, segmentations: SlidingWindowFeature, exclude_overlap: bool, out: torch.Tensor, hook: Hook
    ) -> None:
        """Fill `out` with the trunk run on every chunk in which someone speaks."""
        model = self._embedding.model_
        window = segmentations.sliding_window
        for index, masks in enumerate(self._masks(segmentations, exclude_overlap)):
            speaking = masks.any(axis=1)
            if speaking.any():
                waveform, _ = self._audio.crop(file, window[index], mode="pad")
                frames = model.forward_frames(waveform[None].to(model.device))
                weights = torch.from_numpy(masks[speaking]).to(model.device)
                out[index, torch.from_numpy(speaking)] = model.forward_embedding(frames, weights=weights[None])[0]
            hook("embeddings", None, total=len(out), completed=index + 1)

    def _fast_embeddings(
        self, file: Any, segmentations: SlidingWindowFeature, exclude_overlap: bool, out: torch.Tensor, hook: Hook
    ) -> None:
        """Fill `out` with slices of one trunk run over the recording."""
        model = self._embedding.model_
        window = segmentations.sliding_window
        waveform, sample_rate = self._audio(file)
        width = model.num_frames(round(window.duration * sample_rate))
        num_frames = model.num_frames(waveform.shape[1])
        starts = [frame_at(window[index].start) for index in range(len(out))]

        # Nobody is heard in the padding of the last chunk, so whoever speaks has frames of the recording to speak in.
        active = np.zeros(starts[-1] + width, dtype=np.bool_)
        for start, masks in zip(starts, self._masks(segmentations, exclude_overlap), strict=True):
            active[start : start + width] |= _stretch(masks, width).any(axis=0)
        active[num_frames:] = False

        frames = TrunkFrames(model, waveform, active)
        for index, masks in enumerate(self._masks(segmentations, exclude_overlap)):
            start = starts[index]
            weights = _stretch(masks, width) * active[start : start + width]
            speaking = weights.any(axis=1)
            if speaking.any():
                pooled = torch.from_numpy(weights[speaking]).to(model.device)
                out[index, torch.from_numpy(speaking)] = model.forward_embedding(
                    frames.window(start, start + width), weights=pooled[None]
                )[0]
            hook("embeddings", None, total=len(out), completed=index + 1)

    def _masks(self, segmentations: SlidingWindowFeature, exclude_overlap: bool) -> Iterator[Floats]:
        """Per chunk, (local speakers, segmentation frames): 1 where a speaker's voice may be taken from.

        With `exclude_overlap`, only where nobody else speaks, unless that leaves too little for an embedding.
        """
        num_frames = segmentations.data.shape[1]
        shortest = -1
        if exclude_overlap:
            num_samples = segmentations.sliding_window.duration * self._embedding.sample_rate
            shortest = math.ceil(num_frames * self._embedding.min_num_samples / num_samples)
        for chunk in segmentations.data:
            masks = np.nan_to_num(chunk, nan=0.0).astype(np.float32).T
            alone = masks * (masks.sum(axis=0) < 2) if exclude_overlap else masks
            yield np.where(alone.sum(axis=1, keepdims=True) > shortest, alone, masks)

    def reconstruct(
        self, segmentations: SlidingWindowFeature, hard_clusters: npt.NDArray[Any], count: SlidingWindowFeature
    ) -> SlidingWindowFeature:
        """(frames, speakers) zeros and ones: in each frame the `count` speakers whom most chunks hear.

        The base class first builds a (chunks, chunk frames, speakers) array, gigabytes for a long recording with
        many speakers, and walks over it frame by frame; here each chunk is added to the frames as it comes. Nor is
        a frame given more speakers than were found.
        """
        num_speakers = max(1, int(hard_clusters.max()) + 1)
        frames = count.sliding_window
        activations = np.zeros((len(count.data), num_speakers), dtype=np.float32)
        for (chunk, activity), clusters in zip(segmentations, hard_clusters, strict=True):
            start = frames.closest_frame(chunk.start + 0.5 * frames.duration)
            rows = activations[start : start + len(activity)]
            for cluster in np.unique(clusters[clusters >= 0]):
                rows[:, cluster] += np.nan_to_num(activity[:, clusters == cluster].max(axis=1))[: len(rows)]
        loudest_first = np.argsort(-activations, axis=1, kind="stable")
        chosen = (np.arange(num_speakers) < count.data).astype(np.float32)
        discrete = np.zeros_like(activations)
        np.put_along_axis(discrete, loudest_first, chosen, axis=1)
        return SlidingWindowFeature(discrete, frames)


def _stretch(masks: Floats, width: int) -> Floats:
    """(speakers, frames) masks at `width` frames, each the nearest one before, as pyannote's pooling does it."""
    num_frames = masks.shape[1]
    return masks[:, np.arange(width) * num_frames // width]


def _no_hook(*_: Any, **__: Any) -> None:
    """Nobody watches."""
