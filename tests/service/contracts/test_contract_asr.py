"""The API of whisper-asr-webservice on a real gateway, its samples without a header read by the real decoder."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.storage import upload_key
from shared.transcript import SAMPLE_RATE
from tasks.stages.convert import ConvertLimits, convert
from tests.service.gateway import NOTHING, PATIENCE_S, Caller, Gateway, finish

LIMITS = ConvertLimits(max_duration_s=60, timeout_s=60, memory_bytes=1024**3)


def transcribed(caller: Caller, gateway: Gateway, **fields: str) -> bytes:
    """A recording whose transcript with these options is known."""
    content = os.urandom(64)
    finish(caller.task(content, **fields), gateway.storage, diarization="diarization" in fields)
    return content


def ask(caller: Caller, content: bytes, path: str = "/asr", **query: Any) -> httpx.Response:
    return caller.http.post(path, files={"audio_file": ("film.mp4", content)}, params=query)


def test_every_output_is_given(gateway: Gateway, caller: Caller) -> None:
    """txt by default; each output under a name made of the recording's."""
    content = transcribed(caller, gateway)
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
    fields = {"language": "de", "task": "translate", "diarization": "true", "max_speakers": "3", "prompt": "Namen"}
    content = transcribed(caller, gateway, **fields)
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
    assert [segment["speaker"] for segment in answer.json()["segments"]] == ["SPEAKER_01", "SPEAKER_02"]


SPEAKR = {"encode": "true", "task": "transcribe", "output": "json", "language": "en"}
"""What Speakr sends with every recording."""


def test_what_speakr_asks_for_is_done(caller: Caller) -> None:
    """Its two names for speakers, their bounds, hotwords and a model of GET /v1/models become options of the task."""
    query = {
        **SPEAKR,
        "diarize": "true",
        "enable_diarization": "true",
        "min_speakers": "2",
        "max_speakers": "3",
        "initial_prompt": "A meeting.",
        "hotwords": "Parley, Valkey",
        "model": "Systran/faster-whisper-tiny",
    }
    task_options = options(caller, query)
    expected = {"language": "en", "diarization": True, "min_speakers": 2, "max_speakers": 3, "prompt": "A meeting."}
    assert task_options | expected == task_options
    assert (task_options["hotwords"], task_options["model"]) == ("Parley, Valkey", "tiny")
    assert options(caller, {"enable_diarization": "true", "num_speakers": "2"})["num_speakers"] == 2
    default = caller.http.get("/models").json()["default"]
    assert options(caller, {"model": "whisper-1"})["model"] == options(caller, {})["model"] == default


def test_without_speakers_their_bounds_count_for_nothing(caller: Caller) -> None:
    """Speakr sends them all the same; `return_speaker_embeddings=false` and empty options ask for nothing either."""
    switches = {"diarize": "false", "enable_diarization": "false", "return_speaker_embeddings": "false"}
    query = {**SPEAKR, **switches, "min_speakers": "2", "max_speakers": "2", "hotwords": "", "model": ""}
    task_options = options(caller, query)
    assert (task_options["diarization"], task_options["min_speakers"], task_options["max_speakers"]) == (
        False,
        None,
        None,
    )
    assert not task_options["hotwords"]


def options(caller: Caller, query: dict[str, str]) -> dict[str, Any]:
    """What a request asks for, in our words. The request itself is left waiting and given up."""
    task_id = caller.give_up("/asr", params=query, files={"audio_file": os.urandom(9)})
    return dict(caller.http.get(f"/tasks/{task_id}").json()["options"])


@pytest.mark.parametrize("path", ["/asr", "/detect-language"])
def test_the_recording_may_have_its_name_in_the_query(caller: Caller, path: str) -> None:
    """As Bazarr sends it: the last part of the path is the task's file name."""
    query = {"encode": "false", "video_file": "/media/films/Metropolis (1927).mkv"}
    task_id = caller.give_up(path, params=query, files={"audio_file": os.urandom(64)})
    assert caller.http.get(f"/tasks/{task_id}").json()["file"]["name"] == "Metropolis (1927).mkv"


def test_a_speaker_with_a_name_has_it(gateway: Gateway, caller: Caller) -> None:
    """When a request is repeated, whoever was named by a correction is called so."""
    content = transcribed(caller, gateway, diarization="true")
    caller.http.headers["Idempotency-Key"] = "asr"
    answer = ask(caller, content, output="json", diarize="true")
    named = {"version": 0, "speakers": {"spk_1": "Ann"}}
    caller.http.patch(f"/tasks/{answer.headers['x-task-id']}", json=named).raise_for_status()
    again = ask(caller, content, output="json", diarize="true").json()["segments"]
    assert [segment["speaker"] for segment in again] == ["Ann", "SPEAKER_02"]


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
    content = transcribed(caller, gateway)
    answer = caller.http.post(f"/asr?{query}", files={"audio_file": ("film.mp4", content)})
    assert answer.status_code == 200, answer.text
    assert answer.json() == ask(caller, content, output="json").json()


def test_a_language_is_detected(gateway: Gateway, caller: Caller) -> None:
    """The answer of a task over the same recording: name, code and probability."""
    content = transcribed(caller, gateway)
    answer = ask(caller, content, "/detect-language")
    assert answer.json() == {"detected_language": "english", "language_code": "en", "confidence": 0.98}


def test_bare_samples_get_the_header_that_they_lack(gateway: Gateway, caller: Caller, tmp_path: Path) -> None:
    """With encode=false the stored recording is one that the decoder reads, to the last sample."""
    samples = struct.pack(f"<{SAMPLE_RATE}h", *range(SAMPLE_RATE))
    task_id = caller.give_up("/asr", params={"encode": "false"}, files={"audio_file": samples})
    source = tmp_path / "source"
    gateway.storage.get_file(upload_key(caller.id, task_id), source)
    conversion = convert(source, tmp_path / "audio.wav", LIMITS, lambda share: None)
    assert conversion.duration == 1.0
    assert (tmp_path / "audio.wav").read_bytes().endswith(samples)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"output": "docx"}, "output"),
        ({"encode": "perhaps"}, "encode"),
        ({"language": "klingon"}, "language"),
        ({"model": "gpt-5"}, "model"),
        ({"max_speakers": "0"}, "max_speakers"),
        ({"return_speaker_embeddings": "true"}, "return_speaker_embeddings"),
        ({"diarize": "true", "enable_diarization": "false"}, "diarize"),
        ({"batch_size": "16"}, "batch_size"),
    ],
)
def test_what_is_wrong_or_unknown_is_refused(
    gateway: Gateway, caller: Caller, query: dict[str, str], parameter: str
) -> None:
    """The error names the option, and nothing is left of the recording."""
    refused = ask(caller, b"RIFF", **query)
    assert (refused.status_code, refused.json()["detail"]["parameter"]) == (422, parameter)
    assert gateway.left_behind(caller) == NOTHING


def test_the_query_of_detect_language_is_its_own(gateway: Gateway, caller: Caller) -> None:
    """What only /asr knows is refused there, and both need a key."""
    refused = ask(caller, b"RIFF", "/detect-language", language="de")
    assert (refused.status_code, refused.json()["detail"]["parameter"]) == (422, "language")
    for path in ("/asr", "/detect-language"):
        answer = httpx.post(f"{gateway.url}{path}", files={"audio_file": b"RIFF"}, timeout=PATIENCE_S)
        assert answer.status_code == 401
