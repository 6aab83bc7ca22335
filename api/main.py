"""The gateway's ASGI app; api/server.py serves it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware

from api import VERSION, errors, startup, waiting
from api.contracts import asr, clips, jobs, links, openai, openai_errors, whisper_service
from api.intake.body_limits import BodyLimit
from api.live import lines, stream
from api.live.bells import bells
from api.live.deepgram import listen as deepgram
from api.live.openai import realtime
from api.middleware import EmptyParameters, Head, RequestContext, Shortcuts
from api.postgres.listener import listen
from api.postgres.reader import reader
from api.postgres.writes import writes
from api.routes import (
    admin,
    batches,
    catalog,
    corrections,
    events,
    health,
    history,
    metrics,
    page,
    results,
    tasks,
    transcribe,
    uploads,
    usage,
    webhooks,
)
from api.routes.workspace import all_events, audio, session, shared_task, shares
from shared.config import settings
from shared.storage import storage
from shared.telemetry import tracing
from shared.telemetry.logs import configure_logging

DESCRIPTION = """\
Recordings in, transcripts that say who spoke when out.

1. `POST /transcribe` takes a file and answers with a task.
2. `GET /status/{task_id}` tells how far it is.
3. `GET /result/{task_id}` gives the transcript, in any format.

Every call but /health needs an API key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`. Every error is
`{"code", "message", "request_id", "detail"?}`; codes are stable.
"""

TAGS = [
    {"name": "transcribe", "description": "Submit a recording"},
    {"name": "uploads", "description": "Send a recording of any size in parts, over any number of connections"},
    {"name": "batches", "description": "Submit many recordings at once, and follow them as one"},
    {"name": "tasks", "description": "Follow a task, fetch its transcript, stop, repeat or delete it"},
    {"name": "sessions", "description": "Sign a browser in with a key, so that no script has to keep it"},
    {"name": "shares", "description": "Show one task to people without a key, by a link that expires"},
    {"name": "webhooks", "description": "Be told when a task or a batch has ended"},
    {"name": "catalogue", "description": "What can be asked for"},
    {"name": "health", "description": "For load balancers, orchestrators and people; no key needed"},
    {"name": "OpenAI", "description": "For clients of OpenAI's audio API; errors have its shape"},
    {"name": "whisper-asr-webservice", "description": "For its clients, such as subtitle tools"},
    {"name": "service v1", "description": "Below /api/v1: waiting for a transcript, or polling for it"},
    {"name": "links", "description": "After POST /transcribe with a URL: the job, its transcript and its files"},
    {"name": "jobs", "description": "A recording as a job, told apart by speakers"},
    {"name": "clips", "description": "Below /api: a recording is uploaded once and transcribed by its id"},
    {"name": "admin", "description": "For operators: keys, the queue, repair"},
]

OWN_TRACES_ONLY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own would send query strings, and what exceptions say; ours are in shared/telemetry/spans.py."""


def create_app() -> FastAPI:
    """The app, from the environment's settings."""
    configure_logging(settings(), "api")
    app = FastAPIOffline(  # with the scripts of /docs and /redoc: many who run Parley have no way out to a CDN
        docs_url=None,  # api/routes/page.py has the pages
        redoc_url=None,
        title="Parley",
        version=VERSION,
        description=DESCRIPTION,
        servers=[{"url": root_path}] if (root_path := settings().root_path) else None,
        openapi_tags=TAGS,
        lifespan=_lifespan,
        redirect_slashes=False,
        telemetry=OWN_TRACES_ONLY,
    )
    modules = (
        transcribe,
        batches,
        uploads,
        tasks,
        corrections,
        events,
        results,
        history,
        usage,
        webhooks,
        catalog,
        health,
        metrics,
        admin,
        page,
        audio,
        all_events,
        session,
        shares,
        shared_task,
    )
    for module in modules:
        app.include_router(module.router)
    for contract in (openai, asr, whisper_service, links, jobs, clips):  # links before jobs: /jobs/all is not an id
        app.include_router(contract.router)
    for face in (stream, realtime, deepgram, lines):
        app.include_router(face.router)
    errors.install(app)
    openai_errors.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(EmptyParameters)
    app.add_middleware(Head)
    app.add_middleware(Shortcuts, shortcuts=tasks.SHORTCUTS)
    app.add_middleware(RequestContext)
    if origins := settings().allowed_origins:  # around all the others, so that a page may read every error
        # without allow_credentials: the cookies of sessions are for our own page alone
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=["*"]
        )
    return app


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    preparation = await startup.prepare(settings(), storage())
    await reader.open()
    await writes.open()
    listening = asyncio.create_task(listen(_ring), name="listening")
    yield
    listening.cancel()
    preparation.cancel()
    await writes.close()
    await reader.close()
    tracing.close()


def _ring(job_id: uuid.UUID | None) -> None:
    waiting.ring(job_id)
    bells.ring(job_id)
