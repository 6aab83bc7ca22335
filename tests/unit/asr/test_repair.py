"""Which chunks of a batch are decoded again, and which decoding goes into the transcript."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transcript import Word
from tasks.asr.repair import MAX_GAP_S, batches, doubtful, is_better, repaired
from tasks.engines.recogniser import Chunk, Piece

CHUNK = (30.0, 40.0)


def piece(
    text: str, start: float = 30.2, pace: float = 0.5, logprob: float = -0.3, ratio: float = 1.4, chunk: float = 30.0
) -> Piece:
    """The words of `text`, one every `pace` seconds from `start` on."""
    words = tuple(
        Word(start + n * pace, start + n * pace + 0.3, f" {word}", 0.9) for n, word in enumerate(text.split())
    )
    end = words[-1].end if words else start
    return Piece(start, end, text, words, logprob, 0.0, ratio, chunk)


SENTENCE = piece("word " * 19)
HALF = piece("word " * 9)
LATE = piece("word " * 9, start=35.0)
LOOP = piece("yes " * 19, ratio=5.0, logprob=-0.1)
GUESS = piece("word " * 19, logprob=-0.9)
BREAK = [piece("word " * 5), piece("word " * 9, start=35.5)]


def joined(pieces: list[Piece]) -> Piece:
    """One piece with the words of all."""
    words = tuple(word for one in pieces for word in one.words)
    return replace(pieces[0], end=words[-1].end, text="".join(word.text for word in words), words=words)


@pytest.mark.parametrize(
    ("pieces", "doubt"),
    [
        ([SENTENCE], False),
        ([], True),
        ([piece(" ")], True),
        ([LOOP], True),
        ([GUESS], True),
        ([HALF], True),  # nobody speaks in the last 5 s
        ([LATE], True),
        (BREAK, True),
        ([Piece(30.0, 40.0, "no times of words", (), -0.3, 0.0, 1.0, 30.0)], False),
    ],
)
def test_a_chunk_is_doubted_for_what_it_lacks(pieces: list[Piece], doubt: bool) -> None:
    assert doubtful(CHUNK, pieces) is doubt


@pytest.mark.parametrize(
    ("second", "first", "better"),
    [
        ([SENTENCE], [], True),
        ([SENTENCE], [HALF], True),  # more words
        ([HALF], [LOOP], True),  # fewer words, less likely, and no loop
        ([LOOP], [HALF], False),
        ([LOOP], [LOOP], False),
        ([], [HALF], False),  # nothing is removed
        ([piece(" ")], [HALF], False),
        ([HALF], [HALF], False),
        ([piece("word " * 19, logprob=-0.5)], [GUESS], True),  # likelier
        ([piece("word " * 19, logprob=-0.88)], [GUESS], False),  # hardly
    ],
)
def test_the_better_decoding_is_kept(second: list[Piece], first: list[Piece], better: bool) -> None:
    assert is_better(second, first) is better


texts = st.sampled_from(["", "one two three", "word " * 50, "yes " * 50])


def texts_of(pieces: Iterable[Piece]) -> list[str]:
    return [word for piece in pieces for word in piece.text.split()]


@given(st.lists(st.tuples(st.lists(texts, max_size=3), st.lists(texts, max_size=3)), max_size=6))
def test_every_chunk_comes_once_and_in_order(chunks: list[tuple[list[str], list[str]]]) -> None:
    """Whatever a batch leaves out and whatever a second decoding gives: a chunk is decoded again at most once, in its
    turn, and all its words are of one decoding."""
    places: list[Chunk] = [(30.0 * n, 30.0 * n + 30.0) for n in range(len(chunks))]
    first = [[piece(text, start=p[0], chunk=p[0]) for text in c[0]] for p, c in zip(places, chunks, strict=True)]
    second = [[piece(text, start=p[0], chunk=p[0]) for text in c[1]] for p, c in zip(places, chunks, strict=True)]
    again: list[Chunk] = []

    def decode_alone(chunk: Chunk) -> list[Piece]:
        if chunk not in places:
            return []  # a gap, in which nobody is understood
        again.append(chunk)
        return second[places.index(chunk)]

    result = list(repaired((p for pieces in first for p in pieces), places, decode_alone))
    assert again == [place for place, pieces in zip(places, first, strict=True) if doubtful(place, pieces)]
    chosen = []
    for place, one, other in zip(places, first, second, strict=True):
        chosen += other if doubtful(place, one) and is_better(other, one) else one
    assert texts_of(result) == texts_of(chosen)


@pytest.mark.parametrize("pieces", [BREAK, [joined(BREAK)]])
def test_what_is_said_in_a_gap_is_put_between_its_words(pieces: list[Piece]) -> None:
    """Also where one piece of a batch has words on both sides of the gap."""
    missing = piece("missing", start=33.5, chunk=32.5)

    def decode_alone(chunk: Chunk) -> list[Piece]:
        return [] if chunk == CHUNK else [missing]

    result = list(repaired(pieces, [CHUNK], decode_alone))
    assert texts_of(result) == ["word"] * 5 + ["missing"] + ["word"] * 9
    starts = [word.start for one in result for word in one.words]
    assert starts == sorted(starts)
    assert list(repaired(pieces, [CHUNK], lambda chunk: [] if chunk == CHUNK else [LOOP]))[-1].words[-1].end > 39
    assert "yes" not in texts_of(repaired(pieces, [CHUNK], lambda chunk: [] if chunk == CHUNK else [LOOP]))


def test_people_who_use_the_same_words_in_turn_are_in_no_loop() -> None:
    """Text of a dialogue may shrink as far as that of a loop; it is one only where a phrase follows upon itself."""
    lines = ("go forward ten meters", "ask what you can do", "go forward ten meters", "ask not what you can")
    dialogue = piece(" ".join(lines * 2), pace=0.3, ratio=2.6)
    assert is_better([dialogue], [HALF])
    assert not is_better([piece("go forward ten meters " * 8, pace=0.3, ratio=2.6)], [HALF])
    assert not is_better([Piece(30.0, 40.0, "走走走走走走走走走走走走", (), -0.1, 0.0, 4.0, 30.0)], [HALF])


@given(st.integers(0, 60), st.integers(1, 16))
def test_batches_grow_and_hold_every_chunk_once(count: int, size: int) -> None:
    chunks: list[Chunk] = [(float(n), n + 1.0) for n in range(count)]
    groups = [list(group) for group in batches(chunks, size)]
    assert [chunk for group in groups for chunk in group] == chunks
    sizes = [len(group) for group in groups]
    assert all(0 < length <= size for length in sizes)
    assert sizes[:1] == [1][: len(sizes)] and sizes[:-1] == sorted(sizes[:-1])


def test_a_pause_that_is_no_longer_than_a_breath_is_no_gap() -> None:
    words = [piece("word " * 10, start=30.2), piece("word " * 5, start=30.2 + 4.8 + MAX_GAP_S - 0.1)]
    assert not doubtful((30.0, 40.0), words)
