"""How many sessions a live worker says it carries."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tasks.live import trial
from tasks.live.pace import FIRST_PLACES, LEAST_SPOKEN, Pace

LOAD = 0.7


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def hear(pace: Pace, clock: Clock, seconds: float, cost: float, missed: int = 0) -> None:
    """So much speech in pieces of half a second, each of which takes `cost` times as long."""
    for _ in range(round(seconds * 2)):
        with pace.work() as share:
            clock.now += cost / 2
        clock.now += 0.1
        pace.hear(0.5, share, 1, missed)


def test_nothing_is_known_before_anything_is_heard() -> None:
    """Two places, or fewer if that is the most; and so it stays for ten seconds of speech."""
    clock = Clock()
    pace = Pace(8, LOAD, clock)
    assert (pace.cost, pace.places(0), Pace(1, LOAD).places(0)) == (None, FIRST_PLACES, 1)
    hear(pace, clock, 9, 0.01)
    assert pace.places(0) == FIRST_PLACES


@pytest.mark.parametrize(("cost", "places"), [(0.01, 8), (0.14, 5), (0.3, 2), (0.5, 1), (3.0, 1)])
def test_places_follow_the_cost_of_speech(cost: float, places: int) -> None:
    """At 70 % of the time; never none, and never more than the most."""
    clock = Clock()
    pace = Pace(8, LOAD, clock)
    hear(pace, clock, 20, cost - 1e-6)
    assert pace.cost == pytest.approx(cost, abs=1e-4)
    assert pace.places(0) == places


def test_no_load_is_too_much_where_none_is_set() -> None:
    """Then the most is what there is, however slow the model."""
    clock = Clock()
    pace = Pace(8, 0, clock)
    hear(pace, clock, 20, 3.0, missed=1)
    assert pace.places(1) == 8


def test_time_in_which_two_sessions_ask_counts_once() -> None:
    """Half of it for each: a model that serves both at the same time is as cheap as it is."""
    clock = Clock()
    pace = Pace(8, LOAD, clock)
    for _ in range(20):
        with pace.work() as first:
            clock.now += 0.1
            with pace.work() as second:
                clock.now += 0.1
            clock.now += 0.1
        assert (first.seconds, second.seconds) == pytest.approx((0.25, 0.05))
        pace.hear(1.0, first)
        pace.hear(1.0, second)
    assert pace.cost == pytest.approx(0.15, rel=0.02)


def test_a_worker_of_the_model_that_nobody_asks_is_room() -> None:
    """Two sessions that ask at the same time cost what they cost one after the other, where the model has two workers;
    and a third, which waits, costs nothing more."""
    clock = Clock()
    one, several = Pace(8, LOAD, clock), Pace(8, LOAD, clock)
    one.workers = several.workers = 2
    for _ in range(20):
        with one.work() as alone:
            clock.now += 0.2
        one.hear(1.0, alone)
        with several.work() as first, several.work() as second:
            clock.now += 0.1
            with several.work() as third:
                clock.now += 0.3
        assert alone.seconds == pytest.approx(0.1)
        assert (first.seconds, second.seconds, third.seconds) == pytest.approx((0.15, 0.15, 0.1))
        for share in (first, second, third):
            several.hear(1.0, share)
    assert one.cost == pytest.approx(0.1, rel=0.02)
    assert one.places(0) == 6
    assert several.cost == pytest.approx(0.4 / 3, rel=0.02)


def test_silence_counts_for_nothing() -> None:
    """What is asked for it is in no share of speech."""
    clock = Clock()
    pace = Pace(8, LOAD, clock)
    hear(pace, clock, 20, 0.1)
    with pace.work():
        clock.now += 100
    hear(pace, clock, 20, 0.1)
    assert pace.cost == pytest.approx(0.1)


def test_a_measurement_is_forgotten() -> None:
    """A worker that became slow says so within a few minutes of speech."""
    clock = Clock()
    pace = Pace(8, LOAD, clock)
    hear(pace, clock, 600, 0.1)
    hear(pace, clock, 300, 0.3)
    assert 0.28 < (pace.cost or 0) < 0.3


def test_what_was_tried_is_what_four_sessions_go_by() -> None:
    """A worker that was tried lets all of them in before anything is said, and after fifteen seconds of speech that is
    dearer than speech is; one that is too slow lets in one. So it says what it has measured, once that is more."""
    clock = Clock()
    pace, slow = Pace(8, LOAD, clock), Pace(8, LOAD, clock)
    pace.suppose(0.12)
    slow.suppose(0.8)
    assert pace.cost == pytest.approx(0.12)
    assert pace.places(0) == 7
    assert slow.places(0) == slow.places(1) == 1
    hear(pace, clock, 15, 0.22)
    assert [pace.places(held) for held in range(4)] == [5, 5, 5, 5]
    hear(pace, clock, 300, 0.22)
    assert pace.places(0) == 3
    hear(slow, clock, 300, 0.1)
    assert slow.places(0) > 4


def test_the_least_of_several_trials_counts_until_somebody_speaks() -> None:
    """A machine that has just started makes the first one slow."""
    clock = Clock()
    pace = Pace(8, LOAD, clock)
    for cost, places in ((0.28, 3), (0.12, 7), (0.2, 7)):
        pace.suppose(cost)
        assert pace.places(0) == places
    assert pace.cost == pytest.approx(0.12)
    pace.rest(1.0)
    pace.suppose(0.1)
    assert pace.cost == pytest.approx(0.1)
    hear(pace, clock, 0.5, 0.1)
    pace.suppose(0.01)
    assert pace.cost == pytest.approx(0.1)


def test_what_was_heard_says_how_much_is_speech() -> None:
    """Before anything is heard three quarters of the sound are; a trial that comes later changes nothing of it."""
    clock = Clock()
    new, spoken, silent = Pace(8, LOAD, clock), Pace(8, LOAD, clock), Pace(8, LOAD, clock)
    hear(spoken, clock, 5, 0.1)
    silent.rest(10.0)
    before = silent.spoken
    for pace in (new, spoken, silent):
        pace.suppose(0.2)
    assert new.spoken == pytest.approx(0.75)
    assert (spoken.spoken, silent.spoken) == (1.0, before)
    assert 0.75 < before < 1.0


SLOW, FAST = (1.5, 1.0), (0.3, 0.1)


@pytest.mark.parametrize(
    ("rounds", "count", "least"),
    [
        ((SLOW, FAST, (0.2, 0.4)), 3, (0.2, 0.1)),
        ((SLOW, (1.2, 1.1), FAST), 2, (1.2, 1.0)),
        ((FAST, SLOW, (0.2, 0.1)), 2, FAST),
        ((FAST, FAST, SLOW), 3, FAST),
    ],
    ids=["slow at first", "slow", "slow later", "slow at last"],
)
def test_the_first_round_of_a_trial_says_not_that_it_is_slow(
    rounds: tuple[tuple[float, float], ...], count: int, least: tuple[float, float]
) -> None:
    """As all is done for the first time then; of those behind it one of more than two seconds is the last. The fastest
    passes count."""
    clock = Clock()
    partials, finals = [each for each, _ in rounds], [each for _, each in rounds]

    def takes(passes: list[float]) -> Callable[[], None]:
        def work() -> None:
            clock.now += passes.pop(0)

        return work

    assert trial.fastest(Pace(8, LOAD, clock), takes(partials), takes(finals)) == pytest.approx(least)
    assert len(partials) == len(finals) == len(rounds) - count


def test_what_nobody_says_is_room_for_others() -> None:
    """As much as there is of it, up to half of the time; what a second of speech costs stays what it is."""
    clock = Clock()
    pace = Pace(8, LOAD, clock)
    hear(pace, clock, 60, 0.2)
    assert (pace.spoken, pace.places(0)) == (1.0, 3)
    for _ in range(20):
        hear(pace, clock, 15, 0.2)
        pace.rest(5.0)
    assert 0.7 < pace.spoken < 0.8
    assert pace.cost == pytest.approx(0.2)
    assert pace.places(0) == 4
    pace.rest(3600.0)
    assert (pace.spoken, pace.places(0)) == (LEAST_SPOKEN, 7)
    hear(pace, clock, 600, 0.2)
    assert pace.places(0) == 3


def test_who_misses_partials_takes_no_more() -> None:
    """However little the model seems to cost: less is asked of it than should be."""
    clock = Clock()
    pace = Pace(8, LOAD, clock)
    hear(pace, clock, 20, 0.1, missed=1)
    assert (pace.places(3), pace.places(0)) == (3, 1)
    hear(pace, clock, 600, 0.099)
    assert pace.places(3) == 7
