"""One way out for whatever the speech engines raise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import OutOfMemory, TranscriptionError
from tasks.engines.step_down import is_out_of_memory


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn anything raised inside, which only calls libraries, into `TranscriptionError`; the cause stays attached.

    What is for want of memory becomes `OutOfMemory`. The message names the kind of the error only: engines put local
    paths into theirs.
    """
    try:
        yield
    except OutOfMemory:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory(f"{doing.capitalize()} ran out of memory.") from error
        raise TranscriptionError(f"{doing} failed ({type(error).__name__})") from error
