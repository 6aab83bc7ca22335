"""litellm and LiveKit's agents, by their own code: only the base URL and the key are ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.clients import installed
from tests.clients.answers import is_what_was_said
from tests.clients.conftest import Said

pytestmark = pytest.mark.timeout(1200)  # the first test of a driver installs its client and runs all of it
SaidBy = Callable[[str], tuple[Said, list[int]]]


@pytest.fixture(scope="module")
def litellm(said_by: SaidBy) -> Said:
    return said_by("litellm_client.py")[0]


@pytest.fixture(scope="module")
def livekit(said_by: SaidBy) -> Said:
    return said_by("livekit_client.py")[0]


def test_the_clients_have_what_they_require() -> None:
    """Every requirement of an installed package is met by those beside it or by this environment."""
    folder = installed.python_packages()
    versions = {canonicalize_name(each.name): each.version for each in metadata.distributions()}
    own = list(metadata.distributions(path=[str(folder)]))
    versions |= {canonicalize_name(each.name): each.version for each in own}
    missing = [
        f"{each.name} needs {line}, and there is {versions.get(canonicalize_name(need.name))}"
        for each in own
        for line in each.requires or ()
        if not (need := Requirement(line)).marker or need.marker.evaluate({"extra": ""})
        if not need.specifier.contains(versions.get(canonicalize_name(need.name), "0"), prereleases=True)
    ]
    assert len(own) > 15
    assert missing == []


def test_litellm_gives_words_and_segments(litellm: Said) -> None:
    """By its plain and its async function, and with both granularities."""
    assert [is_what_was_said(text) for text in litellm["text, plain and async"]] == [True, True]
    verbose = litellm["words and segments"]
    assert is_what_was_said(" ".join(word["word"] for word in verbose["words"]))
    assert is_what_was_said(" ".join(segment["text"] for segment in verbose["segments"]))


def test_litellm_streams(litellm: Said) -> None:
    """Deltas that add up to the text of the last event."""
    *deltas, final = litellm["streams"]
    assert "".join(event["delta"] for event in deltas) == final["text"]
    assert final["usage"]["type"] == "tokens"
    assert is_what_was_said(final["text"])


@pytest.mark.parametrize(
    ("case", "name", "status"),
    [("key", "AuthenticationError", 401), ("field", "BadRequestError", 400), ("model", "NotFoundError", 404)],
)
def test_litellm_raises_its_own_errors(litellm: Said, case: str, name: str, status: int) -> None:
    error: dict[str, Any] = litellm["typed errors"][case]
    assert (error["name"], error["status"]) == (name, status)


def test_litellm_sends_again_what_may_be_sent_again(said_by: SaidBy) -> None:
    """After a 503 with Retry-After."""
    report, statuses = said_by("litellm_client.py")
    assert is_what_was_said(report["retries"])
    assert statuses == [503, 200]


@pytest.mark.parametrize("model", ["text", "gpt-transcribe with keywords and languages"])
def test_livekit_gets_the_final_transcript(livekit: Said, model: str) -> None:
    """One event with one alternative, in the language that was heard or asked for."""
    event = livekit[model]
    assert (event["type"], event["language"]) == ("final_transcript", "en")
    assert is_what_was_said(event["text"])


def test_livekit_gets_the_language_that_was_heard(livekit: Said) -> None:
    """whisper-1 is asked for verbose_json, whose language is a name."""
    event = livekit["the language that was heard"]
    assert is_what_was_said(event["text"])
    assert event["language"] == "en"


@pytest.mark.parametrize(("case", "status"), [("key", 401), ("field", 400)])
def test_livekit_raises_its_own_errors(livekit: Said, case: str, status: int) -> None:
    """APIStatusError, which it does not send again."""
    error = livekit["typed errors"][case]
    assert (error["status"], error["retryable"]) == (status, False)


def test_livekit_sends_again_what_may_be_sent_again(said_by: SaidBy) -> None:
    """After a 503 with Retry-After."""
    report, statuses = said_by("livekit_client.py")
    assert is_what_was_said(report["retries"]["text"])
    assert statuses == [503, 200]


def test_an_index_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The tests are skipped with it, or fail with REQUIRE_CLIENTS=1."""
    monkeypatch.setattr(installed, "HOME", tmp_path)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("REQUIRE_CLIENTS", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"the clients for python could not be installed: .+"):
        installed.python_packages()
    monkeypatch.setenv("REQUIRE_CLIENTS", "1")
    with pytest.raises(pytest.fail.Exception, match="REQUIRE_CLIENTS=1, and the clients for python"):
        installed.python_packages()
    assert [path for path in tmp_path.iterdir() if path.name.startswith("python")] == []
