"""When a live worker takes its model for stuck."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import count

from tasks.live.watch import Answers, Watch


class Clock:
    """Ten seconds later each time."""

    def __init__(self) -> None:
        self._times = count(0, 10)

    def __call__(self) -> float:
        return next(self._times)


def test_a_question_without_an_answer_is_noticed() -> None:
    """Looked at every ten seconds, one that may take fifteen."""
    watch = Watch(Clock())
    with watch.asking(15):
        assert [watch.is_stuck() for _ in range(4)] == [False, False, True, True]
    assert not watch.is_stuck()


def test_one_after_the_other_is_well() -> None:
    """Each question has its own time; none is none."""
    watch = Watch(Clock())
    for _ in range(5):
        with watch.asking(15):
            assert not watch.is_stuck()
    assert not any(watch.is_stuck() for _ in range(5))
    with watch.asking(15):
        assert not watch.is_stuck()


def test_work_that_goes_on_is_well() -> None:
    """However long it takes, as long as it moves."""
    watch, steps = Watch(Clock()), count()
    with watch.asking(15, lambda: next(steps)):
        assert not any(watch.is_stuck() for _ in range(10))


class Threads:
    """Sessions of one process, each in a thread of its own, at a time that is set."""

    def __init__(self) -> None:
        self.now, self.thread = 0.0, 0
        self.answers = Answers(lambda: self.now, lambda: self.thread)
        self._stack = ExitStack()

    def asks(self, thread: int, steps: Callable[[], int] | None = lambda: 1) -> Watch:
        """One more, that has fifteen seconds."""
        self.thread, watch = thread, Watch(lambda: self.now, self.answers)
        self._stack.enter_context(watch.asking(15, steps))
        return watch

    def answer(self, thread: int) -> None:
        """It has an answer, and asks anew."""
        self.thread = thread
        self.answers.count()


def test_who_waits_for_others_is_well() -> None:
    """A model that answers one session after the other hangs for none of them; when it answers nobody, it does. To load
    a model is nothing that others' answers excuse."""
    threads, stuck = Threads(), []
    for before in (1, 2, 3):
        threads.asks(before)
    waiting, loading = threads.asks(4), threads.asks(5, None)
    for threads.now in (10.0, 20.0, 30.0, 40.0, 50.0, 60.0):
        stuck.append((waiting.is_stuck(), loading.is_stuck()))
        if threads.now < 40:
            threads.answer(int(threads.now / 10))
    assert stuck == [(False, False)] * 2 + [(False, True)] * 2 + [(True, True)] * 2


def test_one_that_hangs_beside_others_is_noticed() -> None:
    """Answers to what was asked after it excuse nothing, however many there are."""
    threads, stuck = Threads(), []
    hanging, other = threads.asks(1), threads.asks(2, count().__next__)
    for threads.now in (10.0, 20.0, 30.0, 40.0):
        stuck.append((hanging.is_stuck(), other.is_stuck()))
        threads.answer(2)
    assert stuck == [(False, False)] * 2 + [(True, False)] * 2


def test_of_those_that_are_stuck_the_first_hangs() -> None:
    """All behind it wait for it, also one that was answered before and has asked anew."""
    threads = Threads()
    early, hanging, late = (threads.asks(thread) for thread in (1, 2, 3))
    threads.answer(1)
    for threads.now in (10.0, 30.0):
        stuck = [watch.is_stuck() for watch in (early, hanging, late)]
    assert all(stuck)
    assert hanging.number < late.number < early.number
