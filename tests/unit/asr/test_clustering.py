"""Clustering of voices made up of random numbers, each a direction of its own with some noise round it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from tasks.diarization.clustering import (
    SpeakerBounds,
    assign,
    at_once,
    cluster,
    find_voices,
    least_speech,
    spread,
    unit,
)

Floats = npt.NDArray[np.float32]
DIMENSION = 64
WINDOW_S = 0.72


def voices(count: int) -> Floats:
    """(count, dimension), as far from each other as random directions are."""
    return unit(np.random.default_rng(5).normal(size=(count, DIMENSION)))


def windows(*counts: int, noise: float = 0.06) -> Floats:
    """So many windows of each of some voices; within one they are 0.2 apart by cosine distance."""
    sound = np.repeat(voices(len(counts)), counts, axis=0)
    return unit(sound + np.random.default_rng(6).normal(scale=noise, size=sound.shape))


def sizes(clusters: npt.NDArray[np.intp]) -> list[int]:
    return sorted(np.bincount(clusters).tolist(), reverse=True)


@pytest.mark.parametrize("counts", [(1,), (40,), (30, 20), (50, 40, 30, 20, 10)])
def test_each_voice_is_a_cluster(counts: tuple[int, ...]) -> None:
    """As many clusters as voices, each with the windows of one."""
    assert sizes(cluster(windows(*counts), 4, SpeakerBounds())) == list(counts)


def test_a_voice_that_hardly_speaks_joins_another() -> None:
    """Fewer windows than the minimum make no cluster; as many do."""
    embeddings = windows(40, 30, 4)
    assert sizes(cluster(embeddings, 4, SpeakerBounds())) == [40, 30, 4]
    assert len(sizes(cluster(embeddings, 4.2, SpeakerBounds()))) == 2


def test_a_small_cluster_joins_the_nearest() -> None:
    """What is too small goes to the voice that it sounds most like, not to the largest."""
    large, second, other = voices(3)
    near = unit(second + 2.5 * other)  # 0.63 from `second` by cosine distance, which no cut joins; 1 from `large`
    clusters = cluster(np.stack([large] * 30 + [second] * 10 + [near] * 2), 3, SpeakerBounds())
    assert clusters.tolist() == [clusters[0]] * 30 + [clusters[30]] * 12
    assert clusters[0] != clusters[30]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (SpeakerBounds(1, 2), 2),
        (SpeakerBounds(1, 1), 1),
        (SpeakerBounds(3, 3), 3),
        (SpeakerBounds(2, 5), 3),
        (SpeakerBounds(4, None), 4),
        (SpeakerBounds(6, 6), 6),
        (SpeakerBounds(85, 90), 85),
    ],
)
def test_bounds_decide_where_the_voices_do_not(bounds: SpeakerBounds, expected: int) -> None:
    """Three voices: fewer or more of them only as far as is asked, even if single windows become voices."""
    assert len(sizes(cluster(windows(40, 30, 20), 4, bounds))) == expected


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_no_more_clusters_than_windows(count: int) -> None:
    """With more speakers asked for than there are windows, each window is one."""
    labels = cluster(windows(count) if count else np.zeros((0, DIMENSION), np.float32), 4, SpeakerBounds(20, 20))
    assert (len(labels), len(set(labels))) == (count, count)


def test_the_minimum_grows_with_the_speech() -> None:
    """A fifth in a clip, 3 s in half a minute, then with the square root: never less for a longer recording."""
    assert [round(least_speech(seconds), 1) for seconds in (5, 15, 30, 120, 8 * 3600)] == [1.0, 3.0, 3.0, 6.0, 93.0]
    lengths = [least_speech(seconds) for seconds in range(1, 5000)]
    assert lengths == sorted(lengths)


@pytest.mark.parametrize(
    ("together_s", "expected"), [(0.0, 1), (2.9, 1), (3.1, 2), (30.0, 2)], ids=["never", "hardly", "enough", "always"]
)
def test_those_who_speak_at_once_are_as_many_voices(together_s: float, expected: int) -> None:
    """In half a minute of speech, 3 s of two people at once make two voices, and less makes none."""
    speakers = np.repeat([2, 1, 0], [round(100 * together_s), round(100 * (30 - together_s)), 1000])
    assert at_once(speakers[:, None], 0.01) == expected


def test_voices_that_are_heard_raise_only_what_may_be() -> None:
    """A lower bound moves up to what is heard at once, and never above the upper bound."""
    assert SpeakerBounds().raised(2) == SpeakerBounds(2)
    assert SpeakerBounds(3).raised(2) == SpeakerBounds(3)
    assert SpeakerBounds(1, 1).raised(2) == SpeakerBounds(1, 1)


@pytest.mark.parametrize(("count", "limit"), [(0, 5), (5, 5), (6, 5), (10_000, 4096)])
def test_an_even_part_is_clustered(count: int, limit: int) -> None:
    """All of few, else as many as the limit says, from the first to the last, each once."""
    indices = spread(count, limit)
    assert len(indices) == len(set(indices)) == min(count, limit)
    assert not count or (indices[0], indices[-1]) == (0, count - 1)


def test_a_part_of_a_long_recording_gives_the_same_voices() -> None:
    """With 100 of 3000 windows clustered at once, every voice is found, and sounds the same to 0.99."""
    embeddings = windows(1500, 1000, 500)[np.random.default_rng(1).permutation(3000)]
    nothing = np.zeros((0, DIMENSION), np.float32)
    whole = find_voices(embeddings, WINDOW_S, nothing, SpeakerBounds(), 3000)
    part = find_voices(embeddings, WINDOW_S, nothing, SpeakerBounds(), 100)
    assert whole.shape == part.shape == (3, DIMENSION)
    assert (whole @ part.T).max(axis=1).min() > 0.99


def test_voices_sound_as_in_the_chunks_that_are_nearest() -> None:
    """Two chunks of a voice or more replace what its windows say; one does not."""
    embeddings = windows(30, 30)
    drift = voices(3)[2]
    first, second = voices(2)
    chunks = np.stack([first + 0.5 * drift, first + 0.5 * drift, second + 0.5 * drift])
    centres = find_voices(embeddings, WINDOW_S, chunks, SpeakerBounds(), 4096)
    drifts = {int(np.argmax(voice @ voices(2).T)): float(voice @ drift) for voice in centres}
    assert drifts[0] == pytest.approx(float(unit(first + 0.5 * drift) @ drift), abs=1e-3)
    assert drifts[1] == pytest.approx(float(unit(embeddings[30:].mean(axis=0)) @ drift), abs=1e-3)


def test_without_a_window_there_is_one_voice() -> None:
    """Where nobody speaks alone for long enough, everybody is one, whatever was asked for."""
    nothing = np.zeros((0, DIMENSION), np.float32)
    assert find_voices(nothing, WINDOW_S, nothing, SpeakerBounds(3, 3), 4096).shape == (1, DIMENSION)
    assert find_voices(nothing, WINDOW_S, windows(3), SpeakerBounds(), 4096).shape == (1, DIMENSION)


def test_those_told_apart_in_a_chunk_stay_apart() -> None:
    """Two who both sound most like one voice get different ones where there are two; whoever is silent has none."""
    first, second = voices(2)
    chunks = np.stack([[first, first + 0.3 * second, second], [first, first, second]])
    speaking = np.array([[True, True, False], [False, True, True]])
    assert assign(chunks, voices(2), speaking).tolist() == [[0, 1, -2], [-2, 0, 1]]
    alone = assign(chunks, voices(1), speaking)
    assert alone.tolist() == [[0, 0, -2], [-2, 0, 0]]
