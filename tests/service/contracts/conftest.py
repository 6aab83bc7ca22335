"""A gateway for each module, a caller for each test, and a recording whose transcript is known."""

from __future__ import annotations

import os

import pytest

from tests.service.contracts.openai_calls import finish_rest
from tests.service.gateway import Caller, Gateway, gateway_with

gateway = gateway_with()


@pytest.fixture
def recording(gateway: Gateway, caller: Caller) -> bytes:
    """A recording whose transcript is known: as it is, with speakers, and in English."""
    content = os.urandom(64)
    for fields in ({}, {"diarization": "true"}, {"task": "translate"}):
        finish_rest(caller.task(content, **fields), gateway, caller)
    return content
