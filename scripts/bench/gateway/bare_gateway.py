"""The least FastAPI can do for the calls that benches compare: no key, no work, no storage but one file."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

from fastapi import FastAPI, Request, UploadFile


def create_app() -> FastAPI:
    """The app, made as ours is. `BARE_FILE` names the file that bodies are streamed into."""
    app = FastAPI()
    app.add_api_route("/transcribe", _submit, methods=["POST"], status_code=202)
    app.add_api_route("/status/{task_id}", _status)
    app.add_api_route("/file", _file, methods=["PUT"])
    app.add_api_route("/health/live", _live)
    return app


async def _submit(file: UploadFile) -> dict[str, int]:
    """Read the same form."""
    return {"bytes": len(await file.read())}


async def _status(task_id: str) -> dict[str, str]:
    """Answer from nothing."""
    return {"task_id": task_id, "status": "processing"}


async def _file(request: Request, hashed: bool = False) -> dict[str, int | str]:
    """The body, on disk when this is answered."""
    digest, count = hashlib.sha256(), 0
    with Path(os.environ["BARE_FILE"]).open("wb") as out:
        async for piece in request.stream():
            out.write(piece)
            count += len(piece)
            if hashed:
                digest.update(piece)
        out.flush()
        await asyncio.to_thread(os.fsync, out.fileno())
    return {"bytes": count, "sha256": digest.hexdigest() if hashed else ""}


async def _live() -> dict[str, str]:
    """Tell the supervisor that it is up."""
    return {"status": "ok"}
