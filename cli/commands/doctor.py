"""`parley doctor`: is the server there, does it take the key, can it work, and what to do where not."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from cli import VERSION
from cli.arguments import Commands
from cli.client import Server
from cli.commands.findings import Finding
from cli.commands.machine import on_this_machine
from cli.connection import is_loopback
from cli.failures import Exit, Failure, NotAccepted, Unreachable

COLOURS = {"ok": "green", "note": "yellow", "fail": "red"}

ADVICE = {
    "database": "Start PostgreSQL, or correct DATABASE_URL of the server.",
    "broker": "Start Valkey or Redis, or correct REDIS_URL of the server. Nothing is lost, tasks wait.",
    "storage": "Start the S3 server, or correct S3_ENDPOINT_URL and its keys; or mount the disk of OBJECT_STORE.",
    "storage full": "Free space on the disk of the recordings, or delete tasks; until then no recording is taken.",
    "workers": "Start workers; tasks wait until one is there. `make run` starts all of them.",
}


LIVE_MODELS = {"model": "live sessions have no text", "final_model": "finals are by the smaller model"}
"""Fields of `live` in the answer of /models, and what comes of it where the model is not there."""

LIVE_ADVICE = "Start `python -m tasks.live`, or `make run` with LIVE=1; until then live sessions have no text."


def add(commands: Commands) -> None:
    """The command."""
    commands.add("doctor", doctor, "check the server, the API key and this machine, and say what to fix")


def doctor(server: Server, options: Namespace) -> Exit:
    """All findings; the exit code is 3 when the server or the key is the trouble, 1 for anything else that fails."""
    remote = list(_server(server, bool(options.api_key)))
    local = list(on_this_machine(Path()))
    if options.json:
        print(json.dumps([asdict(finding) for finding in (*remote, *local)], ensure_ascii=False))
    else:
        _show(remote, local)
    failed = {finding.name for finding in (*remote, *local) if finding.verdict == "fail"}
    return Exit.NO_SERVER if failed & {"server", "key"} else Exit.FAILED if failed else Exit.DONE


def _server(server: Server, has_key: bool) -> Iterator[Finding]:
    began = time.monotonic()
    try:
        server.health("/health/live")
    except Unreachable as error:
        yield Finding("server", "fail", error.message, "Start it (`make run`), or set PARLEY_URL to where it is.")
        return
    except Failure as error:
        yield Finding("server", "fail", f"{error.code}: {error.message}", "Is PARLEY_URL the address of a Parley?")
        return
    yield Finding("server", "ok", f"{server.url} answers in {1000 * (time.monotonic() - began):.0f} ms")
    if server.url.startswith("http://") and not is_loopback(server.url):
        yield Finding(
            "transport",
            "note",
            "http: key and recordings go over the network in the clear",
            "Put a reverse proxy with TLS in front of it, and use https.",
        )
    try:
        yield from _health(server)
        yield from _key(server, has_key)
    except Failure as error:
        yield Finding("server", "fail", f"{error.code}: {error.message}", "Look at the gateway's log.")


def _health(server: Server) -> Iterator[Finding]:
    _, health = server.health("/health")
    server_version = str(health.get("version"))
    if server_version.split(".")[:2] == VERSION.split(".")[:2]:
        yield Finding("version", "ok", f"{server_version}, this command is {VERSION}")
    else:
        yield Finding(
            "version", "note", f"{server_version}, but this command is {VERSION}", "Install the same version of both."
        )
    checks: dict[str, str] = health.get("checks", {})
    for name, state in checks.items():
        is_ok = state == "ok"
        advice = "" if is_ok else ADVICE.get(f"{name} {state}") or ADVICE.get(name, "Look at the gateway's log.")
        yield Finding(name, "ok" if is_ok else "fail", state, advice)
    _, queues = server.health("/health/async")
    by_queue: dict[str, dict[str, Any]] = queues.get("queues", {})
    for name, queue in by_queue.items():
        summary = f"{queue['workers']} workers, {queue['queued']} waiting, {queue['running']} running"
        if queue["workers"]:
            yield Finding(f"queue {name}", "ok", summary)
        else:
            advice = LIVE_ADVICE if name == "live" else f"Start a worker with -Q {name}; its tasks wait."
            yield Finding(f"queue {name}", "fail", summary, advice)


def _key(server: Server, has_key: bool) -> Iterator[Finding]:
    if not has_key:
        yield Finding("key", "fail", "none is given", "Set PARLEY_API_KEY; `make run` prints the key of its server.")
        return
    try:
        offered = server.models()
    except NotAccepted as error:
        advice = "Set PARLEY_API_KEY to a key of this server with the scope transcribe; its operator makes one with "
        yield Finding(
            "key", "fail", f"{error.code}: {error.message}", advice + "python -m scripts.create_api_key NAME."
        )
        return
    yield Finding("key", "ok", "is valid")
    yield from of_models(offered)


def of_models(offered: dict[str, Any]) -> Iterator[Finding]:
    """What can be asked for. Whether it is installed is unknown where no worker runs, or on an older server."""
    models: list[dict[str, Any]] = offered["models"]
    default = offered["default"]
    absent = [model["id"] for model in models if model.get("installed") is False]
    names = [
        f"{model['id']} (loaded)" if model.get("loaded") else model["id"]
        for model in models
        if model["id"] not in absent
    ]
    summary = f"{', '.join(names) or 'none'}; default {default}"
    if models:
        yield Finding("models", "ok", summary)
    else:
        yield Finding("models", "fail", summary, "Correct WHISPER_MODELS of the server.")
    if absent:
        are_needed = not names or default in absent
        fetch = f"python -m scripts.download_models --model {','.join(absent)}"
        yield Finding(
            "weights",
            "fail" if are_needed else "note",
            f"no worker has those of {', '.join(absent)}; a task with {'it' if len(absent) == 1 else 'them'} fails",
            f"Fetch them for the workers: {fetch} (docs/models.md). Or take them out of the server's WHISPER_MODELS.",
        )
    live = {field: default if name == "auto" else name for field, name in (offered.get("live") or {}).items()}
    yield from _live_models(live, [model["id"] for model in models], absent)


def _live_models(live: dict[str, str | None], offered: list[str], absent: list[str]) -> Iterator[Finding]:
    """Those that are set for live text, and are not there."""
    for field, consequence in LIVE_MODELS.items():
        name = live.get(field)
        if not name or (name in offered and name not in absent):
            continue
        lack = "no worker has the weights of" if name in offered else "this server does not offer"
        fetch = f"python -m scripts.download_models --model {name}" if name in offered else "add it to WHISPER_MODELS"
        variable = f"LIVE_{field.upper()}"
        yield Finding("live models", "fail", f"{lack} {name}: {consequence}", f"{fetch}, or correct {variable}.")


def _show(remote: list[Finding], local: list[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for title, findings in (("The server", remote), ("This machine", local)):
        if findings:
            console.print(f"[bold]{title}[/bold]")
        for finding in findings:
            colour = COLOURS[finding.verdict]
            console.print(f"  [{colour}]{finding.verdict:4}[/{colour}]  {finding.name:12}  {escape(finding.said)}")
            if finding.advice:
                console.print(f"        {'':12}  → {escape(finding.advice)}")
