"""Whose turn it is at the model that sessions share for their finals."""

from __future__ import annotations

import threading

from tasks.listening.turn import Turn


def test_one_final_at_a_time() -> None:
    """Whoever would wait for too long does without; behind it the turn is free again, also after an error."""
    turn = Turn(patience_s=0.01)
    turns: list[bool] = []

    def other() -> None:
        with turn.take() as has_turn:
            turns.append(has_turn)

    def ask() -> bool:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return turns.pop()

    with turn.take() as has_turn:
        assert has_turn
        assert not ask()
        assert not ask()
    try:
        with turn.take():
            raise ValueError
    except ValueError:
        assert ask()
