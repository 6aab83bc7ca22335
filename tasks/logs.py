"""Logs of Celery's programs - worker, beat, Flower - from their first line on, in the format of all of ours."""

from __future__ import annotations

import os
from typing import Any

import click
from celery import signals

from shared.config import Settings, settings
from shared.telemetry.logs import configure_logging

STDOUT = 1
PROGRAMS = ("worker", "beat", "flower")


@signals.import_modules.connect
def _begin(**_: Any) -> None:
    """The first that each of the programs does; other commands, as `celery inspect`, keep their own output."""
    program = asked_program()
    if program in PROGRAMS:
        _set_up(settings(), program)


@signals.setup_logging.connect
def _instead_of_celerys(**_: Any) -> None:
    """Celery leaves logging alone when somebody answers this signal; the children of a worker's pool send it too."""
    configure_logging(settings(), asked_program() or "worker")


def asked_program() -> str | None:
    """What was asked of the command line, `celery -A tasks.app PROGRAM`."""
    context = click.get_current_context(silent=True)
    return context.info_name if context else None


def _set_up(config: Settings, program: str) -> None:
    configure_logging(config, program)
    if config.log_format == "json":
        # Celery's banners and farewells are written for a terminal, past all logging; what counts is logged, on stderr
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, STDOUT)
        os.close(nowhere)
