"""Several languages in one recording: how glances at a few seconds each become passages. Models are in tests/model."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transcript import Caveat
from tasks.asr.checks import joined
from tasks.asr.language import Language, among, count
from tasks.asr.language import Vote as LanguageVote
from tasks.asr.mixed.passages import GLANCE_S, Mixture, Passage, recount, settle
from tasks.asr.packing import Packing
from tasks.asr.vad import Span

SURE = {"en": {"en": 0.97, "fr": 0.01}, "fr": {"fr": 0.96, "en": 0.01}, "it": {"it": 0.96, "en": 0.01}}
DOUBT = {"cy": 0.5, "en": 0.3, "fr": 0.1}


def settled(codes: str, seconds: float = GLANCE_S, main: str = "en") -> str:
    """The first letters of what is made of glances: capitals are sure, a dot is in doubt."""
    languages = {"E": SURE["en"], "F": SURE["fr"], "I": SURE["it"], ".": DOUBT}
    glances = [languages[letter] for letter in codes]
    return "".join(language[0].upper() for language in settle(glances, [seconds] * len(glances), main))


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("EEEFFFEEE", "EEEFFFEEE"),
        ("FFF", "FFF"),
        ("EFE", "EFE"),
        ("EE.EE", "EEEEE"),
        ("EFF.FFE", "EFFFFFE"),
        ("...E", "EEEE"),
        ("EFIFE", "EFIFE"),
        ("EEFFII", "EEFFII"),
        ("....", "EEEE"),
    ],
)
def test_sure_glances_stand_and_doubtful_ones_go_with_their_neighbours(letters: str, expected: str) -> None:
    """A language that no glance is sure of is nobody's."""
    assert settled(letters) == expected


def test_a_glance_of_a_second_changes_nothing() -> None:
    """It is too short to be sure of; several in a row are not."""
    assert settled("EFE", seconds=1.0) == "EEE"
    assert settled("EEEFFFFFEEE", seconds=1.0) == "EEEFFFFFEEE"


glances = st.dictionaries(st.sampled_from(["en", "fr", "it", "cy"]), st.floats(0, 1), min_size=1)


@given(st.lists(st.tuples(glances, st.floats(0.1, 28.0)), max_size=30), st.sampled_from(["en", "de"]))
def test_every_glance_has_a_language_that_is_in_question(
    talk: list[tuple[Mapping[str, float], float]], main: str
) -> None:
    """The main one, or one that some glance is sure of; and the same for the same."""
    languages = settle([glance for glance, _ in talk], [seconds for _, seconds in talk], main)
    sure = {code for glance, _ in talk for code, probability in glance.items() if probability >= 0.8}
    assert len(languages) == len(talk)
    assert set(languages) <= {main, *sure}
    assert languages == settle([glance for glance, _ in talk], [seconds for _, seconds in talk], main)


@given(st.lists(st.sampled_from("EFI"), min_size=1, max_size=30))
def test_sure_glances_of_five_seconds_are_believed(letters: list[str]) -> None:
    """Whatever order they come in, as each outweighs a change there and back."""
    text = "".join(letters)
    runs = [letter for letter, _ in groupby(settled(text))]
    assert runs == [letter for letter, _ in groupby(text)]


def test_only_allowed_languages_count() -> None:
    """Their probabilities add up to 1, also of one that the model did not think of."""
    shares = {"cy": 0.6, "en": 0.3, "fr": 0.1}
    assert among(shares, ()) == shares
    assert among(shares, ("en", "fr")) == pytest.approx({"en": 0.75, "fr": 0.25})
    assert among(shares, ("de",)) == pytest.approx({"de": 1.0})


def test_a_vote_that_is_sure_of_another_language_says_so() -> None:
    """Which is a reason to look at the whole recording; a doubtful one is none."""
    assert count([LanguageVote(SURE["en"], 10), LanguageVote(SURE["en"], 10), LanguageVote(SURE["fr"], 10)]).is_mixed
    assert not count([LanguageVote(SURE["en"], 10), LanguageVote(DOUBT, 10)]).is_mixed


def mixture(*passages: tuple[str, float]) -> Mixture:
    starts = [sum(seconds for _, seconds in passages[:n]) for n in range(len(passages))]
    spans = [Span(start, start + seconds) for start, (_, seconds) in zip(starts, passages, strict=True)]
    spoken = tuple(Passage(code, 0.9, Packing((span,))) for span, (code, _) in zip(spans, passages, strict=True))
    return Mixture((spoken,), ())


def test_the_language_is_the_one_that_is_spoken_longest() -> None:
    """Its probability is its share; a language that was right stays as it was voted."""
    voted = Language("fr", 0.95, is_mixed=True)
    assert recount(voted, [mixture(("en", 20), ("fr", 12), ("en", 8))]).code == "en"
    assert recount(voted, [mixture(("en", 20), ("fr", 20))]) is voted
    assert recount(voted, [mixture(("en", 30), ("fr", 10))]).probability == pytest.approx(0.9 * 30 / 40)
    assert recount(voted, [mixture(("en", 30))], rest_s=40) is voted


def test_neighbours_in_different_languages_stay_two_warnings() -> None:
    """Those in the same one become one."""
    caveats = [Caveat("languages_mixed", message, n, n + 1) for n, message in enumerate(["fr", "fr", "it", "fr"])]
    assert [(c.message, c.start, c.end) for c in joined(caveats)] == [("fr", 0, 2), ("it", 2, 3), ("fr", 3, 4)]
