"""Which voices a recording has: agglomerative clustering of short windows, in numpy and scipy alone.

docs/decisions/speakers.md has the reasons and the figures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

THRESHOLD = 0.65
"""Cosine distance up to which two clusters are one voice. Higher, similar voices become one; lower, one becomes two."""

LEAST_S = 3.0
"""Seconds of speech that make a voice in half a minute of speech. See `least_speech`."""

MAX_CLUSTERED = 4096
"""Embeddings clustered at once. Linkage holds all their distances twice, 8 n^2 bytes: 134 MB. That is 49 minutes of
speech in windows; of more an evenly spread part is clustered, which has every voice that talks for long enough."""


@dataclass(frozen=True, slots=True)
class SpeakerBounds:
    """How many speakers there are to be. `most` is None without a bound."""

    least: int = 1
    most: int | None = None

    def raised(self, count: int) -> SpeakerBounds:
        """At least `count` speakers as well, as far as there may be so many."""
        return SpeakerBounds(max(self.least, min(count, self.most or count)), self.most)

    def include(self, count: int) -> bool:
        return self.least <= count and (self.most is None or count <= self.most)


def spread(count: int, limit: int) -> Indices:
    """At most `limit` indices below `count`, evenly spread from the first to the last."""
    if count <= limit:
        return np.arange(count)
    return np.linspace(0, count - 1, limit).round().astype(np.intp)


def least_speech(seconds: float) -> float:
    """Seconds of speech below which a cluster is no voice of its own, in a recording with `seconds` of speech.

    Noise and odd sounds make clusters too, the more the longer it lasts, so that it grows with the square root:
    3 s in half a minute, 19 s in twenty minutes, 93 s in eight hours. In a clip it is a fifth of all speech.
    """
    return min(seconds / 5, LEAST_S * math.sqrt(max(1.0, seconds / 30)))


def at_once(speakers: npt.NDArray[Any], seconds: float) -> int:
    """How many people speak at the same time, for long enough that there must be so many voices.

    speakers : (frames,) how many speak in each frame of `seconds`
    """
    least = least_speech(seconds * np.count_nonzero(speakers))
    for count in range(int(speakers.max()), 1, -1):
        if seconds * np.count_nonzero(speakers >= count) >= least:
            return count
    return 1


def cluster(embeddings: Floats, least: float, bounds: SpeakerBounds) -> Indices:
    """Clusters 0, 1, ... of (n, dimension) embeddings of length 1, none with fewer than `least` of them.

    Average linkage, cut at `THRESHOLD`. Where that gives a number of clusters that `bounds` do not include, it is cut
    as near to it as possible so that they do; where no cut does, smaller clusters count as well. There are fewer than
    `bounds.least` only when there are fewer embeddings. Those of a cluster too small join the nearest that is not.
    """
    count = len(embeddings)
    if count < 2:
        return np.zeros(count, dtype=np.intp)
    tree = linkage(embeddings, method="average", metric="cosine")
    usual = int(np.searchsorted(tree[:, 2], THRESHOLD, side="right"))
    least = max(1.0, least)
    limits = SpeakerBounds(min(bounds.least, count), bounds.most)
    while True:
        merges = _merges(tree, least, usual, limits)
        if merges is not None:
            return _joined(embeddings, fcluster(tree, count - merges, criterion="maxclust") - 1, least)
        least = max(1.0, least / 2)


def _merges(tree: npt.NDArray[np.float64], least: float, usual: int, bounds: SpeakerBounds) -> int | None:
    """How many merges of the tree to do, as near to `usual` as possible, so that `bounds` include the clusters of at
    least `least` leaves. None when there is no such number; there is one when `least` is 1."""
    count = len(tree) + 1
    sizes = np.concatenate([np.ones(count), tree[:, 3]])
    is_large = sizes >= least
    left, right = tree[:, 0].astype(int), tree[:, 1].astype(int)
    change = is_large[count:].astype(int) - is_large[left] - is_large[right]
    numbers = np.concatenate([[0], np.cumsum(change)]) + int(is_large[:count].sum())
    fitting = np.flatnonzero([bounds.include(int(number)) for number in numbers])
    if len(fitting) == 0:
        return None
    return int(fitting[np.argmin(np.abs(fitting - usual))])


def _joined(embeddings: Floats, clusters: npt.NDArray[Any], least: float) -> Indices:
    """`clusters` numbered anew without those of fewer than `least`, whose members go to the nearest that is left."""
    sizes = np.bincount(clusters)
    large = np.flatnonzero(sizes >= least)
    means = unit(np.stack([embeddings[clusters == each].mean(axis=0) for each in range(len(sizes))]))
    target = large[np.argmax(means @ means[large].T, axis=1)]
    target[large] = large
    numbered: Indices = np.unique(target[clusters], return_inverse=True)[1].astype(np.intp)
    return numbered


def find_voices(windows: Floats, seconds: float, chunks: Floats, bounds: SpeakerBounds, limit: int) -> Floats:
    """(voices, dimension) of length 1, at least one: what each voice of the recording sounds like.

    windows : (n, dimension) of length 1, where one person speaks
    seconds : of speech that each of them stands for
    chunks : (m, dimension) of those who speak long enough in a chunk of 10 s, surer than a window
    limit : windows clustered at once
    """
    if len(windows) == 0:
        return unit(chunks.mean(axis=0, keepdims=True) if len(chunks) else np.zeros((1, windows.shape[1]), np.float32))
    indices = spread(len(windows), limit)
    thinned = np.asarray(windows[indices], dtype=np.float32)
    spoken = seconds * len(windows)
    clusters = cluster(thinned, least_speech(spoken) / spoken * len(thinned), bounds)
    voices = unit(np.stack([thinned[clusters == each].mean(axis=0) for each in range(clusters.max() + 1)]))
    chunks = unit(chunks)
    nearest = np.argmax(chunks @ voices.T, axis=1)
    for voice in range(len(voices)):
        members = chunks[nearest == voice]
        if len(members) >= 2:
            voices[voice] = members.mean(axis=0)
    return unit(voices)


def assign(chunks: Floats, voices: Floats, speaking: npt.NDArray[np.bool_]) -> Indices:
    """(chunks, local speakers) voices, the nearest that keeps those who are told apart within a chunk apart.

    chunks : (chunks, local speakers, dimension)
    speaking : (chunks, local speakers); whoever does not speak has -2
    """
    likeness = unit(chunks) @ voices.T
    nearest: Indices = np.argmax(likeness, axis=2)
    keep_apart(nearest, likeness, speaking)
    nearest[~speaking] = -2
    return nearest


def keep_apart(clusters: npt.NDArray[Any], scores: npt.NDArray[Any], speaking: npt.NDArray[np.bool_]) -> None:
    """Give those who speak in one chunk different clusters as far as there are any, by their scores, in place.

    clusters, speaking : (chunks, local speakers)
    scores : (chunks, local speakers, number of clusters)
    """
    for chunk in np.flatnonzero(speaking.sum(axis=1) > 1):
        local = np.flatnonzero(speaking[chunk])
        rows, columns = linear_sum_assignment(scores[chunk, local], maximize=True)
        clusters[chunk, local[rows]] = columns


def unit(vectors: npt.NDArray[Any]) -> Floats:
    """The same directions with length 1; zeros stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Floats = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled
