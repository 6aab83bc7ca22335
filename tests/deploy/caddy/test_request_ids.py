"""The id of a request, from Caddy to the gateway's log."""

from __future__ import annotations

import json
import re

import pytest

from tests.deploy.conftest import Deployment

SITE = "http://caddy:8080"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.mark.parametrize("path", ["/metrics", "/nowhere"])
@pytest.mark.parametrize("sent_id", ["order-7:retry.2", 'broken"json', "spaces in it", "x" * 129])
def test_an_id_is_one_and_the_same_everywhere(deployment: Deployment, path: str, sent_id: str) -> None:
    """Header, body and the logs agree, whoever answers, Caddy or the gateway; an id that is no id is replaced."""
    process = deployment.run("curl", "-sS", "-i", "--max-time", "60", "-H", f"X-Request-Id: {sent_id}", f"{SITE}{path}")
    head, body = process.stdout.replace("\r", "").split("\n\n", 1)
    request_id = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:])["x-request-id"]
    assert json.loads(body)["request_id"] == request_id
    assert request_id == sent_id if sent_id == "order-7:retry.2" else UUID.fullmatch(request_id)
    named = ("caddy",) if path == "/metrics" else ("caddy", "api")
    for name in named:
        assert deployment.logged(name, request_id).get("request_id") == request_id
