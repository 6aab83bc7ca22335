"""Whether a model answers. A thread that hangs in one cannot be ended, so another thread has to look."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Question:
    """What a thread asks of the models that a process's sessions share.

    number : questions with lower ones were asked before
    waited_at : when one of those was answered last; until then it was not this one's turn
    """

    number: int
    waited_at: float


class Answers:
    """The questions that are open, and who is answered before whom.

    A model takes them in their order. So whoever waits for an answer waits, with good reason, for those that asked
    before; that others are answered which asked later is none.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, thread: Callable[[], int] = threading.get_ident
    ) -> None:
        self.thread = thread
        self._clock = clock
        self._lock = threading.Lock()
        self._last = 0
        self._open: dict[int, Question] = {}  # by thread

    def ask(self) -> None:
        """The calling thread asks."""
        with self._lock:
            self._ask()

    def count(self) -> None:
        """The calling thread has an answer, or is about to ask; it asks on until `leave`."""
        with self._lock:
            if self._answer():
                self._ask()

    def leave(self) -> None:
        """The calling thread asks nothing more."""
        with self._lock:
            self._answer()

    def question(self, thread: int) -> Question | None:
        """What a thread asks now."""
        return self._open.get(thread)

    def _ask(self) -> None:
        self._last += 1
        self._open[self.thread()] = Question(self._last, self._clock())

    def _answer(self) -> bool:
        question, now = self._open.pop(self.thread(), None), self._clock()
        for other in self._open.values():
            if question and other.number > question.number:
                other.waited_at = now
        return question is not None


ANSWERS = Answers()
"""Those of this process."""


def _none() -> int:
    return 0


class Watch:
    """One thread asks, another one looks now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, answers: Answers = ANSWERS) -> None:
        self._clock, self._answers = clock, answers
        self._patience_s: float | None = None
        self._steps: Callable[[], int] | None = None
        self._thread = 0
        self._questions = 0
        self._mark, self._mark_at = (0, 0), 0.0

    @contextmanager
    def asking(self, patience_s: float, steps: Callable[[], int] | None = None) -> Iterator[None]:
        """Around a question. `steps` counts on while it is worked at, each time within `patience_s`, or later where
        those are answered that asked before. Without it nobody else's answer is a reason to wait."""
        self._steps, self._questions = steps, self._questions + 1
        self._thread = self._answers.thread()
        self._answers.ask()
        self._patience_s = patience_s
        try:
            yield
        finally:
            self._patience_s = None
            self._answers.leave()

    def is_stuck(self) -> bool:
        """Whether nothing has moved for longer than the asking thread may wait, nor was it another one's turn."""
        patience_s, steps, now = self._patience_s, self._steps, self._clock()
        mark = self._questions, (steps or _none)()
        if patience_s is None or mark != self._mark:
            self._mark, self._mark_at = mark, now
            return False
        question = self._answers.question(self._thread)
        since = max(self._mark_at, question.waited_at) if steps and question else self._mark_at
        return now - since > patience_s

    @property
    def number(self) -> int:
        """That of the open question. Of those that are stuck the lowest is the one that the model hangs in."""
        question = self._answers.question(self._thread)
        return question.number if question else 0
