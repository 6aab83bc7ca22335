"""Where another language is spoken: votes of a few seconds each, and the passages that they add up to.

A vote on 30 s, as the language of the whole is decided by, costs a third of decoding them. A glance at 5 s costs 2 % of
that, and a glance a minute is all that a recording in one language pays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, groupby
from math import ceil, log

from shared.transcript import SAMPLE_RATE, Caveat
from tasks.asr.language import CLEAR, VOTE_S, Language, among
from tasks.asr.packing import Packing
from tasks.asr.vad import Read, Samples
from tasks.engines.recogniser import Recogniser
from tasks.engines.speech_errors import engine_errors
from tasks.engines.step_down import StepDown

GLANCE_S = 5.0
"""Speech behind one glance: base tells English, French, Italian, Spanish and Chinese by 3 s, not always by 2."""

GLANCE_EVERY_S = 60.0
"""Speech per glance in a recording that seems to be in one language. 0.06 s of 5 s for 60 s of speech with base."""

FLOOR = 0.01
"""Smallest probability that counts, so that no glance outweighs all others."""

CHANGE_COST = 2.0
"""What a change of language has to win, in log probability. A glance that is sure, 0.96 to 0.01, wins 4.6, enough for a
change there and back; a doubtful one, 0.6 to 0.1, does not."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Speech in one language; `probability` is the mean over its glances."""

    language: str
    probability: float
    speech: Packing


@dataclass(frozen=True, slots=True)
class Mixture:
    """All speech of one channel in passages, a list for each window, and what had to be done to find them."""

    windows: tuple[tuple[Passage, ...], ...]
    caveats: tuple[Caveat, ...]


def find_passages(
    packings: Sequence[Packing],
    read: Read,
    language: Language,
    recogniser: Recogniser,
    between: Callable[[], None],
    allowed: Collection[str] = (),
) -> Mixture | None:
    """The passages of a recording for which `language` was detected; None where that is the only one, which a few
    glances tell that are spread evenly. Languages are among `allowed` if there are any.

    `between` runs after each glance and may raise to stop. Raises TranscriptionError and OutOfMemory.
    """
    if len(recogniser.languages) == 1:
        return None
    step_down = StepDown("Speech recognition", 1, recogniser.to_cpu)

    def glance(samples: Samples) -> Mapping[str, float]:
        with engine_errors("language detection"):
            brief = samples[: round(VOTE_S * SAMPLE_RATE)]
            (probabilities,) = step_down.keep(partial(_glance, recogniser, brief))
        between()
        return among(probabilities, allowed)

    if not language.is_mixed and not any(
        _is_another(language.code, glance(place.samples(read))) for place in _sample(packings)
    ):
        return None
    windows = tuple(_passages(packing, packing.samples(read), language.code, glance) for packing in packings)
    return Mixture(windows, tuple(step_down.caveats()))


def recount(language: Language, mixtures: Sequence[Mixture], rest_s: float = 0.0) -> Language:
    """The language that is spoken longest in `mixtures` and `rest_s` seconds of `language`: the few votes that decided
    on it may have fallen into another."""
    seconds = {language.code: rest_s}
    passages = [passage for mixture in mixtures for window in mixture.windows for passage in window]
    for passage in passages:
        seconds[passage.language] = seconds.get(passage.language, 0.0) + passage.speech.duration
    code = max(seconds, key=lambda code: (seconds[code], code == language.code))
    if code == language.code:
        return language
    sure = sum(passage.probability * passage.speech.duration for passage in passages if passage.language == code)
    return replace(language, code=code, probability=sure / sum(seconds.values()))


def _sample(packings: Sequence[Packing]) -> list[Packing]:
    """A few seconds of speech at places that are spread evenly; none where all of it was voted on."""
    places = [place for packing in packings for place in packing.chunks(GLANCE_S)]
    speech_s = sum(packing.duration for packing in packings)
    count = min(len(places), 1 + ceil(speech_s / GLANCE_EVERY_S)) if speech_s > VOTE_S else 0
    return [places[(2 * n + 1) * len(places) // (2 * count)] for n in range(count)]


def _passages(
    packing: Packing, samples: Samples, main: str, glance: Callable[[Samples], Mapping[str, float]]
) -> tuple[Passage, ...]:
    """All of `packing`, neighbours in different languages, by a glance at each `GLANCE_S`."""
    places = packing.chunks(GLANCE_S)
    ends = [round(end * SAMPLE_RATE) for end in accumulate(place.duration for place in places)]
    glances = [glance(samples[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
    languages = settle(glances, [place.duration for place in places], main)
    return tuple(_joined(places, glances, languages))


def _glance(recogniser: Recogniser, samples: Samples, *_: object) -> Iterator[Mapping[str, float]]:
    yield recogniser.glance_language(samples)


def _is_another(main: str, glance: Mapping[str, float]) -> bool:
    return max((p for language, p in glance.items() if language != main), default=0.0) >= CLEAR


def settle(glances: Sequence[Mapping[str, float]], seconds: Sequence[float], main: str) -> list[str]:
    """The likeliest language of each glance, given that languages seldom change (Viterbi 1967).

    A glance weighs its `seconds`, up to `GLANCE_S`. Languages that no glance is sure of are out of the question.
    """
    languages = sorted({main, *(code for glance in glances for code, p in glance.items() if p >= CLEAR)})
    best = dict.fromkeys(languages, 0.0)
    steps: list[dict[str, str]] = []
    for glance, length in zip(glances, seconds, strict=True):
        top = max(languages, key=lambda code: (best[code], code == main))
        steps.append({code: code if best[code] >= best[top] - CHANGE_COST else top for code in languages})
        weight = min(1.0, length / GLANCE_S)
        best = {
            code: best[steps[-1][code]]
            - CHANGE_COST * (steps[-1][code] != code)
            + weight * log(max(FLOOR, glance.get(code, 0.0)))
            for code in languages
        }
    language = max(languages, key=lambda code: (best[code], code == main))
    path: list[str] = []
    for step in reversed(steps):
        path.append(language)
        language = step[language]
    return path[::-1]


def _joined(
    places: Sequence[Packing], glances: Sequence[Mapping[str, float]], languages: Sequence[str]
) -> Iterator[Passage]:
    for language, run in groupby(range(len(places)), key=lambda n: languages[n]):
        numbers = list(run)
        speech = Packing(tuple(span for n in numbers for span in places[n].spans))
        weighed = sum(places[n].duration * glances[n].get(language, 0.0) for n in numbers)
        yield Passage(language, weighed / speech.duration, speech)
