"""The arguments of `parley`, and what each command is."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import uuid
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from cli import VERSION, doctor, recordings, tasks
from cli.client import Server
from cli.failures import Exit, Failure, Refused, UsageError
from cli.recordings import SUFFIXES
from cli.screen import Screen, complain
from cli.transcribe import Run, Submission, exit_code
from cli.wyoming import bridge

DEFAULT_URL = "http://127.0.0.1:8000"

EPILOG = """\
PARLEY_URL names the server, PARLEY_API_KEY is the API key.
Exit codes: 0 all done, 1 something failed, 2 wrong usage, 3 server unreachable or key refused, 130 interrupted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    options = _parser().parse_args(arguments)
    options.url = (options.url or os.environ.get("PARLEY_URL") or DEFAULT_URL).rstrip("/")
    options.api_key = (options.api_key or os.environ.get("PARLEY_API_KEY") or "").strip() or None
    command: Callable[[Server, Namespace], Exit] = options.run
    try:
        with Server(options.url, options.api_key) as server:
            return command(server, options)
    except Failure as failure:
        known_as = f" (request {failure.request_id})" if isinstance(failure, Refused) and failure.request_id else ""
        complain(f"parley: {failure.code}: {failure.message}{known_as}")
        return failure.exit
    except BrokenPipeError:  # `parley history | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        complain(f"parley: {error}")
        return Exit.FAILED
    except KeyboardInterrupt:
        complain("Interrupted. What runs on the server goes on.")
        return Exit.INTERRUPTED


def _transcribe(server: Server, options: Namespace) -> Exit:
    """Exit code 1 when a recording failed, after all others were tried."""
    items = recordings.find(options.recordings, options.output)
    _check_model(server, options.model)  # and with it that somebody is there and takes the key
    fields = {
        "diarization": "true" if options.diarize or options.num_speakers else None,
        "model": options.model,
        "language": options.language,
        "languages": options.languages,
        "num_speakers": str(options.num_speakers) if options.num_speakers else None,
        "track": options.track,
    }
    request = Submission({name: value for name, value in fields.items() if value}, options.format, options.force)
    with Screen(quiet=options.quiet) as screen:
        run = Run(options.url, options.api_key, request, screen)
        try:
            outcomes = run(items, options.jobs)
        except KeyboardInterrupt:
            left = run.on_server()
            for recording, task_id in left.items():
                screen.say(f"{recording.name}: goes on as task {task_id}")
            complain(
                f"Interrupted. Tasks that go on on the server: {len(set(left.values()))}. "
                "The same command picks them up, `parley cancel TASK` stops one."
            )
            return Exit.INTERRUPTED
    if options.json:
        for outcome in outcomes:
            print(json.dumps(outcome.as_dict(), ensure_ascii=False))
    elif options.quiet:
        for outcome in outcomes:
            if outcome.failure:
                complain(f"{outcome.recording.name}: {outcome.failure.code}: {outcome.failure.message}")
    return exit_code(outcomes)


def _check_model(server: Server, name: str | None) -> None:
    offered = server.models()
    names = [model["id"] for model in offered["models"]]
    if name not in (None, "auto", offered["default"], *names):
        raise UsageError(f"{server.url} does not offer the model {name}, but {', '.join(names)}.")


def _formats(value: str) -> list[str]:
    formats = list(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    wrong = [name for name in formats if name not in SUFFIXES]
    if wrong or not formats:
        raise argparse.ArgumentTypeError(f"formats are {', '.join(SUFFIXES)}")
    return formats


def _positive(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError("a number of at least 1 is needed")
    return int(value)


def _task(value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is not a task's id") from None


def _parser() -> ArgumentParser:
    shared = ArgumentParser(add_help=False)
    shared.add_argument("--url", help=f"address of the server (PARLEY_URL, default {DEFAULT_URL})")
    shared.add_argument("--api-key", metavar="KEY", help="other users can see it in `ps`; prefer PARLEY_API_KEY")
    shared.add_argument("--json", action="store_true", help="print one JSON object per line")
    parser = ArgumentParser(
        "parley",
        description="Turn recordings into transcripts that say who spoke when.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"parley {VERSION}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[Server, Namespace], Exit], does: str) -> ArgumentParser:
        subparser = commands.add_parser(name, help=does, description=does, parents=[shared])
        subparser.set_defaults(run=run)
        return subparser

    transcribe = command("transcribe", _transcribe, "transcribe files, folders and URLs, and write the transcripts")
    transcribe.add_argument("recordings", nargs="+", metavar="FILE|FOLDER|URL")
    transcribe.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="write the transcripts here instead of beside the recordings"
    )
    transcribe.add_argument("-f", "--format", type=_formats, default=["json"], metavar="F,F", help=", ".join(SUFFIXES))
    transcribe.add_argument("--diarize", action="store_true", help="say who spoke when")
    transcribe.add_argument(
        "--num-speakers", type=_positive, metavar="N", help="exact number of speakers; implies --diarize"
    )
    transcribe.add_argument(
        "--track", metavar="N", help="audio track of a video: 1, 2, ..., or all; default the first with sound"
    )
    transcribe.add_argument("--model", help="a model that the server offers; `parley doctor` lists them")
    transcribe.add_argument("--language", help="code, tag such as pt-BR, or name; detected by default")
    transcribe.add_argument(
        "--languages", metavar="L,L", help="languages that may be spoken, separated by commas; replaces --language"
    )
    transcribe.add_argument("--force", action="store_true", help="replace existing transcripts")
    transcribe.add_argument(
        "-j", "--jobs", type=_positive, default=4, metavar="N", help="number of recordings at the same time (default 4)"
    )
    transcribe.add_argument("-q", "--quiet", action="store_true", help="print errors only")

    for name, run, does in (
        ("status", tasks.status, "show the status of tasks"),
        ("cancel", tasks.cancel, "stop tasks"),
        ("delete", tasks.delete, "erase tasks, their recordings and their transcripts"),
    ):
        command(name, run, does).add_argument("tasks", nargs="+", type=_task, metavar="TASK")

    result = command("result", tasks.result, "print a transcript")
    result.add_argument("task", type=_task, metavar="TASK")
    result.add_argument("-f", "--format", choices=list(SUFFIXES), default="json")
    result.add_argument("-o", "--output", metavar="FILE", help="write to this file instead of the screen")
    result.add_argument("--force", action="store_true", help="replace an existing file")

    history = command("history", tasks.history, "list the tasks of this API key, newest first")
    history.add_argument("-n", "--limit", type=_positive, default=20, metavar="N", help="number of tasks (default 20)")
    history.add_argument("--status", choices=["queued", "processing", "cancelling", "done", "error", "cancelled"])
    history.add_argument(
        "-q", metavar="WORDS", help="only transcripts with these words, such as '\"train delay\" -freight'"
    )
    history.add_argument("--tag", action="append", help="only tasks with this tag; repeat it for several")
    history.add_argument("--reference", help="only tasks with this reference")
    history.add_argument("--language", help="only transcripts in this language: code, tag or name")
    history.add_argument(
        "--since", metavar="TIME", help="only tasks created at this time or later: 2026-03-01, or 2026-03-01T08:00:00Z"
    )
    history.add_argument("--until", metavar="TIME", help="only tasks created before this time")

    command("watch", tasks.watch, "follow a task and print its text as it is recognised").add_argument(
        "task", type=_task, metavar="TASK"
    )
    bridge.add_arguments(command("wyoming", bridge.wyoming, bridge.DOES))
    command("doctor", doctor.doctor, "check the server, the API key and this machine, and say what to fix")
    return parser
