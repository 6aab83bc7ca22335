"""What a stage does when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from shared.errors import OutOfMemory, TranscriptionError
from tasks.engines.speech_errors import engine_errors
from tasks.engines.step_down import StepDown, is_out_of_memory


class Engine:
    """Ten pieces, decoded so many at once; more than `room` at once is more than there is memory for."""

    def __init__(self, room: int, *, has_card: bool = False) -> None:
        self.room, self.has_card = room, has_card
        self.tried: list[int] = []

    def decode(self, batch_size: int, last: int | None) -> Iterator[int]:
        first = 0 if last is None else last + 1
        for start in range(first, 10, batch_size):
            self.tried.append(batch_size)
            if batch_size > (self.room if start < 4 else min(self.room, 2)):  # the later pieces are larger
                raise RuntimeError("CUDA failed with error out of memory")
            yield from range(start, min(start + batch_size, 10))

    def to_cpu(self) -> bool:
        moves, self.has_card, self.room = self.has_card, False, 2
        return moves


def outcome(engine: Engine, batch_size: int) -> tuple[list[int], StepDown]:
    step_down = StepDown("Counting", batch_size, engine.to_cpu)
    return list(step_down.keep(engine.decode)), step_down


def test_with_enough_memory_nothing_changes() -> None:
    """Everything comes in order, in batches as large as asked for, and there is nothing to say about it."""
    engine = Engine(room=2)
    pieces, step_down = outcome(engine, 2)
    assert (pieces, engine.tried, step_down.caveats()) == (list(range(10)), [2] * 5, [])


def test_what_is_done_is_kept_and_the_rest_is_done_with_less_at_once() -> None:
    """The batch is halved until it fits, every piece comes once, and the caveat says what was done."""
    engine = Engine(room=4)
    pieces, step_down = outcome(engine, 8)
    assert pieces == list(range(10))
    assert engine.tried == [8, 4, 4, 2, 2, 2]
    (caveat,) = step_down.caveats()
    assert (caveat.code, caveat.start) == ("smaller_batches", None)
    assert "2 instead of 8" in caveat.message


def test_a_card_is_left_when_one_piece_is_too_much() -> None:
    """After the smallest batch the model moves to the CPU, once, and both steps are told."""
    engine = Engine(room=0, has_card=True)
    pieces, step_down = outcome(engine, 2)
    assert pieces == list(range(10))
    assert engine.tried[:3] == [2, 1, 1]
    assert [caveat.code for caveat in step_down.caveats()] == ["smaller_batches", "moved_to_cpu"]


def test_the_last_step_is_an_error_of_its_own() -> None:
    """On the CPU, one at a time, there is nothing left to try: OutOfMemory, with the engine's error as its cause."""
    with pytest.raises(OutOfMemory, match=r"^Counting ran out of memory\.$") as caught:
        outcome(Engine(room=0), 4)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_other_errors_take_no_step() -> None:
    """What is not about memory comes out as it is, at once."""

    def broken(batch_size: int, last: None) -> Iterator[None]:
        yield None
        raise RuntimeError("bad weights")

    step_down = StepDown("Counting", 8, lambda: True)
    with pytest.raises(RuntimeError, match="bad weights"):
        list(step_down.keep(broken))
    assert step_down.batch_size == 8


@pytest.mark.parametrize(
    "words",
    [
        "CUDA failed with error out of memory",
        "cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED",
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "mkl_malloc: failed to allocate memory",
        "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried 8 bytes",
        "could not create a primitive",
        "std::bad_alloc",
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: bad allocation",
    ],
)
def test_engines_say_it_in_their_own_words(words: str) -> None:
    """The messages of CTranslate2, torch and onnxruntime are known."""
    assert is_out_of_memory(RuntimeError(words))


def test_a_memory_error_of_numpy_is_one() -> None:
    """An array that no machine has room for fails for want of memory; a wrong shape does not."""
    with pytest.raises(MemoryError) as caught:
        np.empty(2**60, np.uint8)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(ValueError("shapes (3,) and (4,) not aligned"))


def test_outside_of_decoding_too_it_has_its_code() -> None:
    """An engine that runs out of memory elsewhere is OutOfMemory, anything else stays a TranscriptionError."""
    with pytest.raises(OutOfMemory, match="Language detection ran out of memory"), engine_errors("language detection"):
        raise MemoryError
    with pytest.raises(TranscriptionError), engine_errors("language detection"):
        raise RuntimeError("no such layer")
