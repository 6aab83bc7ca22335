"""The transcript of a task as a response: in a format, with its corrections, under a name."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal
from urllib.parse import quote

from fastapi import Response

from api.errors import stored
from api.transcripts import corrections
from api.transcripts.formats import FORMATS, as_dict, encodable, encoded
from api.transcripts.options import FormatOptions
from api.transcripts.screen import PresetName, ScreenChoices
from shared import db
from shared.errors import Cancelled, NotReady
from shared.kernel import job_views
from shared.kernel.job_views import JobRow
from shared.options import Format, JobOptions
from shared.states import JobState
from shared.storage import Storage
from shared.transcript import Transcript, from_json

Granularity = Literal["segment", "word"]


@dataclass(frozen=True, slots=True)
class TranscriptView:
    """How a transcript is to be shown; None means as the task was submitted with, and the newest version."""

    format: Format | None = None
    timestamp_granularity: Granularity | None = None
    version: int | None = None
    preset: PresetName | None = None
    subtitles: ScreenChoices = field(default_factory=ScreenChoices)


def deliver(owner_id: uuid.UUID, task_id: uuid.UUID, storage: Storage, view: TranscriptView) -> Response:
    """The transcript of a task. Raises NotFound, NotReady, the error that ended it, and StorageUnavailable."""
    with db.session() as work:
        job = job_views.get(work, owner_id, task_id).job
    check_is_done(job)
    return show(job, storage, view)


def show(job: JobRow, storage: Storage, view: TranscriptView) -> Response:
    """The transcript of a task that is done. Raises NotFound and StorageUnavailable."""
    with db.session() as work:
        key = job_views.transcript_key(work, job.id)
        edits = corrections.edits_of(work, job, view.version)
    job_options = JobOptions.from_row(job.options)
    format_name = view.format or job_options.format
    options = FormatOptions(
        words=(view.timestamp_granularity or job_options.timestamp_granularity) == "word",
        uri=_stem(job),
        language="en" if job_options.task == "translate" else None,
        preset=view.preset,
        subtitles=view.subtitles,
    )
    transcript = corrections.corrected(from_json(Transcript, storage.get(key)), edits)
    version = job.version if view.version is None else view.version
    body = (
        _json(job, transcript, version, options) if format_name == "json" else encoded(transcript, format_name, options)
    )
    kind = FORMATS[format_name]
    headers = {"Content-Disposition": content_disposition(_stem(job) + kind.suffix, is_shown=format_name == "json")}
    return Response(body, media_type=kind.media_type, headers=headers)


def content_disposition(filename: str, *, is_shown: bool = False) -> str:
    """The header by RFC 6266: the name in ASCII for old clients, and beside it, if that lost something, in UTF-8."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in filename)
    header = f'{"inline" if is_shown else "attachment"}; filename="{plain}"'
    return header if plain == filename else f"{header}; filename*=UTF-8''{quote(filename, safe='!#$&+-.^_`|~')}"


def check_is_done(job: JobRow) -> None:
    """Raises NotReady, or the error that ended the task, when it has no transcript."""
    match job.state:
        case JobState.DONE:
            return
        case JobState.ERROR:
            raise stored(job.error_code, job.error_message, status=job.state)
        case JobState.CANCELLED:
            raise Cancelled("The task was cancelled.", status=job.state)
        case _:
            raise NotReady("The transcript is not ready yet.", status=job.state)


def _json(job: JobRow, transcript: Transcript, version: int, options: FormatOptions) -> str:
    body: dict[str, Any] = {
        "task_id": str(job.id),
        "status": job.state,
        "version": version,
        **as_dict(transcript, words=options.words),
        "processing_time": job_views.processing_time(job),
        "cached": job.cached,
    }
    return encodable(json.dumps(body, ensure_ascii=False))


def _stem(job: JobRow) -> str:
    return PurePath(job.filename or "").stem or "transcript"
