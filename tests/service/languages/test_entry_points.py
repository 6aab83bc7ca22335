"""Languages as people write them, by every way into a real gateway that takes one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import httpx
import pytest

from scripts.local.stack import Stack
from shared.config import Settings
from shared.storage import storage_of
from tests.service.contracts.openai_calls import TRANSCRIPTIONS, TRANSLATIONS
from tests.service.gateway import Caller, Gateway, finish, gateway_on

SPELLINGS: Mapping[str, str] = {
    # regions, in any case and with any separator
    "en-AU": "en",
    "es_MX": "es",
    "FR-be": "fr",
    # scripts
    "sr-Cyrl": "sr",
    "uz_Latn_UZ": "uz",
    "az-arab-ir": "az",
    # ISO 639-2 in both forms, and 639-3
    "cze": "cs",
    "ces": "cs",
    "JPN": "ja",
    "ekk": "et",
    # what the registries or Whisper call otherwise
    "in-ID": "id",
    "mo": "ro",
    "ji": "yi",
    "fil-PH": "tl",
    "jv": "jw",
    "nb_NO": "no",
    "arz": "ar",
    # names in English
    "  ukrainian ": "uk",
    "Sinhalese": "si",
    "Letzeburgesch": "lb",
    "Slovene": "sl",
    # names in the language itself, and in others
    "Ελληνικά": "el",
    "українська": "uk",
    "TÜRKÇE": "tr",
    "Schwedisch": "sv",
    "Deutsch (Österreich)": "de",
}
CHINESE: Mapping[str, tuple[str, str | None]] = {
    "zh": ("zh", None),
    "Mandarin": ("zh", None),
    "zh-TW": ("zh", "Hant"),
    "zh_hant": ("zh", "Hant"),
    "Chinese (Taiwan)": ("zh", "Hant"),
    "繁體中文": ("zh", "Hant"),
    "zh-HK": ("zh", "Hant-HK"),
    "zh-Hant-MO": ("zh", "Hant-HK"),
    "ZH-CN": ("zh", "Hans"),
    "cmn-Hans-SG": ("zh", "Hans"),
    "简体中文": ("zh", "Hans"),
    "Simplified Chinese": ("zh", "Hans"),
    "zh-CHT": ("zh", "Hant"),
}
MEANT: Mapping[str, tuple[str, str | None]] = {name: (code, None) for name, code in SPELLINGS.items()} | dict(CHINESE)
"""Language and script by spelling."""

REFUSED: Mapping[str, str] = {
    "germn": "German",
    "en-USA": "English",
    "gsw": "German",
    "jp": "Japanese",
    "Klingon": "",
    "ga": "",
    "x-nothing": "",
}
"""With the name of what was meant, or none."""

Ask = Callable[[Caller, str], tuple[httpx.Response, Any]]
"""Asks for a language; the answer, and the options of the task where there is one."""


@pytest.fixture(scope="module")
def gateway(servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    models = {"ALLOWED_MODELS": "large-v3"}  # the one that knows Cantonese
    with gateway_on(servers, tmp_path_factory.mktemp("gateway"), storage_of(environment), **models) as running:
        yield running


def options(caller: Caller, task_id: object) -> Mapping[str, Any]:
    answer = caller.http.get(f"/tasks/{task_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["options"])


def url() -> str:
    """Of a recording that nobody asked for before."""
    return f"https://media.example/{uuid.uuid4()}.mp3"


def submission(path: str, field: str = "language", kind: str = "data") -> Ask:
    """By a form with a file, or a JSON or urlencoded body with a URL."""

    def ask(caller: Caller, language: str) -> tuple[httpx.Response, Any]:
        if kind == "file":
            content: dict[str, Any] = {"files": {"file": os.urandom(9)}, "data": {field: language}}
        else:
            content = {kind: {"url": url(), field: language}}
        answer = caller.http.post(path, **content)
        task_id = answer.json().get("task_id") or answer.json().get("job_id")
        return answer, options(caller, task_id) if answer.is_success else None

    return ask


def of_an_upload(caller: Caller, language: str) -> tuple[httpx.Response, Any]:
    """A recording that was uploaded before, by JSON."""
    upload = caller.http.post("/api/audio", files={"file": os.urandom(9)}).json()["clip_id"]
    answer = caller.http.post("/transcribe", json={"upload_id": upload, "language": language})
    return answer, options(caller, answer.json()["task_id"]) if answer.is_success else None


def batch(*, of_the_item: bool) -> Ask:
    def ask(caller: Caller, language: str) -> tuple[httpx.Response, Any]:
        body: dict[str, Any] = {"items": [{"url": url()}], "language": language}
        if of_the_item:
            body = {"items": [{"url": url(), "language": language}], "language": "zh-HK"}
        answer = caller.http.post("/transcribe/batch", json=body)
        return answer, options(caller, answer.json()["tasks"][0]["task_id"]) if answer.is_success else None

    return ask


def waited(path: str, field: str = "language", file: str = "file", kind: str = "data") -> Ask:
    """Where the answer waits for the transcript: a request with a slip is answered at once, another one given up."""

    def ask(caller: Caller, language: str) -> tuple[httpx.Response, Any]:
        content: dict[str, Any] = {"files": {file: os.urandom(9)}, kind: {field: language}}
        if language in REFUSED:
            return caller.http.post(path, **content), None
        return httpx.Response(202), options(caller, caller.give_up(path, **content))

    return ask


ENTRIES: Mapping[str, Ask] = {
    "form with a file": submission("/transcribe", kind="file"),
    "lang": submission("/transcribe", "lang", kind="file"),
    "languages": submission("/transcribe", "languages", kind="json"),
    "JSON": submission("/transcribe", kind="json"),
    "urlencoded": submission("/transcribe"),
    "upload": of_an_upload,
    "batch": batch(of_the_item=False),
    "item of a batch": batch(of_the_item=True),
    "OpenAI": waited(TRANSCRIPTIONS),
    "OpenAI's list": waited(TRANSCRIPTIONS, "languages[]"),
    "OpenAI's translation": waited(TRANSLATIONS),
    "asr": waited("/asr", file="audio_file", kind="params"),
    "service v1": waited("/api/v1/transcribe"),
    "service v1, asynchronous": submission("/api/v1/transcribe-async", kind="file"),
    "jobs": submission("/jobs", kind="file"),
}


WAITING = frozenset({"OpenAI", "OpenAI's list", "OpenAI's translation", "asr", "service v1"})
"""Of these a task is only seen by hanging up, so they are asked for every third spelling."""


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_takes_every_spelling(caller: Caller, entry: str) -> None:
    """A task has the code, and the script where Chinese is asked for in one."""
    for spelling in islice(MEANT, 0, None, 3 if entry in WAITING else 1):
        answer, task_options = ENTRIES[entry](caller, spelling)
        assert answer.is_success, (spelling, answer.text)
        assert (task_options["language"], task_options["script"]) == MEANT[spelling], spelling


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_refuses_what_is_not_offered(caller: Caller, entry: str) -> None:
    """With a code that stays, the parameter, and the name of what was probably meant."""
    for spelling, meant in REFUSED.items():
        answer, _ = ENTRIES[entry](caller, spelling)
        body = answer.json()
        if "error" in body:  # OpenAI's
            status, code, parameter = 400, body["error"]["code"], body["error"]["param"]
            message = body["error"]["message"]
        else:
            status, code, parameter, message = 422, body["code"], body["detail"]["parameter"], body["message"]
        assert (answer.status_code, code) == (status, "invalid_request"), (spelling, answer.text)
        assert "language" in parameter
        assert message.endswith(f" Did you mean {meant}?" if meant else "GET /languages lists."), message


def test_a_list_has_every_language_once(caller: Caller) -> None:
    """Several spellings of one are one. A script holds for what is Chinese; two of them leave the text as it is."""
    ask = ENTRIES["languages"]
    for listed, codes, script in (
        ("pt_BR, Englisch,eng,zh-TW", "en,pt,zh", "Hant"),
        ("zh-CN,zh-TW,en", "en,zh", None),
        ("zh,zh-Hant-HK,ja", "ja,zh", "Hant-HK"),
    ):
        _, task_options = ask(caller, listed)
        assert (task_options["language"], task_options["languages"], task_options["script"]) == (None, codes, script)


def test_a_script_can_be_asked_for_without_a_language(caller: Caller) -> None:
    """In any case; it must not be another one than the language's."""
    ask = submission("/transcribe", "script", "json")
    _, task_options = ask(caller, "hant_hk")
    assert (task_options["language"], task_options["script"]) == (None, "Hant-HK")
    answer, _ = ask(caller, "Cyrl")
    assert (answer.status_code, answer.json()["detail"]) == (422, {"parameter": "script"})
    answer = caller.http.post("/transcribe", json={"url": url(), "language": "zh-TW", "script": "Hans"})
    assert (answer.status_code, answer.json()["detail"]) == (422, {"parameter": "script"})


def test_cantonese_is_written_as_in_hong_kong(caller: Caller) -> None:
    """By default as it is recognised."""
    for spelling, script in {"yue": None, "yue-Hant": "Hant-HK", "zh-yue-HK": "Hant-HK", "yue-Hans": "Hans"}.items():
        answer = caller.http.post("/transcribe", json={"url": url(), "language": spelling, "model": "large-v3"})
        task_options = options(caller, answer.raise_for_status().json()["task_id"])
        assert (task_options["language"], task_options["script"]) == ("yue", script)


def test_the_history_is_filtered_by_every_spelling(gateway: Gateway, caller: Caller) -> None:
    """Its pages and its export; the script of a language finds its transcripts in any script."""
    tasks = {}
    for code in {"zh", *SPELLINGS.values()}:
        task_id = caller.task()
        finish(task_id, gateway.storage, language=code)
        tasks[code] = str(task_id)
    for spelling, (code, _) in MEANT.items():
        page = caller.http.get("/history", params={"language": spelling})
        assert [item["task_id"] for item in page.json()["items"]] == [tasks[code]], (spelling, page.text)
        export = caller.http.get("/history/export", params={"language": spelling, "format": "ndjson"})
        assert tasks[code] in export.text
        assert export.text.count("task_id") == 1
    for spelling, meant in REFUSED.items():
        answer = caller.http.get("/history", params={"language": spelling})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert answer.json()["message"].endswith(f"Did you mean {meant}?" if meant else "GET /languages lists.")


def test_what_is_listed_can_be_asked_for(caller: Caller) -> None:
    """By code and by name, as GET /languages has them."""
    for language in caller.http.get("/languages").json()["languages"]:
        for spelling in (language["code"], language["name"]):
            body = {"url": url(), "language": spelling, "model": "large-v3"}
            answer = caller.http.post("/transcribe", json=body)
            assert answer.status_code == 202, answer.text
            assert options(caller, answer.json()["task_id"])["language"] == language["code"]
