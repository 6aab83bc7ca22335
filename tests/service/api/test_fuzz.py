"""schemathesis over the OpenAPI document, as far as a test run has time for it; fuzzing.py has more."""

from __future__ import annotations

from pathlib import Path

from scripts.local.stack import Stack
from shared.storage import Storage
from tests.service.api.fuzzing import WAITS, answers, fuzz
from tests.service.gateway import gateway_on

MOST_CASES_PER_CALL = 3


def test_the_gateway_answers_as_its_document_says(servers: Stack, bucket: Storage, tmp_path: Path) -> None:
    """Hundreds of right and wrong requests, alone and in sequences: every answer is a documented one, none is a 500."""
    with gateway_on(servers, tmp_path / "gateway", bucket, **WAITS) as gateway:
        caller = gateway.caller("transcribe", "admin")
        report = fuzz(
            gateway, caller, tmp_path, seed=1, examples=MOST_CASES_PER_CALL, phases="examples,fuzzing,stateful"
        )
        assert not report.failures, report.text
        assert report.cases > 200
        statuses = answers(gateway)
    assert statuses[200] and statuses[202] and statuses[422]
    assert statuses[500] == 0
