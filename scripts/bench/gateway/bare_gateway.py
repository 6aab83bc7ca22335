"""The least FastAPI can do for the two calls that rates.py compares: no key, no work, no storage."""

from __future__ import annotations

from fastapi import FastAPI, UploadFile


def create_app() -> FastAPI:
    """The app, made as ours is."""
    app = FastAPI()
    app.add_api_route("/transcribe", _submit, methods=["POST"], status_code=202)
    app.add_api_route("/status/{task_id}", _status)
    app.add_api_route("/health/live", _live)
    return app


async def _submit(file: UploadFile) -> dict[str, int]:
    """Read the same form."""
    return {"bytes": len(await file.read())}


async def _status(task_id: str) -> dict[str, str]:
    """Answer from nothing."""
    return {"task_id": task_id, "status": "queued"}


async def _live() -> dict[str, str]:
    """Tell the supervisor that it is up."""
    return {"status": "ok"}
