"""pyannote's own clusterings of the embeddings of chunks, bounded in memory and with their edges taken off."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pyannote.audio.pipelines.clustering import AgglomerativeClustering, VBxClustering
from pyannote.core import SlidingWindowFeature

from tasks.diarization.clustering import MAX_CLUSTERED, keep_apart, spread

Floats = npt.NDArray[np.float32]


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
    at nine places, the error rates of our embeddings and stock pyannote's were up to 1.5 points apart; so constrained,
    none.
    """

    def __call__(self, embeddings: Floats, segmentations: SlidingWindowFeature, **kwargs: Any) -> Any:
        """(chunks, local speakers) clusters, their scores with a third axis for clusters, and the centroids."""
        clusters, scores, centroids = super().__call__(embeddings, segmentations=segmentations, **kwargs)
        keep_apart(clusters, scores, segmentations.data.any(axis=1))
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


BOUNDED: dict[str, Any] = {"AgglomerativeClustering": BoundedAgglomerative, "VBxClustering": BoundedVBx}
