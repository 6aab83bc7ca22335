"""One way out for whatever the speech engines raise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import TranscriptionError


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn anything raised inside, which only calls libraries, into `TranscriptionError`; the cause stays attached.

    The message names the kind of the error only: engines put local paths into theirs.
    """
    try:
        yield
    except Exception as error:
        raise TranscriptionError(f"{doing} failed ({type(error).__name__})") from error
