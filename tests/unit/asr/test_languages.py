"""The gateway's list of languages."""

from __future__ import annotations

import tomllib
from pathlib import Path

from faster_whisper.tokenizer import _LANGUAGE_CODES

from api import VERSION
from shared.languages import LANGUAGES, language_code


def test_the_list_is_whispers() -> None:
    """The gateway offers exactly the languages that faster-whisper knows."""
    assert set(LANGUAGES) == set(_LANGUAGE_CODES)


def test_a_language_goes_by_code_or_name() -> None:
    """Either is found in any case; anything else is not."""
    for code, name in LANGUAGES.items():
        assert language_code(code) == language_code(name.upper()) == code
    assert language_code("klingon") is None


def test_names_are_unique() -> None:
    """No two codes share a name."""
    assert len({name.lower() for name in LANGUAGES.values()}) == len(LANGUAGES)


def test_the_gateway_tells_the_projects_version() -> None:
    """GET /health shows the version of pyproject.toml."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION
