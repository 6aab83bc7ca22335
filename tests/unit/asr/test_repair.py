"""Which chunks of a batch are decoded again, and which decoding goes into the transcript."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transcript import Word
from tasks.asr.checks import said_again
from tasks.asr.repair import FIRST_BATCH, MAX_GAP_S, batches, doubtful, is_better, repaired
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
    expected = []
    for place, one, other in zip(places, first, second, strict=True):
        expected += other if doubtful(place, one) and is_better(other, one) else one
    assert texts_of(result) == texts_of(expected)


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


def again(text: str) -> list[Piece]:
    """`text` from the beginning of `CHUNK` to its end, decoded in 30 s."""
    spoken = text.split()
    pace = 10 / len(spoken)
    words = tuple(Word(30 + n * pace, 30 + (n + 1) * pace, f" {word}", 0.9) for n, word in enumerate(spoken))
    return [Piece(30.0, 40.0, text, words, -0.3, 0.0, 1.4, 30.0)]


def short(text: str, logprob: float = -0.3) -> list[Piece]:
    """The same, decoded from a short input."""
    return [replace(piece, avg_logprob=logprob, short_input=True) for piece in again(text)]


SAID = "Oh, hello, I did not know that you were there"

LOOPS = [
    ("Hello. Hello. Hello. Hello. Hello. Hello. Hello. I did not know that you were there", "Hello. " + SAID),
    ("Hello, hello, hello, hello, I did not know that you were there", SAID),
    ("I did not know that you were there there there there there", "I did not know that you were there"),
    ("Thank you. Thank you. Thank you. Thank you. " + SAID, "Thank you. " + SAID),
    ("I see, and then you know, you know, you know, you know", "I see, and then you know"),
    ("Come on, come on, come on", "Come on, boys"),
    ("That is right. That is right. That is right. " + SAID, "That is right. " + SAID),
    ("Well, all of them. All of them. All of them went away", "Well, all of them went away"),
    ("we went to the sea and we went to the sea and we went to the sea and", "we went to the sea and swam"),
    ("yes I yes you I yes you yes I yes you I yes", "yes I did and you"),  # turns in no circle
    ("Hahahahahahaha, that is what he said", "Ha ha, that is what he said"),
    ("はいはいはいはいはい", "はい、そうです"),  # one word for `split`
    ("走 走 走 走 走 走", "走 吧"),
]


@pytest.mark.parametrize(("loop", "speech"), LOOPS)
def test_a_loop_in_a_short_input_gives_way(loop: str, speech: str) -> None:
    """However few its words are, and however sure the decoder is of them; not where 30 s were decoded at once."""
    assert doubtful(CHUNK, short(loop, logprob=-0.05))
    assert is_better(again(speech), short(loop, logprob=-0.05))
    assert not doubtful(CHUNK, again(loop))
    assert list(repaired(short(loop), [CHUNK], lambda _: again(speech))) == again(speech)


@pytest.mark.parametrize(
    "text",
    [
        "No, no, no, I did not say that to anybody",
        "no no no no no",
        "Bye bye. Bye bye.",
        "Bye bye, bye bye, bye bye",
        "Go forward ten meters, go forward ten meters",
        "yeah yeah yeah yeah, look at all this",
        "No, no, no, no, no, no, no, no, no, no, no, no",
    ],
)
def test_repetitions_that_both_inputs_hear_are_kept(text: str) -> None:
    """What is said several times in a row is repeated in the transcript, too."""
    assert texts_of(repaired(short(text), [CHUNK], lambda _: again(text))) == text.split()
    assert texts_of(repaired(short(text), [CHUNK], lambda _: [])) == text.split()


@pytest.mark.parametrize(
    "text",
    [
        SAID,
        "No, no, I did not say that, that is very, very far from it",
        "Bye bye, see you",
        "I think, I think that is the one",
        "ask not what your country can do for you ask what you can do for your country",
        "ten of clubs seven of clubs eight of spades four of clubs seven of hearts",
        "one million is 1000000 and a billion is 1000 of them",
        "The banana and the cocoa",
    ],
)
def test_ordinary_speech_in_a_short_input_is_decoded_once(text: str) -> None:
    assert not doubtful(CHUNK, short(text))


@pytest.mark.parametrize(
    ("loop", "second"),
    [
        ("Hello hello hello hello, I did not know that you were there", "Hello, I"),
        (
            "Yeah yeah yeah so tomorrow at nine we meet Anna Peter Maria and Tom",
            "Yeah, so tomorrow at nine we meet Anna",
        ),
    ],
)
def test_a_loop_does_not_give_way_to_what_lacks_other_words(loop: str, second: str) -> None:
    """The second decoding may lose the end: then nothing is removed."""
    assert not is_better(again(second), short(loop))


def test_few_words_in_turn_do_not_give_way_to_fewer() -> None:
    """Cards that are named one after the other have few words, and half of them is no better than all."""
    cards = "ten of clubs nine of clubs ten of spades nine of spades ten of hearts nine of hearts"
    assert doubtful(CHUNK, short(cards))
    assert not is_better(again("ten of clubs nine of clubs ten of spades"), short(cards))
    assert texts_of(repaired(short(cards), [CHUNK], lambda _: again(cards))) == cards.split()


@given(st.lists(st.sampled_from(["yes", "no", "bye", "so", "well"]), min_size=1, max_size=40))
def test_a_second_decoding_of_a_loop_never_repeats_more(words: list[str]) -> None:
    """Of two decodings that differ only in how often a phrase comes, the one with fewer repetitions is kept."""
    loop = [word for word in words for _ in range(4)]
    texts = texts_of(repaired(short(" ".join(loop)), [CHUNK], lambda _: again(" ".join(words))))
    assert texts == (words if said_again(words) < said_again(loop) else loop)


@given(st.integers(0, 60), st.integers(1, 16))
def test_batches_are_few_and_hold_every_chunk_once(count: int, size: int) -> None:
    """No more than there have to be where the first is small by itself, and else one more."""
    chunks: list[Chunk] = [(float(n), n + 1.0) for n in range(count)]
    groups = [list(group) for group in batches(chunks, size)]
    assert [chunk for group in groups for chunk in group] == chunks
    sizes = [len(group) for group in groups]
    assert all(0 < length <= size for length in sizes)
    assert max(sizes[:1], default=1) <= max(FIRST_BATCH, (size + 1) // 2)
    assert len(sizes) <= -(-count // size) + 1


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [(1, 1, [1]), (2, 2, [2]), (4, 4, [4]), (5, 5, [1, 4]), (8, 8, [4, 4]), (9, 8, [1, 8]), (20, 8, [4, 8, 8])],
)
def test_a_short_recording_is_one_batch(count: int, size: int, sizes: list[int]) -> None:
    """A minute of speech is two pieces of thirty seconds, which take less time together than one after the other."""
    chunks: list[Chunk] = [(float(n), n + 1.0) for n in range(count)]
    assert [len(group) for group in batches(chunks, size)] == sizes


def test_a_pause_that_is_no_longer_than_a_breath_is_no_gap() -> None:
    words = [piece("word " * 10, start=30.2), piece("word " * 5, start=30.2 + 4.8 + MAX_GAP_S - 0.1)]
    assert not doubtful((30.0, 40.0), words)
