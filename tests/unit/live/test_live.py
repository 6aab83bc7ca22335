"""Small parts of live sessions: samples of pieces, new words of partials, codes of closes, bells."""

from __future__ import annotations

import asyncio
import uuid
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.live import messages
from api.live.bells import Bells
from shared.errors import catalogue
from shared.live.listeners import Chunk
from tasks.live.ear import behind, parts
from tasks.live.sound import Pcm

TONE = (np.sin(np.arange(4800) / 20) * 20_000).astype("<i2")


@given(st.lists(st.integers(0, 9600), max_size=20))
def test_pieces_of_any_length_are_the_same_samples(places: list[int]) -> None:
    """Cut anywhere, also in the middle of a sample."""
    data, sound = TONE.tobytes(), Pcm(16_000)
    cuts = [0, *sorted(places), len(data)]
    samples = np.concatenate([sound.samples(data[first:last]) for first, last in pairwise(cuts)])
    assert np.array_equal(samples, TONE.astype(np.float32) / 32_768)


@pytest.mark.parametrize("rate", [8000, 24_000, 44_100, 48_000])
def test_other_rates_become_ours(rate: int) -> None:
    """A second stays a second, but for what the filter still has."""
    sound, second = Pcm(rate), np.zeros(rate, "<i2").tobytes()
    count = sum(len(sound.samples(second[place : place + 777])) for place in range(0, len(second), 777))
    assert 16_000 - 100 <= count <= 16_000


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
def test_much_at_once_is_heard_in_blocks(rate: int) -> None:
    """Of ten seconds, cut in no sample, and the last may be shorter."""
    data = np.arange(25 * rate, dtype="<i4").astype("<i2").tobytes()
    blocks = list(Pcm(rate).hear(b"\0" + data))
    assert len(blocks) == 3 and max(map(len, blocks)) <= 10 * 16_000 + 100
    assert not list(Pcm(rate).hear(b""))
    if rate == 16_000:
        assert np.array_equal(np.concatenate([*Pcm(rate).hear(data)]), Pcm(rate).samples(data))


@given(st.lists(st.binary(max_size=9), min_size=1), st.integers(0, 60))
def test_what_is_behind_a_byte_begins_with_it(pieces: list[bytes], first: int) -> None:
    """Whatever the chunks are."""
    starts = np.cumsum([0, *map(len, pieces)])
    chunks = [Chunk(number + 1, int(starts[number]), piece) for number, piece in enumerate(pieces)]
    assert behind(chunks, first) == b"".join(pieces)[first:]


@given(st.lists(st.binary(max_size=5), max_size=8), st.integers(0, 20))
def test_empty_chunks_cut(pieces: list[bytes], first: int) -> None:
    """Each cuts where it came, and no byte is lost or moved past one."""
    starts = np.cumsum([0, *map(len, pieces)])
    chunks = [Chunk(number + 1, int(starts[number]), piece) for number, piece in enumerate(pieces)]
    rows = list(parts(chunks, first))
    assert [cut for _, cut in rows if cut is not None] == [chunk.seq for chunk in chunks if not chunk.data]
    assert b"".join(data for data, _ in rows) == b"".join(pieces)[first:]
    place = 0
    for data, cut in rows:
        place += len(data)
        if cut is not None:
            assert place == max(0, int(starts[cut - 1]) - first)


@given(st.lists(st.lists(st.text("ab ", max_size=4), min_size=1, max_size=5), max_size=4))
def test_new_words_add_up(utterances: list[list[str]]) -> None:
    """`new` of an utterance's partials, joined, is what is committed."""
    display = messages.Messages()
    for number, grown in enumerate(utterances):
        committed = ["".join(grown[: count + 1]) for count in range(len(grown))]
        events = [
            {"kind": "partial", "id": 1, "utterance": number, "data": {"committed": text, "tail": ""}}
            for text in committed
        ]
        assert "".join(str(display.message(event)["new"]) for event in events) == committed[-1]


def test_each_error_closes_with_a_code_that_may_be_sent() -> None:
    """Of the client's faults 4000 and the status; a place that is full, or a server that is away, says: later."""
    for kind in catalogue().values():
        code = messages.close_code(kind("x"))
        assert code in (1011, 1013) if kind.status >= 500 and kind.status != 502 else code == 4000 + kind.status


def test_a_bell_rings_for_its_session_and_for_all() -> None:
    """And for nobody else; what is over is forgotten."""

    async def ring() -> None:
        bells, own, others = Bells(), uuid.uuid4(), uuid.uuid4()
        with bells.bell(own) as first, bells.bell(own) as second, bells.bell(others) as third:
            bells.ring(own)
            assert first.is_set() and second.is_set() and not third.is_set()
            bells.ring(None)
            assert third.is_set()
        bells.ring(own)
        assert bells.count == 0

    asyncio.run(ring())
