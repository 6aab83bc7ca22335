"""applications.toml and libraries.toml: the clients that are tried, and the requests of those that are not run."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tests.clients.lock import INPUT, PACKAGES

ROOT = Path(__file__).parents[2]
FILES = ("applications.toml", "libraries.toml")

Answer = Literal["json", "text", "srt", "vtt", "stream"]


@dataclass(frozen=True)
class Request:
    """One request as a client sends it, and what it reads of the answer."""

    does: str
    """What it is for, as docs/clients.md says it."""
    path: str
    file: str
    """The client's source file in which it is written."""
    form: dict[str, str | list[str]] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    method: str = "POST"
    part: str = "file"
    """The form field that holds the recording."""
    filename: str = "recording.wav"
    samples: bool = False
    """Whether the recording is sent as bare samples, without its header."""
    key: bool = True
    """Whether the client can send a key. Who cannot goes through a proxy that adds one."""
    status: int = 200
    answer: Answer = "json"
    reads: dict[str, str] = field(default_factory=dict)
    """By path in the answer: what is there (`answers.py`)."""


@dataclass(frozen=True)
class Client:
    """A client that is run by its own code (`package`, `works`), or whose requests are written down."""

    name: str
    setup: list[str]
    """At most three lines of settings or code."""
    package: str = ""
    """npm:NAME or pypi:NAME."""
    repository: str = ""
    commit: str = ""
    version: str = ""
    driver: str = ""
    """What runs a client from a package, in tests/clients/drivers."""
    works: list[str] = field(default_factory=list)
    """The names under which the driver prints what it tried."""
    refused: list[str] = field(default_factory=list)
    """What is refused in the tests of a client that is run itself."""
    note: str = ""
    requests: list[Request] = field(default_factory=list)


@cache
def clients() -> tuple[Client, ...]:
    """All of them, in the order of the files."""
    texts = ((Path(__file__).parent / name).read_text() for name in FILES)
    return tuple(_client(table) for text in texts for table in tomllib.loads(text)["client"])


def _client(table: dict[str, Any]) -> Client:
    requests = [Request(**each) for each in table.pop("request", ())]
    client = Client(**table, requests=requests)
    return client if client.version else Client(**table | {"version": pinned(client.package)}, requests=requests)


def pinned(package: str) -> str:
    """The version of npm:NAME or pypi:NAME that the tests install."""
    index, _, name = package.partition(":")
    if index == "npm":
        versions: dict[str, str] = json.loads((PACKAGES / "package.json").read_text())["dependencies"]
        return versions[name]
    pins = INPUT.read_text() + (ROOT / "requirements" / "dev.txt").read_text()
    (version,) = (line.partition("==")[2] for line in pins.splitlines() if line.startswith(f"{name}=="))
    return version
