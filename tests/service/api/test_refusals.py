"""What every way of submitting refuses: uploads where they are switched off, and what a model cannot do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from scripts.local.stack import Stack
from shared.config import Settings
from shared.storage import storage_of
from tests.service.gateway import NOTHING, Caller, Gateway, gateway_on, gateway_with

FILE = {"file": ("call.wav", b"RIFF" * 16)}
ASR_FILE = {"audio_file": FILE["file"]}

WAYS_IN: dict[str, dict[str, Any]] = {
    "/transcribe": {"files": FILE},
    "/v1/audio/transcriptions": {"files": FILE, "data": {"model": "whisper-1"}},
    "/v1/audio/translations": {"files": FILE, "data": {"model": "whisper-1"}},
    "/asr": {"files": ASR_FILE},
    "/detect-language": {"files": ASR_FILE},
    "/api/v1/transcribe": {"files": FILE},
    "/api/v1/transcribe-async": {"files": FILE},
    "/jobs": {"files": FILE},
}
"""Every call that takes a file in its form."""


@pytest.fixture(scope="module")
def without_uploads(
    servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("gateway")
    with gateway_on(servers, home, storage_of(environment), ALLOW_UPLOAD_ADAPTER="false") as running:
        yield running


gateway = gateway_with(WHISPER_MODEL="turbo")


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and code, also of OpenAI's shape of an error."""
    body = answer.json()
    return answer.status_code, body.get("error", body)["code"]


def test_the_ways_in_are_all_there_are(without_uploads: Gateway) -> None:
    """Every call whose form holds a file is among them."""
    paths = httpx.get(f"{without_uploads.url}/openapi.json", timeout=30).json()["paths"]
    with_file = {
        path
        for path, operations in paths.items()
        if "multipart/form-data" in operations.get("post", {}).get("requestBody", {}).get("content", {})
    }
    assert with_file - {"/api/audio"} == set(WAYS_IN)  # clips have a test of their own


@pytest.mark.parametrize("path", WAYS_IN)
def test_uploads_that_are_switched_off(without_uploads: Gateway, path: str) -> None:
    """With ALLOW_UPLOAD_ADAPTER=false a file is refused, and nothing of it is kept."""
    caller = without_uploads.caller()
    with caller.http as http:
        assert code(http.post(path, **WAYS_IN[path])) == (403, "adapter_disabled")
        assert http.get("/history").json()["items"] == []
    assert without_uploads.left_behind(caller) == NOTHING


@pytest.mark.parametrize(
    ("path", "request_"),
    [
        ("/transcribe", {"files": FILE, "data": {"task": "translate"}}),
        ("/transcribe", {"json": {"url": "https://media.example/a.mp3", "task": "translate"}}),
        ("/transcribe/batch", {"json": {"items": [{"url": "https://media.example/a.mp3"}], "task": "translate"}}),
        ("/v1/audio/translations", {"files": FILE, "data": {"model": "distil-large-v3"}}),
        ("/v1/audio/translations", {"files": FILE, "data": {"model": "whisper-1"}}),
        ("/asr?task=translate", {"files": ASR_FILE}),
        ("/api/v1/transcribe-async", {"files": FILE, "data": {"task": "translate", "model": "base.en"}}),
        ("/jobs", {"files": FILE, "data": {"language": "yue", "model": "base"}}),
    ],
)
def test_what_a_model_cannot_do(gateway: Gateway, caller: Caller, path: str, request_: dict[str, Any]) -> None:
    """A translation by a model that only transcribes, and Cantonese by one without it, are refused at once."""
    answer = caller.http.post(path, **request_)
    assert answer.status_code in (400, 422), answer.text
    assert "cannot translate" in answer.text or "does not know Cantonese" in answer.text
    assert caller.http.get("/history").json()["items"] == []
    assert gateway.left_behind(caller) == NOTHING


def test_what_a_model_can_do(caller: Caller) -> None:
    """large-v3 translates, and large-v3-turbo knows Cantonese."""
    assert caller.submit(task="translate", model="large-v3").status_code == 202
    assert caller.submit(language="yue").status_code == 202
