"""The samples that may still be needed."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.transcript import SAMPLE_RATE
from tasks.listening.tape import Tape


@given(st.lists(st.tuples(st.integers(0, 2 * SAMPLE_RATE), st.floats(0, 1)), max_size=12))
def test_what_is_kept_is_what_came_last(steps: list[tuple[int, float]]) -> None:
    """Whatever is added and dropped in turn."""
    tape, expected, count = Tape(), np.zeros(0, np.float32), 0
    for size, share in steps:
        new = np.arange(count, count + size, dtype=np.float32)
        count += size
        tape.add(new)
        amount = int(share * len(tape))
        tape.drop(amount)
        expected = np.concatenate([expected, new])[amount:]
        np.testing.assert_array_equal(tape.cut(0, len(tape)), expected)
        assert len(tape) == len(expected)


def test_it_stays_small_for_hours() -> None:
    """As long as little is kept, its array is not made larger."""
    tape, second = Tape(), np.ones(SAMPLE_RATE, np.float32)
    tracemalloc.start()
    for _ in range(1000):
        tape.add(second)
        tape.drop(max(0, len(tape) - SAMPLE_RATE))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 8 * second.nbytes
