"""Structured logs: one JSON object per event, with `component` always and `job_id` wherever a job is meant."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from shared.config import Settings

QUIET = (
    *("botocore", "boto3", "urllib3", "s3transfer", "httpx", "httpcore", "kombu", "amqp"),  # URLs, headers, passwords
    *("faster_whisper", "alembic"),
    "uvicorn.error",  # addresses of sockets, with their queries
)
"""Loggers that say nothing below WARNING, whatever LOG_LEVEL is."""


def configure_logging(config: Settings, component: str) -> None:
    """Send every log of this process, also those of libraries, to stderr in one format."""
    first: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        lambda _logger, _method, event: {"component": component, **event},
    ]
    last: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if config.log_format == "json"
        else [structlog.dev.ConsoleRenderer(colors=False)]
    )
    structlog.configure(
        processors=[*first, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=first, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(config.log_level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def get_logger(name: str) -> Any:
    """A structlog logger; bind `job_id`, `stage`, `request_id` once and log one event per fact."""
    return structlog.get_logger(name)
