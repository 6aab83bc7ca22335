"""What can go wrong, and what the shell is told about it."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; docs/cli.md lists them."""

    DONE = 0
    FAILED = 1
    """Something that was asked for did not work; the rest did."""
    USAGE = 2
    NO_SERVER = 3
    """The server cannot be reached, or does not accept the key."""
    INTERRUPTED = 130
    """128 + SIGINT, as shells count."""


class Failure(Exception):
    """Something that ends a command, or the work on one recording. `code` is stable, `message` is for people."""

    exit = Exit.FAILED

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class UsageError(Failure):
    """The command cannot be carried out as it was given."""

    exit = Exit.USAGE

    def __init__(self, message: str) -> None:
        super().__init__("usage", message)


class Refused(Failure):
    """The server answered with an error: its own `code` and `message`, and the id under which its logs have it."""

    def __init__(self, status: int, code: str, message: str, request_id: str | None) -> None:
        super().__init__(code, message)
        self.status = status
        self.request_id = request_id


class NotAccepted(Refused):
    """The API key is missing, not valid, or may not do this."""

    exit = Exit.NO_SERVER


class Unreachable(Failure):
    """Nobody answers at the server's address, or not in time."""

    exit = Exit.NO_SERVER

    def __init__(self, message: str) -> None:
        super().__init__("unreachable", message)
