"""One spelling of a key before the gateway; tests/deploy/caddy/test_ratelimit_zones.py holds Caddy to the table."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.service.gateway import Gateway
from tests.spellings import SPELLINGS, Spelling, send


@pytest.fixture(scope="module")
def keys(gateway: Gateway) -> tuple[str, str]:
    return gateway.caller().key, gateway.caller().key


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda one: one.name)
def test_a_key_has_one_spelling(gateway: Gateway, keys: tuple[str, str], spelling: Spelling) -> None:
    """The scheme in any case, one space, and nothing but the key; or the key alone in its own header. All else is 401,
    or 400 where it is not HTTP."""
    target = urlsplit(gateway.url)
    status, _ = send(str(target.hostname), target.port or 80, "GET", "/history", spelling.headers(*keys))
    assert status in ((200,) if spelling.is_key else (401, 400)), spelling.name
