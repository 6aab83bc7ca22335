"""pyannote's speaker diarization with one pass of the trunk, bounded memory, and a clustering of short windows.

Load it through `tasks.diarization.loading`, which prepares the import of pyannote. Written against pyannote.audio 4.0.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pyannote.audio.pipelines import SpeakerDiarization
from pyannote.audio.pipelines.speaker_diarization import DiarizeOutput
from pyannote.core import Annotation, SlidingWindow, SlidingWindowFeature

from shared.transcript import SAMPLE_RATE
from tasks.diarization.clustering import MAX_CLUSTERED, SpeakerBounds, assign, at_once, find_voices
from tasks.diarization.embeddings import Embeddings, embed, shortest_solo
from tasks.diarization.steps import SEGMENTATION
from tasks.diarization.stock_clustering import BOUNDED, BoundedVBx
from tasks.diarization.trunk import FRAME_STEP
from tasks.diarization.votes import add_windows, chunk_votes, loudest
from tasks.diarization.windows import LONG_STEP

Clustering = Literal["windows", "pyannote"]
Hook = Callable[..., None]
Floats = npt.NDArray[np.float32]

SOLO = (0.6, 1.3)
"""People who speak in a window on average, between which it is taken for one voice."""

MIN_ACTIVE = 0.2
"""Share of a chunk in which somebody must speak alone for it to tell what they sound like, as in pyannote."""


class Diarizer(SpeakerDiarization):  # type: ignore[misc]
    """pyannote's pipeline; how embeddings are computed, clustered and made into turns differs.

    stock : a loaded pipeline whose models, settings and hyper-parameters are taken over
    clustering : "windows" is ours (`tasks.diarization.clustering`); "pyannote" is that of `stock`, bounded, with turns
        as pyannote makes them
    max_clustered : embeddings clustered at once; the rest go to the nearest voice
    """

    def __init__(self, stock: SpeakerDiarization, clustering: Clustering, max_clustered: int = MAX_CLUSTERED) -> None:
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
        self.takes_windows = clustering == "windows"
        self.max_clustered = max_clustered
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

    def apply(
        self,
        file: Any,
        num_speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        hook: Hook | None = None,
        **_: Any,
    ) -> DiarizeOutput:
        """The turns of a recording. Raises ValueError when the bounds on the speakers contradict each other."""
        hook = self.setup_hook(file, hook=hook)
        _, least, most = self.set_num_speakers(num_speakers, min_speakers, max_speakers)
        bounds = SpeakerBounds(least, None if np.isinf(most) else int(most))
        segmentations = self.get_segmentations(file, hook=hook)
        frames = self._segmentation.model.receptive_field
        count = self.speaker_count(segmentations, frames, warm_up=(0.0, 0.0))
        if np.nanmax(count.data) == 0:
            return DiarizeOutput(Annotation(uri=file["uri"]), Annotation(uri=file["uri"]))
        embeddings = self.embeddings(file, segmentations, hook)
        votes = self._votes(segmentations, embeddings, bounds, count)
        hook("discrete_diarization", None)
        return DiarizeOutput(
            self._turns(loudest(votes, count.data), count.sliding_window, file["uri"]),
            self._turns(loudest(votes, np.minimum(count.data, 1)), count.sliding_window, file["uri"]),
        )

    def get_segmentations(self, file: Any, hook: Hook | None = None) -> SlidingWindowFeature:
        """(chunks, frames, local speakers); kept in `file`, so that another go after a failure begins behind it."""
        if SEGMENTATION not in file:
            file[SEGMENTATION] = super().get_segmentations(file, hook=hook)
        return file[SEGMENTATION]

    def embeddings(self, file: Any, segmentations: SlidingWindowFeature, hook: Hook) -> Embeddings:
        """Of the chunks and windows of a recording, by one pass of the trunk."""
        waveform, _ = self._audio(file)
        shortest = -1
        if self.embedding_exclude_overlap:
            shortest = shortest_solo(segmentations, self._embedding.min_num_samples)
        total = len(segmentations.data)

        def watch(completed: int) -> None:
            hook("embeddings", None, total=total, completed=completed)

        return embed(self._embedding.model_, waveform, segmentations, shortest, watch)

    def _votes(
        self,
        segmentations: SlidingWindowFeature,
        embeddings: Embeddings,
        bounds: SpeakerBounds,
        count: SlidingWindowFeature,
    ) -> Floats:
        """(frames, speakers): how much speaks for each."""
        speaking = segmentations.data.any(axis=1)
        if not self.takes_windows:
            least, most = bounds.least, np.inf if bounds.most is None else bounds.most
            clusters, _, _ = self.clustering(
                embeddings=embeddings.chunks,
                segmentations=segmentations,
                num_clusters=least if least == most else None,
                min_clusters=least,
                max_clusters=most,
            )
            clusters[~speaking] = -2
            return chunk_votes(segmentations, clusters, max(1, int(clusters.max()) + 1), count)
        long = embeddings.long.embeddings
        is_solo = long.any(axis=1) & (embeddings.speakers >= SOLO[0]) & (embeddings.speakers <= SOLO[1])
        voices = find_voices(
            long[is_solo].astype(np.float32),
            LONG_STEP * FRAME_STEP / SAMPLE_RATE,
            embeddings.chunks[_solo_shares(segmentations) >= MIN_ACTIVE],
            bounds.raised(at_once(count.data, count.sliding_window.step)),
            self.max_clustered,
        )
        votes = chunk_votes(segmentations, assign(embeddings.chunks, voices, speaking), len(voices), count)
        add_windows(votes, embeddings.short, voices, count.sliding_window)
        return votes

    def _turns(self, discrete: Floats, frames: SlidingWindow, uri: str) -> Annotation:
        turns = self.to_annotation(
            SlidingWindowFeature(discrete, frames), min_duration_off=self.segmentation.min_duration_off
        )
        turns.uri = uri
        return turns.rename_labels({label: f"SPEAKER_{label:02d}" for label in turns.labels()})


def _solo_shares(segmentations: SlidingWindowFeature) -> Floats:
    """(chunks, local speakers): the share of a chunk in which each speaks alone."""
    shares = np.empty(segmentations.data.shape[::2], dtype=np.float32)
    for share, chunk in zip(shares, segmentations.data, strict=True):
        share[:] = (chunk * (chunk.sum(axis=1, keepdims=True) == 1)).mean(axis=0)
    return shares
