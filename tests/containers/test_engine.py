"""The engine is a real one, and leaves this machine as it was."""

from __future__ import annotations

from tests.engine.engine import Engine


def test_the_engine_is_new_enough(engine: Engine) -> None:
    """Engine and compose are releases that deploy.md admits."""
    server = engine.docker("version", "--format", "{{.Server.Version}}").stdout
    compose = engine.docker("compose", "version", "--short").stdout
    assert int(server.partition(".")[0]) >= 25
    assert tuple(int(part) for part in compose.lstrip("v").split(".")[:2]) >= (2, 24)
