"""The command `parley listen`."""

from __future__ import annotations

import argparse
import shutil
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from cli.arguments import Commands
from cli.client import Server
from cli.commands.output import print_json
from cli.failures import Exit
from cli.live.session import LiveSession, Message
from cli.live.sound import RATES, sound
from cli.screen import complain

ERASE = "\r\x1b[2K"


def add(commands: Commands) -> None:
    """The command and its arguments."""
    does = "print text while somebody speaks"
    command = commands.add("listen", listen, does, prints_lines=True)
    command.add_argument(
        "source",
        nargs="?",
        default="-",
        metavar="FILE|-",
        help="a recording, or - for 16-bit samples of one channel on stdin (default -)",
    )
    command.add_argument(
        "--rate", type=_rate, default=16_000, metavar="HZ", help="samples per second on stdin (default 16000)"
    )
    command.add_argument(
        "--speed", type=_speed, default=1.0, metavar="N", help="send a file N times as fast as it is spoken (default 1)"
    )
    command.add_argument("--model", help="a Whisper model that the server offers")
    command.add_argument("--language", help="code, tag such as pt-BR, or name; detected by default")
    command.add_argument("--hotwords", metavar="WORDS", help="names and terms likely to be spoken")
    command.add_argument("--diarize", action="store_true", help="say who speaks, and at the end who spoke when")


def listen(server: Server, options: Namespace) -> Exit:
    """Finals as lines. On a terminal, the text of what is being said stands below them. Ctrl-C ends the session."""
    source = sound(options.source, options.rate, options.speed)
    fields = {
        "rate": str(source.rate),
        "model": options.model,
        "language": options.language,
        "hotwords": options.hotwords,
        "diarization": "true" if options.diarize else None,
    }
    query = {name: value for name, value in fields.items() if value}
    printer = Printer(is_json=options.json)
    ended = LiveSession(options.url, options.api_key, query, printer.tell).run(_until_interrupted(source.pieces))
    if not options.json:
        complain(f"The whole is transcribed as task {ended['task_id']}: parley result {ended['task_id']}")
    if not ended["is_whole"]:
        complain("Its end was not heard in time; the task's transcript has it.")
    return Exit.DONE


class Printer:
    """To stdout: what is final, a line each, or with JSON every event."""

    def __init__(self, *, is_json: bool) -> None:
        self._is_json = is_json
        self._is_terminal = sys.stdout.isatty() and not is_json

    def tell(self, message: Message) -> None:
        """What the server has said."""
        if self._is_json:
            if "id" in message or message["type"] == "ended":
                print_json(message)
        elif message["type"] == "final" and message["text"].strip():
            speaker = f"{message['speaker']}: " if message.get("speaker") else ""
            print(f"{ERASE if self._is_terminal else ''}{speaker}{message['text'].strip()}", flush=True)
        elif message["type"] == "partial" and self._is_terminal:
            self._draw(f"{message['committed']}{message['tail']}".strip())

    def _draw(self, text: str) -> None:
        """Its end, in one line."""
        print(f"{ERASE}{text[-(shutil.get_terminal_size().columns - 1) :]}", end="", flush=True)


def _until_interrupted(pieces: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from pieces
    except KeyboardInterrupt:
        complain("Waiting for the last words.")


def _rate(value: str) -> int:
    if not (value.isascii() and value.isdecimal()) or int(value) not in RATES:
        raise argparse.ArgumentTypeError(f"{RATES.start} to {RATES.stop - 1} are possible")
    return int(value)


def _speed(value: str) -> float:
    try:
        speed: Any = float(value)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 1000:
        raise argparse.ArgumentTypeError("a number above 0 is needed")
    return float(speed)
