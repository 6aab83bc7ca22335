"""Which language is spoken, decided by vote over chunks of speech from the whole recording.

The first 30 seconds alone, which Whisper looks at by itself, are often a jingle, a greeting in another language or a
machine's announcement.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from shared import abilities
from shared.errors import InvalidRequest
from shared.transcript import Caveat
from tasks.asr.packing import Packing
from tasks.asr.vad import Read, Samples
from tasks.engines.recogniser import Recogniser
from tasks.engines.speech_errors import engine_errors
from tasks.engines.step_down import StepDown

VOTE_S = 10.0
"""Speech behind one vote. Whisper goes by the beginning of what it hears: 2 s of Italian before 27 s of English are
Italian at 0.92 with base, so longer chunks would let one language speak for another."""

MAX_VOTES = 8
"""Chunks asked at most. A vote is one pass of the encoder, about a third of the work of decoding 30 s."""

DECIDED = 0.8
"""Mean probability at which no further chunk is asked."""

CLEAR = 0.8
"""Probability from which on one vote alone is sure."""

VOTE_EVERY_S = 60.0
"""One more voter is needed per started minute of speech, up to `MIN_VOTES`."""

MIN_VOTES = 3
"""Voters that a long recording needs even when they agree: one of three may hear a quotation or a song."""


@dataclass(frozen=True, slots=True)
class Vote:
    """What one chunk says: the probability of each language, and how many seconds of speech stand behind it."""

    probabilities: Mapping[str, float]
    weight: float


@dataclass(frozen=True, slots=True)
class Language:
    """The language decided on, its mean probability over the votes, and what had to be done to get them.

    is_mixed : some vote is sure of another language
    """

    code: str
    probability: float
    caveats: tuple[Caveat, ...] = ()
    is_mixed: bool = False


def check_language(language: str | None, task: str, model_name: str, recogniser: Recogniser) -> str | None:
    """The code that the engine knows for `language` (`en-US` is `en`), or None when it is to be detected.

    Raises `InvalidRequest` when the model cannot do what is asked.
    """
    code = language.strip().lower().replace("_", "-").split("-")[0] if language else None
    abilities.check(model_name, task, code)
    if task == "translate" and not recogniser.can_translate:
        raise InvalidRequest(f"{model_name} cannot translate.", parameter="task")
    if code is None:
        return None if len(recogniser.languages) > 1 else next(iter(recogniser.languages))
    if code not in recogniser.languages:
        raise InvalidRequest(f"{model_name} does not know the language {language!r}.", parameter="language")
    return code


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Some speech and where its samples are: channels of one recording are read each on its own."""

    speech: Packing
    read: Read


def detect_language(
    chunks: Sequence[Excerpt],
    recogniser: Recogniser,
    between: Callable[[], None],
    step_down: StepDown,
    allowed: Collection[str] = (),
) -> Language:
    """The language spoken in `chunks`, at least one, about `VOTE_S` each; one of `allowed` if there are any.

    `between` runs after each vote and may raise to stop. Raises `TranscriptionError` when the engine fails, and
    `OutOfMemory` when there is no memory for it where the `step_down` can take it.
    """
    votes: list[Vote] = []
    quorum = min(MIN_VOTES, 1 + int(sum(chunk.speech.duration for chunk in chunks) // VOTE_EVERY_S))
    for index in spread(len(chunks), MAX_VOTES):
        votes.append(vote_of(chunks[index], recogniser, step_down, allowed))
        between()
        if len(votes) >= quorum and count(votes).probability >= DECIDED:
            break
    return replace(count(votes), caveats=tuple(step_down.caveats()))


def vote_of(excerpt: Excerpt, recogniser: Recogniser, step_down: StepDown, allowed: Collection[str] = ()) -> Vote:
    """What one excerpt says. Raises as `detect_language`."""
    samples = excerpt.speech.samples(excerpt.read)
    with engine_errors("language detection"):
        (probabilities,) = step_down.keep(partial(_hear, recogniser, samples))
    return Vote(among(probabilities, allowed), excerpt.speech.duration)


def _hear(recogniser: Recogniser, samples: Samples, *_: object) -> Iterator[Mapping[str, float]]:
    """The languages and their probabilities, as the only piece of a `StepDown`'s work."""
    yield recogniser.detect_language(samples)


def count(votes: Sequence[Vote]) -> Language:
    """The language with the highest mean probability, each vote weighted by its seconds of speech."""
    total = sum(vote.weight for vote in votes)
    means: dict[str, float] = {}
    for vote in votes:
        for code, probability in vote.probabilities.items():
            means[code] = means.get(code, 0.0) + probability * vote.weight / total
    code = max(means, key=lambda code: (means[code], code))
    is_mixed = any(p >= CLEAR for vote in votes for other, p in vote.probabilities.items() if other != code)
    return Language(code, min(1.0, means[code]), is_mixed=is_mixed)


def among(probabilities: Mapping[str, float], allowed: Collection[str]) -> Mapping[str, float]:
    """The probabilities of the `allowed` languages alone, which add up to 1; all as they are where none is given."""
    if not allowed:
        return probabilities
    weights = {code: max(probabilities.get(code, 0.0), 1e-9) for code in allowed}
    total = sum(weights.values())
    return {code: probability / total for code, probability in weights.items()}


def spread(length: int, most: int) -> list[int]:
    """At most `most` different indices below `length`, evenly spread, the middle first and then ever finer."""
    votes = min(length, most)
    even = [(2 * k + 1) * length // (2 * votes) for k in range(votes)]
    order: list[int] = []
    parts = [even]
    while parts:
        halves = []
        for part in parts:
            middle = len(part) // 2
            order.append(part[middle])
            halves += [half for half in (part[:middle], part[middle + 1 :]) if half]
        parts = halves
    return order
