"""What /metrics says of servers that answer, that refuse and that hang."""

from __future__ import annotations

import threading

from api.gauges import Servers
from shared.errors import StorageUnavailable


def gauges(servers: Servers) -> dict[str, float]:
    return {family.name: family.samples[0].value for family in servers.collect()}


def test_a_server_that_hangs_is_down_and_holds_up_no_other() -> None:
    """Nor is it asked again and again: one question waits for its answer, and after that it counts as it answers."""
    answers, questions = threading.Event(), []

    def refuse() -> None:
        raise StorageUnavailable("away")

    def hang() -> None:
        questions.append(1)
        assert answers.wait(60)

    servers = Servers({"one": lambda: None, "other": refuse, "third": hang})
    for _ in range(2):
        assert gauges(servers) == {"parley_one_up": 1, "parley_other_up": 0, "parley_third_up": 0}
    assert len(questions) == 1
    answers.set()
    assert gauges(servers)["parley_third_up"] == 1
