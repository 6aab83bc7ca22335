"""Errors of OpenAI's audio API on a real gateway: each in OpenAI's shape, with the field that is at fault."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from shared.db import session
from shared.errors import DecodeFailed, MediaTooLong, NoAudio, ParleyError, StageStalled, UnsupportedMedia
from shared.kernel import leases
from tests.service.contracts.openai_calls import TRANSCRIPTIONS, TRANSLATIONS, ask, error
from tests.service.gateway import NOTHING, PATIENCE_S, Caller, Gateway, eventually, work_on


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (NoAudio("Nothing can be heard."), (400, "no_audio", "file")),
        (UnsupportedMedia("That is a letter."), (400, "unsupported_media", "file")),
        (DecodeFailed("It breaks off."), (400, "decode_failed", "file")),
        (MediaTooLong("It takes a day."), (413, "media_too_long", "file")),
        (StageStalled("Nobody works on it."), (500, "stage_stalled", None)),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_a_failure_names_the_file_where_it_is_at_fault(
    caller: Caller, problem: ParleyError, expected: tuple[int, str, str | None]
) -> None:
    """`param` is `file` for what is wrong with the recording, and null for what is wrong with this server."""
    with ThreadPoolExecutor() as pool:
        call = pool.submit(ask, caller, b"noise")
        task_id = eventually(caller.newest, "the task")
        with session() as work:
            leases.fail(work, work_on(task_id, "convert"), problem, max_attempts=1)
        assert error(call.result()) == expected


@pytest.mark.parametrize("url", [TRANSCRIPTIONS, TRANSLATIONS])
def test_an_empty_or_missing_file_is_named(caller: Caller, url: str) -> None:
    """Both are an error of the field `file`."""
    assert error(ask(caller, b"", url)) == (400, "no_audio", "file")
    assert error(caller.http.post(url, files={"model": (None, "whisper-1")})) == (400, "invalid_request", "file")


@pytest.mark.parametrize("name", ["known_speaker_names", "known_speaker_references"])
@pytest.mark.parametrize("brackets", ["", "[]"])
def test_known_voices_are_refused_by_name(gateway: Gateway, caller: Caller, name: str, brackets: str) -> None:
    """Each of the two fields is named, and nothing of the recording is kept."""
    answer = ask(caller, b"RIFF", response_format="diarized_json", **{name + brackets: "data:audio/wav;base64,UklGRg"})
    assert error(answer) == (400, "invalid_request", name)
    assert name in answer.json()["error"]["message"]
    assert gateway.left_behind(caller) == NOTHING


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1", (404, "not_found", None)),
        ("GET", "/v1/files", (404, "not_found", None)),
        ("POST", "/v1/audio/speech", (404, "not_found", None)),
        ("POST", "/v1/chat/completions", (404, "not_found", None)),
        ("GET", TRANSCRIPTIONS, (405, "method_not_allowed", None)),
        ("POST", "/v1/models", (405, "method_not_allowed", None)),
    ],
)
def test_what_there_is_not_below_v1_is_told_in_openais_shape(
    gateway: Gateway, method: str, path: str, expected: tuple[int, str, None]
) -> None:
    """Unknown paths and methods, with a key or without; so the SDKs show the message."""
    answer = httpx.request(method, gateway.url + path, timeout=PATIENCE_S)
    assert error(answer) == expected
    assert path in answer.json()["error"]["message"]
    assert ("allow" in answer.headers) == (answer.status_code == 405)


def test_other_paths_keep_their_shape(gateway: Gateway) -> None:
    """A path that only begins alike is not OpenAI's."""
    answer = httpx.get(f"{gateway.url}/v12/models", timeout=PATIENCE_S)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
