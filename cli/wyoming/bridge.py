"""The process: it listens, bounds who may come at the same time, and ends within two seconds of a signal."""

from __future__ import annotations

import asyncio
import signal
import time
from argparse import Namespace
from asyncio import StreamReader, StreamWriter
from urllib.parse import urlsplit

from cli.arguments import Commands, positive
from cli.client import Server
from cli.connection import is_loopback
from cli.failures import Exit, Failure, NotAccepted, UsageError
from cli.screen import complain
from cli.wyoming import frames
from cli.wyoming.catalog import Catalog
from cli.wyoming.connection import Connection, House, Limits, farewell, peer
from cli.wyoming.gateway import Gateway
from cli.wyoming.journal import Journal
from cli.wyoming.recording import Budget

DEFAULT_URI = "tcp://127.0.0.1:10300"
"""The port of Home Assistant's own recogniser."""

TURNED_AWAY_S = 2.0
"""What who finds no room gets to read that, whatever they still send."""

GOODBYE_S = 1.5
"""After a signal: for telling the server that nobody waits any more."""


def add(commands: Commands) -> None:
    """The command and its arguments."""
    parser = commands.add("wyoming", wyoming, "answer Home Assistant in the Wyoming protocol", prints_lines=True)
    parser.add_argument("--uri", default=DEFAULT_URI, help=f"where to listen (default {DEFAULT_URI})")
    parser.add_argument("--model", help="model for clients that name none; default the server's")
    parser.add_argument("--language", help="language for clients that name none; detected by default")
    for name, default, what in (
        ("--max-seconds", 600, "maximum length of a recording"),
        ("--idle-timeout", 60, "seconds without an event after which a connection is closed"),
        ("--answer-timeout", 300, "maximum wait for a transcript, in seconds"),
        ("--max-connections", 32, "number of connections at the same time"),
    ):
        parser.add_argument(name, type=positive, default=default, metavar="N", help=f"{what} (default {default})")


def wyoming(server: Server, options: Namespace) -> Exit:
    """Until SIGTERM or SIGINT."""
    host, port = _address(options.uri)
    return asyncio.run(_Bridge(server.url, options).run(host, port))


class _Bridge:
    def __init__(self, url: str, options: Namespace) -> None:
        gateway = Gateway(url, options.api_key)
        self._house = House(
            gateway,
            Catalog(gateway, options.model),
            Budget(),
            Limits(options.max_seconds, options.idle_timeout, options.answer_timeout),
            Journal(as_json=options.json),
            options.language,
        )
        self._max_connections = options.max_connections
        self._served: set[asyncio.Task[None]] = set()
        self._turned_away = 0

    async def run(self, host: str, port: int) -> Exit:
        ended: asyncio.Future[signal.Signals] = asyncio.get_running_loop().create_future()
        self._listen_to_signals(ended)
        listener = await asyncio.start_server(self._accept, host, port, limit=frames.MAX_HEADER_BYTES)
        port = listener.sockets[0].getsockname()[1]
        complain(f"Listening on tcp://{_in_uri(host)}:{port} for {self._house.gateway.url}")
        if not is_loopback(f"http://{_in_uri(host)}"):
            complain(
                "Warning: the protocol has no password. Whoever reaches this port can use your API key to transcribe."
            )
        checking = asyncio.create_task(self._check())
        try:
            await asyncio.wait((ended, checking), return_when=asyncio.FIRST_COMPLETED)
            if checking.done():
                checking.result()
                await ended
        finally:
            checking.cancel()
            listener.close()
            for connection in self._served:
                connection.cancel()
            began = time.monotonic()
            if self._served:
                await asyncio.wait(self._served, timeout=GOODBYE_S)
            await self._house.gateway.close(max(0.0, began + GOODBYE_S - time.monotonic()))
        return Exit.INTERRUPTED if ended.result() is signal.SIGINT else Exit.DONE

    def _listen_to_signals(self, ended: asyncio.Future[signal.Signals]) -> None:
        loop = asyncio.get_running_loop()

        def end(number: signal.Signals) -> None:
            for stop_signal in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(stop_signal)  # the second one ends the process at once
            ended.set_result(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end, number)

    async def _check(self) -> None:
        """Raises NotAccepted. A server that is away now may be there when somebody speaks."""
        try:
            await self._house.gateway.models()
        except NotAccepted:
            raise
        except Failure as failure:
            complain(f"parley: {failure.code}: {failure.message}")

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        if len(self._served) >= self._max_connections:
            await self._turn_away(reader, writer)
            return
        task = asyncio.current_task()
        assert task is not None
        self._served.add(task)
        try:
            await Connection(self._house, reader, writer).serve()
        except Exception as error:  # noqa: BLE001 - the others go on
            self._house.journal.failure(peer(writer), Failure("internal", f"{type(error).__name__}: {error}"), 0)
        finally:
            self._served.discard(task)

    async def _turn_away(self, reader: StreamReader, writer: StreamWriter) -> None:
        failure = Failure("busy", f"{self._max_connections} connections are open; that is the limit.")
        self._house.journal.failure(peer(writer), failure, 0)
        if self._turned_away < self._max_connections:
            self._turned_away += 1
            try:
                await farewell(writer, reader, failure, TURNED_AWAY_S)
            finally:
                self._turned_away -= 1
        writer.close()


def _address(uri: str) -> tuple[str, int]:
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme != "tcp" or not parts.hostname or port is None or parts.path or parts.username:
        raise UsageError(f"{uri!r} is not an address to listen on, such as {DEFAULT_URI}.")
    return parts.hostname, port


def _in_uri(host: str) -> str:
    return f"[{host}]" if ":" in host else host
