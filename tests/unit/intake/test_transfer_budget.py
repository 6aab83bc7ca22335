"""What bodies on their way in may hold of the gateway's memory."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from api.intake.transfer_budget import Budget
from api.processes.table import Table
from shared.errors import ServiceBusy, TooManyTransfers

MIB = 1024**2


def fill(budget: Budget, stack: ExitStack, key: uuid.UUID, size: int) -> int:
    """How many transfers of `size` bytes the key gets."""
    count = 0
    while True:
        try:
            stack.enter_context(budget.reserved(key, size, 0))
        except TooManyTransfers:
            return count
        count += 1


def test_a_key_takes_a_fifth() -> None:
    """A key alone gets a fifth of the memory, again when it has ended."""
    budget, key = Budget(400 * MIB), uuid.uuid4()
    with ExitStack() as stack:
        assert fill(budget, stack, key, 8 * MIB) == 10
    with ExitStack() as stack:
        assert fill(budget, stack, key, 8 * MIB) == 10


def test_keys_that_take_all_they_can_leave_something_for_the_next() -> None:
    """Twelve keys, each of which takes as much as it may, do not keep the thirteenth out."""
    budget = Budget(400 * MIB)
    with ExitStack() as stack:
        fills = [fill(budget, stack, uuid.uuid4(), 8 * MIB) for _ in range(12)]
        assert all(fills)
        with budget.reserved(uuid.uuid4(), 8 * MIB, 0):
            pass


def test_when_all_is_taken_the_service_is_busy() -> None:
    """A key that holds nothing is told that all together send too much, not that it does."""
    budget = Budget(10)
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(budget.reserved(uuid.uuid4(), 1, 0))
        with pytest.raises(ServiceBusy) as caught, budget.reserved(uuid.uuid4(), 1, 0):
            pass
    assert caught.value.detail == {"retry_after_s": 5}


def test_fifty_at_once_do_not_pass_the_number() -> None:
    """Of fifty transfers that begin in the same moment three get in, each of the others is refused."""
    budget, key = Budget(256 * MIB), uuid.uuid4()
    with ExitStack() as stack, ThreadPoolExecutor(50) as pool:

        def enter(_: int) -> bool:
            try:
                stack.enter_context(budget.reserved(key, 1, 3))
            except TooManyTransfers as error:
                assert error.detail == {"max_transfers": 3, "retry_after_s": 5}
                return False
            return True

        assert sum(pool.map(enter, range(50))) == 3


def in_another_process(table: Table, number: int, work: Callable[[Budget], None]) -> tuple[int, int]:
    """A fork that holds what `work` reserves: its process id, and a pipe that says when it has."""
    pipe, says = os.pipe()
    if pid := os.fork():
        os.close(says)
        assert os.read(pipe, 1) == b"+"
        return pid, pipe
    try:
        table.take(number)
        work(Budget(400 * MIB, table))
        os.write(says, b"+")
        signal.pause()
    finally:
        os._exit(1)


def test_the_processes_of_a_gateway_share_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one process holds, the others count, for the key and for all; what a killed one held is free again."""
    monkeypatch.setattr("api.processes.table._current", None)  # this process is one of several for this test alone
    table, key, other = Table(3), uuid.uuid4(), uuid.uuid4()
    stays = ExitStack()

    def work(budget: Budget) -> None:
        for _ in range(2):
            stays.enter_context(budget.reserved(key, 8 * MIB, 3))

    pid, pipe = in_another_process(table, 1, work)
    table.take(0)
    budget = Budget(400 * MIB, table)
    with budget.reserved(key, 8 * MIB, 3):
        with pytest.raises(TooManyTransfers) as caught, budget.reserved(key, 8 * MIB, 3):
            pass
        assert caught.value.detail["max_transfers"] == 3
        with pytest.raises(ServiceBusy), budget.reserved(other, 377 * MIB, 3):
            pass
        with budget.reserved(other, 376 * MIB, 3):
            pass
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pipe)
        with pytest.raises(TooManyTransfers), budget.reserved(key, 8 * MIB, 3):
            pass
        table.clear(1)
        with budget.reserved(key, 8 * MIB, 3), budget.reserved(key, 8 * MIB, 3):
            pass
