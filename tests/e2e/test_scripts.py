"""Chinese speech through the whole stack, in the script that is asked for."""

from __future__ import annotations

import json
from typing import Any

import httpx

from scripts.weights.fixtures import fixture
from tests.e2e.polling import until

TIMEOUT_S = 300


def submission(http: httpx.Client, language: str) -> str:
    form = {"model": "base", "language": language, "timestamp_granularity": "word"}
    answer = http.post("/transcribe", files={"file": fixture("chinese.wav").read_bytes()}, data=form)
    return str(answer.raise_for_status().json()["task_id"])


def result(http: httpx.Client, task_id: str) -> dict[str, Any]:
    until(lambda: http.get(f"/status/{task_id}").json()["status"] == "done", "the transcript")
    return dict(http.get(f"/result/{task_id}").raise_for_status().json())


def words(transcript: dict[str, Any]) -> list[dict[str, Any]]:
    return [word for segment in transcript["segments"] for word in segment["words"]]


def test_chinese_is_written_in_the_script_of_its_tag(http: httpx.Client) -> None:
    """Text, words, subtitles and history in traditional characters by zh-TW and in simplified ones by zh-CN, from the
    moment they are recognised, with the times of the recording that was recognised once."""
    traditional = submission(http, "zh-TW")
    lines = {"Accept": "application/x-ndjson"}
    with http.stream("GET", f"/tasks/{traditional}/events", headers=lines, timeout=TIMEOUT_S) as answer:
        events = [json.loads(line) for line in answer.iter_lines()]
    simplified, as_it_is = submission(http, "zh-CN"), submission(http, "zh")
    for later in (simplified, as_it_is):
        stages = {stage["name"]: stage["state"] for stage in http.get(f"/tasks/{later}").json()["stages"]}
        assert stages["transcribe"] == "done"
    taiwan, china, plain = (result(http, task_id) for task_id in (traditional, simplified, as_it_is))
    assert [(each["language"], each["script"]) for each in (taiwan, china, plain)] == [
        ("zh", "Hant"),
        ("zh", "Hans"),
        ("zh", None),
    ]
    assert "宇宙" in taiwan["text"]
    assert "陳" in taiwan["text"] and "陈" in china["text"]
    assert [event["text"] for event in events if event["event"] == "segment"] == [
        segment["text"] for segment in taiwan["segments"]
    ]
    assert "陳" in http.get(f"/result/{traditional}", params={"format": "srt"}).text
    assert [item["task_id"] for item in http.get("/history", params={"q": f'"{taiwan["text"]}"'}).json()["items"]] == [
        traditional
    ]

    assert [word | {"word": ""} for word in words(taiwan)] == [word | {"word": ""} for word in words(plain)]
    assert "".join(word["word"] for word in words(taiwan)) == taiwan["text"].replace(" ", "")


def test_openais_clients_get_the_script_too(http: httpx.Client) -> None:
    """Streamed and at once; a translation is English in any case."""
    form = {"model": "base", "language": "zh-Hant", "prompt": "not heard before"}
    files = {"file": ("chinese.wav", fixture("chinese.wav").read_bytes())}
    stream = http.post("/v1/audio/transcriptions", files=files, data=form | {"stream": "true"}, timeout=TIMEOUT_S)
    events = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: {")]
    text = http.post("/v1/audio/transcriptions", files=files, data=form, timeout=TIMEOUT_S).json()["text"]
    assert "".join(event["delta"] for event in events if event["type"] == "transcript.text.delta").strip() == text
    assert events[-1]["text"] == text
    assert "陳" in text
    translation = http.post("/v1/audio/translations", files=files, data=form, timeout=TIMEOUT_S)
    assert translation.status_code == 200
    assert translation.json()["text"].isascii()
