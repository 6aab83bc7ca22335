"""Caddy's published port: the limits of the real plugin, and the addresses of clients."""

from __future__ import annotations

import time

import pytest

from tests.containers.deployment import Deployment
from tests.engine.standins import caddy_with_plugin

ADDRESS_WINDOW_S = 12


def test_every_limit_of_caddy_works(deployment: Deployment) -> None:
    """check_ratelimit.py of the checkout proves all four limits of the plugin against the published port."""
    if caddy_with_plugin() is None:
        pytest.skip("not run: PARLEY_TEST_BIN names no folder with a Caddy that has the rate limit plugin")
    said = deployment.type("python3 scripts/check_ratelimit.py http://localhost")
    time.sleep(ADDRESS_WINDOW_S)  # whoever comes next has this address too
    assert [line.partition(":")[0] for line in said.splitlines()] == ["submit", "upload", "poll", "address"]
    assert said.count("refused after") == 4
