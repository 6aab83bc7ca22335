"""Which language is spoken in a recording that nobody listens to as a whole, because several recognise its shards.

It is the same vote as in speech_language.py, over stretches of speech that are spread over all of the recording, so
that every shard is decoded in the one language that the whole recording would have been decoded in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from tasks.asr.language import (
    DECIDED,
    MAX_VOTES,
    MIN_VOTES,
    VOTE_S,
    Excerpt,
    Language,
    Vote,
    count,
    spread,
    vote_of,
)
from tasks.asr.packing import Packing
from tasks.asr.vad import CHUNK_S, Read, Span, detect, pad
from tasks.engines.recogniser import Recogniser
from tasks.engines.speech_errors import engine_errors
from tasks.engines.step_down import StepDown

LOOK_S = CHUNK_S
"""Audio that is looked at for one vote. Somewhere in half a minute there are `VOTE_S` of speech, or nobody talks."""


def decide_language(
    reads: Sequence[Read],
    duration: float,
    recogniser: Recogniser,
    between: Callable[[], None],
    allowed: Collection[str] = (),
) -> Language | None:
    """The language of a recording of `duration` seconds; None when nobody is heard. `reads` has one per channel.
    It is one of `allowed` if there are any.

    The middle is looked at first, then ever finer parts, until the votes agree or are MAX_VOTES; places where nobody
    talks have none. `between` runs after each look and may raise to stop. Raises TranscriptionError and OutOfMemory.
    """
    votes: list[Vote] = []
    step_down = StepDown("Speech recognition", 1, recogniser.to_cpu)
    for excerpt in _excerpts(reads, duration, between):
        votes.append(vote_of(excerpt, recogniser, step_down, allowed))
        if len(votes) == MAX_VOTES or (len(votes) >= MIN_VOTES and count(votes).probability >= DECIDED):
            break
    return replace(count(votes), caveats=tuple(step_down.caveats())) if votes else None


def _excerpts(reads: Sequence[Read], duration: float, between: Callable[[], None]) -> Iterator[Excerpt]:
    """The first speech at each place, on every channel."""
    places = max(1, int(duration // LOOK_S))
    for place in spread(places, places):
        look = Span(place * LOOK_S, min((place + 1) * LOOK_S, duration))
        for read in reads:
            with engine_errors("voice activity detection"):
                speech = detect(read(look.start, look.end), look.start)
            between()
            if speech:
                yield Excerpt(Packing(pad(speech, look)).chunks(VOTE_S)[0], read)
