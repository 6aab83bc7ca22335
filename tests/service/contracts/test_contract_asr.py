"""The API of whisper-asr-webservice on a real gateway, its samples without a header read by the real decoder."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.local.stack import Stack
from shared.config import Settings
from shared.storage import Storage, upload_key
from shared.transcript import SAMPLE_RATE
from tasks.stages.convert import ConvertLimits, convert
from tests.service.gateway import NOTHING, PATIENCE_S, Caller, Gateway, finish, gateway_on

LIMITS = ConvertLimits(max_duration_s=60, timeout_s=60, memory_bytes=1024**3)


@pytest.fixture(scope="module")
def gateway(servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway_on(servers, tmp_path_factory.mktemp("gateway"), Storage(environment)) as running:
        yield running


@pytest.fixture
def caller(gateway: Gateway) -> Iterator[Caller]:
    made = gateway.caller()
    with made.http:
        yield made


def known(caller: Caller, gateway: Gateway, **fields: str) -> bytes:
    """A recording whose transcript is known."""
    content = os.urandom(64)
    finish(caller.task(content, **fields), gateway.storage, diarization="diarization" in fields)
    return content


def ask(caller: Caller, content: bytes, path: str = "/asr", **query: Any) -> httpx.Response:
    return caller.http.post(path, files={"audio_file": ("film.mp4", content)}, params=query)


def test_every_output_is_given(gateway: Gateway, caller: Caller) -> None:
    """txt by default; each output under a name made of the recording's."""
    content = known(caller, gateway)
    plain = ask(caller, content, language="")
    assert (plain.status_code, plain.text) == (200, "spk_1: Hello there.\n\nspk_2: Good day.\n")
    assert plain.headers["content-disposition"] == 'attachment; filename="film.txt"'
    assert "00:00:01,200 --> 00:00:02,000" in ask(caller, content, output="srt").text
    assert ask(caller, content, output="vtt").text.startswith("WEBVTT")
    assert ask(caller, content, output="tsv").text.splitlines()[1].startswith("0\t1000\t")
    body = ask(caller, content, output="json", word_timestamps="true").json()
    assert (body["text"], body["language"]) == ("Hello there. Good day.", "en")
    assert body["segments"][0]["words"][0] == {"word": " Hello", "start": 0.0, "end": 0.4, "probability": 0.9}
    assert "words" not in ask(caller, content, output="json").json()["segments"][0]


def test_the_query_says_what_is_asked_for(gateway: Gateway, caller: Caller) -> None:
    """Language, task, prompt and the bounds of speakers become options of the task, so that the known one is found."""
    asked = {"language": "de", "task": "translate", "diarization": "true", "max_speakers": "3", "prompt": "Namen"}
    content = known(caller, gateway, **asked)
    query = {
        "language": "de_AT",
        "task": "translate",
        "diarize": "true",
        "max_speakers": "3",
        "initial_prompt": "Namen",
    }
    answer = ask(caller, content, output="json", **query)
    task = caller.http.get(f"/tasks/{answer.headers['x-task-id']}").json()
    assert task["cached"] is True
    assert [segment["speaker"] for segment in answer.json()["segments"]] == ["spk_1", "spk_2"]


@pytest.mark.parametrize(
    "query",
    [
        "task=transcribe&encode&output=json",
        "encode=&task=&output=json&language=&initial_prompt=&diarize=&min_speakers=&vad_filter=&word_timestamps",
        "&&output=json&encode=%20&language=+&",
        "encode=%20true%20&output=json&diarize=%20False+&word_timestamps=+0",
    ],
)
def test_an_empty_option_means_its_default(gateway: Gateway, caller: Caller, query: str) -> None:
    """A name without a value, an empty value and one of spaces; a boolean may have spaces around it."""
    content = known(caller, gateway)
    answer = caller.http.post(f"/asr?{query}", files={"audio_file": ("film.mp4", content)})
    assert answer.status_code == 200, answer.text
    assert answer.json() == ask(caller, content, output="json").json()


def test_a_language_is_detected(gateway: Gateway, caller: Caller) -> None:
    """The answer of a task over the same recording: name, code and probability."""
    content = known(caller, gateway)
    answer = ask(caller, content, "/detect-language")
    assert answer.json() == {"detected_language": "english", "language_code": "en", "confidence": 0.98}


def test_bare_samples_get_the_header_that_they_lack(gateway: Gateway, caller: Caller, tmp_path: Path) -> None:
    """With encode=false the stored recording is one that the decoder reads, to the last sample."""
    samples = struct.pack(f"<{SAMPLE_RATE}h", *range(SAMPLE_RATE))
    task_id = caller.give_up("/asr", params={"encode": "false"}, files={"audio_file": samples})
    source = tmp_path / "source"
    gateway.storage.get_file(upload_key(caller.id, task_id), source)
    done = convert(source, tmp_path / "audio.wav", LIMITS, lambda share: None)
    assert done.duration == 1.0
    assert (tmp_path / "audio.wav").read_bytes().endswith(samples)


@pytest.mark.parametrize(
    "query",
    [{"output": "docx"}, {"encode": "perhaps"}, {"language": "klingon"}, {"max_speakers": "0"}],
)
def test_what_is_wrong_is_refused(gateway: Gateway, caller: Caller, query: dict[str, str]) -> None:
    """An unknown output, boolean, language or bound is an error, and nothing is left of the recording."""
    assert ask(caller, b"RIFF", **query).status_code == 422
    assert gateway.left_behind(caller) == NOTHING
    assert httpx.post(f"{gateway.url}/asr", files={"audio_file": b"RIFF"}, timeout=PATIENCE_S).status_code == 401
