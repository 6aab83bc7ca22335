"""A server of the local stack that takes a connection and says nothing yet."""

from __future__ import annotations

import socket
from pathlib import Path

from scripts.local.servers import Valkey


def test_a_silent_valkey_is_not_up_yet(tmp_path: Path) -> None:
    """On a machine that is busy starting, the supervisor asks again: that no answer came in time is no failure."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ready = Valkey(tmp_path, silent.getsockname()[1], "secret").command().ready
        assert ready is not None and ready() is False
