"""The command `parley transcribe`."""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path

from cli import recordings
from cli.arguments import Commands, positive
from cli.client import Server
from cli.commands.output import print_json
from cli.failures import Exit, UsageError
from cli.recordings import SUFFIXES
from cli.screen import Screen, complain
from cli.transcribe import Run, Submission, exit_code


def add(commands: Commands) -> None:
    """The command and its arguments."""
    does = "transcribe files, folders and URLs, and write the transcripts"
    command = commands.add("transcribe", transcribe, does, prints_lines=True)
    command.add_argument("recordings", nargs="+", metavar="FILE|FOLDER|URL")
    command.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="write the transcripts here instead of beside the recordings"
    )
    command.add_argument("-f", "--format", type=_formats, default=["json"], metavar="F,F", help=", ".join(SUFFIXES))
    command.add_argument("--diarize", action="store_true", help="say who spoke when")
    command.add_argument(
        "--num-speakers", type=positive, metavar="N", help="exact number of speakers; implies --diarize"
    )
    command.add_argument(
        "--track", metavar="N", help="audio track of a video: 1, 2, ..., or all; default the first with sound"
    )
    command.add_argument(
        "--max-duration", type=positive, metavar="S", help="seconds to record of a URL that is a live stream"
    )
    command.add_argument("--model", help="a model that the server offers; `parley doctor` lists them")
    command.add_argument("--language", help="code, tag such as pt-BR, or name; detected by default")
    command.add_argument(
        "--languages", metavar="L,L", help="languages that may be spoken, separated by commas; replaces --language"
    )
    command.add_argument("--force", action="store_true", help="replace existing transcripts")
    command.add_argument(
        "-j", "--jobs", type=positive, default=4, metavar="N", help="number of recordings at the same time (default 4)"
    )
    command.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def transcribe(server: Server, options: Namespace) -> Exit:
    """Exit code 1 when a recording failed, after all others were tried."""
    items, others = recordings.find(options.recordings, options.output)
    _check_model(server, options.model)  # and with it that somebody is there and takes the key
    fields = {
        "diarization": "true" if options.diarize or options.num_speakers else None,
        "model": options.model,
        "language": options.language,
        "languages": options.languages,
        "num_speakers": str(options.num_speakers) if options.num_speakers else None,
        "track": options.track,
        "max_duration": str(options.max_duration) if options.max_duration else None,
    }
    request = Submission({name: value for name, value in fields.items() if value}, options.format, options.force)
    with Screen(quiet=options.quiet) as screen:
        if others:
            screen.say(recordings.passed_over(others))
        run = Run(options.url, options.api_key, request, screen)
        try:
            outcomes = run(items, options.jobs)
        except KeyboardInterrupt:
            tasks = run.on_server()
            for recording, task_id in tasks.items():
                screen.say(f"{recording.name}: goes on as task {task_id}")
            complain(
                f"Interrupted. Tasks that go on on the server: {len(set(tasks.values()))}. "
                "The same command picks them up, `parley cancel TASK` stops one."
            )
            return Exit.INTERRUPTED
    if options.json:
        for outcome in outcomes:
            print_json(outcome.as_dict())
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
