"""OpenAI's audio API on a real gateway: what becomes of each field, and the shape of every answer."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.service.contracts.openai_calls import TRANSCRIPTIONS, TRANSLATIONS, ask, error
from tests.service.gateway import (
    NOTHING,
    PATIENCE_S,
    TRANSCRIPT,
    Caller,
    Gateway,
    eventually,
    finish,
)


def options(caller: Caller, url: str = TRANSCRIPTIONS, /, **fields: Any) -> dict[str, Any]:
    """What a form asks for, in our words. The request itself is left waiting and given up."""
    task_id = caller.give_up(url, files={"file": os.urandom(9)}, data=fields)
    return dict(caller.http.get(f"/tasks/{task_id}").json()["options"])


# ---- formats


def test_json_is_text_language_and_usage(caller: Caller, recording: bytes) -> None:
    """The default answer holds the text, the language and the seconds that were transcribed."""
    answer = ask(caller, recording, model="whisper-1")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "text": "Hello there. Good day.",
        "languages": [{"code": "en"}],
        "usage": {"type": "duration", "seconds": 2.0},
    }


def test_log_probabilities_are_given_per_word(caller: Caller, recording: bytes) -> None:
    """include[]=logprobs adds the logarithm of each word's confidence."""
    entries = ask(caller, recording, **{"include[]": "logprobs"}).json()["logprobs"]
    assert [entry["token"] for entry in entries] == [" Hello", " there.", " Good day."]
    assert entries[0]["logprob"] == pytest.approx(math.log(0.9), abs=1e-4)
    assert bytes(entries[0]["bytes"]) == b" Hello"


def test_verbose_json_has_segments_unless_only_words_are_asked_for(caller: Caller, recording: bytes) -> None:
    """Both granularities together and each alone; segments carry all fields of openai-whisper."""
    plain = ask(caller, recording, response_format="verbose_json").json()
    assert (plain["task"], plain["language"], plain["duration"]) == ("transcribe", "english", 2.0)
    assert "words" not in plain
    assert set(plain["segments"][0]) == {
        "id",
        "seek",
        "start",
        "end",
        "text",
        "tokens",
        "temperature",
        "avg_logprob",
        "compression_ratio",
        "no_speech_prob",
    }
    assert plain["segments"][1] | {"seek": 120, "start": 1.2, "end": 2.0} == plain["segments"][1]
    assert plain["segments"][0]["avg_logprob"] == pytest.approx((math.log(0.9) + math.log(0.8)) / 2, abs=1e-3)
    words = ask(caller, recording, response_format="verbose_json", **{"timestamp_granularities[]": "word"}).json()
    assert "segments" not in words
    assert words["words"][0] == {"word": "Hello", "start": 0.0, "end": 0.4}
    both = ask(caller, recording, response_format="verbose_json", **{"timestamp_granularities[]": ["word", "segment"]})
    assert {"segments", "words"} <= set(both.json())


@pytest.mark.parametrize("name", ["json", "text", "srt", "vtt", "diarized_json"])
def test_segments_may_be_asked_for_with_every_format(caller: Caller, recording: bytes, name: str) -> None:
    """timestamp_granularities[]=segment, the default, changes no answer; words need a format that has them."""
    plain = ask(caller, recording, response_format=name)
    answer = ask(caller, recording, response_format=name, **{"timestamp_granularities[]": "segment"})
    assert (answer.status_code, answer.text) == (200, plain.text)
    words = ask(caller, recording, response_format=name, **{"timestamp_granularities[]": ["word", "segment"]})
    if name != "diarized_json":
        assert error(words) == (400, "invalid_request", "timestamp_granularities")


def test_diarized_json_names_speakers_by_letters(caller: Caller, recording: bytes) -> None:
    """Speakers are A and B in the order in which they begin; nobody has to ask for diarization besides."""
    body = ask(caller, recording, model="gpt-4o-transcribe-diarize", response_format="diarized_json").json()
    assert [(s["speaker"], s["type"], s["id"]) for s in body["segments"]] == [
        ("A", "transcript.text.segment", "seg_0"),
        ("B", "transcript.text.segment", "seg_1"),
    ]
    assert (body["task"], body["duration"], body["text"]) == ("transcribe", 2.0, "Hello there. Good day.")


@pytest.mark.parametrize("name", ["timestamp_granularities", "timestamp_granularities[]"])
@pytest.mark.parametrize("granularities", [["word"], ["word", "segment"]])
def test_diarized_json_has_words_as_whisperx_does(
    caller: Caller, recording: bytes, name: str, granularities: list[str]
) -> None:
    """With the granularity `word` segments have words with score and speaker, which `word_segments` lists again."""
    plain = ask(caller, recording, response_format="diarized_json").json()
    body = ask(caller, recording, response_format="diarized_json", **{name: granularities}).json()
    words = [segment.pop("words") for segment in body["segments"]]
    assert words == [
        [
            {"word": "Hello", "start": 0.0, "end": 0.4, "score": 0.9, "speaker": "A"},
            {"word": "there.", "start": 0.5, "end": 1.0, "score": 0.8, "speaker": "A"},
        ],
        [{"word": "Good day.", "start": 1.2, "end": 2.0, "score": 0.7, "speaker": "B"}],
    ]
    assert body.pop("word_segments") == words[0] + words[1]
    assert body == plain


def test_text_and_subtitles_are_plain_text(caller: Caller, recording: bytes) -> None:
    """text, srt and vtt are not wrapped in JSON."""
    answers = {name: ask(caller, recording, response_format=name) for name in ("text", "srt", "vtt")}
    assert {answer.headers["content-type"] for answer in answers.values()} == {"text/plain; charset=utf-8"}
    assert answers["text"].text == "Hello there. Good day.\n"
    assert "00:00:01,200 --> 00:00:02,000" in answers["srt"].text
    assert answers["vtt"].text.startswith("WEBVTT")


def test_a_translation_is_english(caller: Caller, recording: bytes) -> None:
    """/v1/audio/translations gives the text alone, and calls its language English."""
    assert ask(caller, recording, TRANSLATIONS).json() == {"text": "Hello there. Good day."}
    body = ask(caller, recording, TRANSLATIONS, response_format="verbose_json").json()
    assert (body["task"], body["language"]) == ("translate", "english")
    refused = ask(caller, recording, TRANSLATIONS, response_format="diarized_json")
    assert error(refused) == (400, "invalid_request", "response_format")


# ---- the job


def test_a_call_waits_for_the_transcript(gateway: Gateway, caller: Caller) -> None:
    """A recording that nobody has heard yet is answered when its task is done."""
    with ThreadPoolExecutor() as pool:
        call = pool.submit(ask, caller, b"new", model="whisper-1")
        task_id = eventually(caller.newest, "the task")
        finish(task_id, gateway.storage)
        answer = call.result()
    assert (answer.json()["text"], answer.headers["x-task-id"]) == ("Hello there. Good day.", str(task_id))


def test_a_client_that_goes_away_leaves_the_task_running(gateway: Gateway, caller: Caller) -> None:
    """The task is finished and its result can be fetched after the client has hung up."""
    task_id = caller.give_up(TRANSCRIPTIONS, files={"file": b"new"})
    finish(task_id, gateway.storage)
    assert caller.http.get(f"/result/{task_id}").json()["text"] == TRANSCRIPT.text


def test_a_failed_task_is_not_sent_again(gateway: Gateway, caller: Caller) -> None:
    """The error that ended the task is the answer, with the header by which OpenAI's clients do not repeat it."""
    with ThreadPoolExecutor() as pool:
        call = pool.submit(ask, caller, b"noise")
        task_id = eventually(caller.newest, "the task")
        caller.http.post(f"/tasks/{task_id}/cancel")
        answer = call.result()
    assert error(answer) == (409, "cancelled", None)
    assert answer.headers["x-should-retry"] == "false"


# ---- fields


def test_fields_become_our_options(caller: Caller) -> None:
    """Model names of OpenAI stand for the default; temperature 0 leaves the fallback on; keywords are hotwords."""
    default = caller.http.get("/models").json()["default"]
    task_options = options(
        caller,
        **{
            "model": "gpt-4o-transcribe",
            "language": "de-DE",
            "prompt": "x" * 5000,
            "temperature": "0",
            "keywords[]": ["Parley", "Whisper"],
            "chunking_strategy[type]": "server_vad",
            "chunking_strategy[threshold]": "0.5",
        },
    )
    assert (task_options["model"], task_options["language"], task_options["temperature"]) == (default, "de", None)
    assert (len(task_options["prompt"]), task_options["hotwords"], task_options["diarization"]) == (
        2000,
        "Parley, Whisper",
        False,
    )
    assert options(caller, model="Systran/faster-whisper-base")["model"] == "base"
    other = options(caller, model="tiny", temperature="0.4", **{"languages[]": "fr"})
    assert (other["model"], other["language"], other["temperature"]) == ("tiny", "fr", 0.4)
    several = options(caller, **{"languages[]": ["fr-CA", "Deutsch"]})
    assert (several["language"], several["languages"]) == (None, "de,fr")


def test_spaces_and_empty_fields_change_nothing(caller: Caller, recording: bytes) -> None:
    """Spaces around a value are none of it, and what is empty counts as left out, in lists as well."""
    plain = {"response_format": " json ", "stream": " False ", "model": " whisper-1 ", "temperature": " 0 "}
    lists = {"timestamp_granularities[]": ["", " segment "], "include[]": "", "languages[]": " "}
    answer = ask(caller, recording, **plain, **lists, language="")
    assert (answer.status_code, answer.json()) == (200, ask(caller, recording).json())


def test_a_translation_may_be_told_what_is_spoken(caller: Caller) -> None:
    """`language`, which go-openai sends, is the language of the recording; one that there is not is refused."""
    task_options = options(caller, TRANSLATIONS, language="German")
    assert (task_options["task"], task_options["language"]) == ("translate", "de")
    assert error(ask(caller, b"RIFF", TRANSLATIONS, language="klingon")) == (400, "invalid_request", "language")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"response_format": "xml"}, (400, "invalid_request", "response_format")),
        ({"temperature": "1.5"}, (400, "invalid_request", "temperature")),
        ({"temperature": "nan"}, (400, "invalid_request", "temperature")),
        ({"language": "klingon"}, (400, "invalid_request", "language")),
        ({"model": "gpt-5"}, (404, "model_not_found", "model")),
        ({"timestamp_granularities[]": "word"}, (400, "invalid_request", "timestamp_granularities")),
        ({"stream": "perhaps"}, (400, "invalid_request", "stream")),
        ({"known_speaker_names[]": "Ann"}, (400, "invalid_request", "known_speaker_names")),
        ({"chunking_strategy": "none"}, (400, "invalid_request", "chunking_strategy")),
        ({"colour": "red"}, (400, "invalid_request", "colour")),
    ],
)
def test_a_wrong_field_is_named_and_leaves_nothing(
    gateway: Gateway, caller: Caller, fields: dict[str, str], expected: tuple[int, str, str]
) -> None:
    """The error has OpenAI's shape, names the field, and neither a task nor an object is left."""
    assert error(ask(caller, b"RIFF", **fields)) == expected
    assert caller.newest() is None
    assert gateway.left_behind(caller) == NOTHING


def test_errors_have_openais_shape_on_its_paths_only(gateway: Gateway, caller: Caller) -> None:
    """A missing key, a missing file and an unknown model; our own paths answer as ever."""
    assert error(httpx.get(f"{gateway.url}/v1/models", timeout=PATIENCE_S)) == (401, "invalid_api_key", None)
    assert error(caller.http.post(TRANSCRIPTIONS, data={"model": "whisper-1"}))[0] == 400
    assert error(caller.http.get("/v1/models/gpt-5")) == (404, "model_not_found", "model")
    assert caller.http.get("/status/nothing").json()["code"] == "not_found"


def test_the_key_may_come_in_either_header(gateway: Gateway, caller: Caller) -> None:
    """X-API-Key works as well as a bearer token."""
    headers = {"X-API-Key": caller.key}
    assert httpx.get(f"{gateway.url}/v1/models", headers=headers, timeout=PATIENCE_S).status_code == 200


def test_models_are_openais_names_and_ours(caller: Caller) -> None:
    """Every name in the list can be fetched by itself."""
    listed = caller.http.get("/v1/models").json()
    assert listed["object"] == "list"
    names = [entry["id"] for entry in listed["data"]]
    assert {"whisper-1", "gpt-4o-transcribe", "base", "tiny.en"} <= set(names)
    for hub_name in ("Systran/faster-whisper-base", "openai%2Fwhisper-base"):
        assert caller.http.get(f"/v1/models/{hub_name}").json()["id"] == hub_name.replace("%2F", "/")
    assert error(caller.http.get("/v1/models/openai/whisper-2")) == (404, "model_not_found", "model")
    assert caller.http.get("/v1/models/whisper-1").json() == listed["data"][names.index("whisper-1")]
