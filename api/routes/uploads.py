"""Recordings that arrive in parts: of any size, in any order, over any number of connections."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

import anyio
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from uuid_utils.compat import uuid7

from api import deletion, limits
from api.bodies import upload_views, views
from api.bodies.choices import Switch
from api.bodies.schemas import BYTES, described, request_body
from api.bodies.uploads import NewUpload, ReceivedPart, UploadDetail, UploadInfo, UploadReceipt, Uploads
from api.dependencies import CallerDep, DetachedCallerDep, SessionDep, SettingsDep, StorageDep, SubmitterDep
from api.errors import responses
from api.intake import assembly, ingest, relay, transfer
from api.intake.body_limits import json_body
from shared import db
from shared.callers.keys import Caller
from shared.config import link
from shared.errors import (
    AdapterDisabled,
    ChecksumMismatch,
    DatabaseUnavailable,
    FileTooLarge,
    Forbidden,
    InvalidRequest,
    MissingParts,
    NotFound,
    ParleyError,
    StorageFull,
    StorageUnavailable,
    TooManyUploads,
    Unauthorized,
    WrongState,
)
from shared.intake import parts, uploads
from shared.intake.filenames import safe_filename
from shared.intake.parts import MAX_PARTS, Layout
from shared.intake.uploads import UploadState
from shared.models import Upload
from shared.storage import HEAD_BYTES, URL_SECONDS, Storage, public_storage

router = APIRouter(prefix="/uploads", tags=["uploads"])

USUAL = (Unauthorized, Forbidden, NotFound, DatabaseUnavailable)
STORING = (*USUAL, InvalidRequest, StorageUnavailable, StorageFull)

CHECKS = CapacityLimiter(4)
"""Uploads that are read back at the same time: each takes a core while it lasts, some 2 s per GB."""

LOOK_AGAIN_S = 0.5
"""While another request completes the upload."""

PageSize = Annotated[int, Query(alias="limit", ge=1, le=1000, description="Parts per answer")]
FirstPart = Annotated[int, Query(ge=1, le=MAX_PARTS, description="`next_part` of the answer before")]
OnlyMissing = Annotated[Switch, Query(description="Only parts that are still to be sent")]


@router.post(
    "",
    status_code=201,
    response_model=UploadDetail,
    summary="Begin an upload in parts",
    openapi_extra=described(NewUpload),
    responses=responses(*STORING, *transfer.REFUSALS, TooManyUploads, FileTooLarge, AdapterDisabled, *limits.REFUSALS),
)
def begin(
    response: Response,
    caller: SubmitterDep,
    body: Annotated[NewUpload, Depends(json_body(NewUpload))],
    config: SettingsDep,
    storage: StorageDep,
    limit: PageSize = 100,
) -> UploadDetail:
    """Say how many bytes will come; the answer says in which parts, and where to send them.

        curl -H "Authorization: Bearer $API_KEY" --json '{"filename": "long.wav", "bytes": 10737418240}' $URL/uploads

    Then `PUT` each part, `POST` to `complete`, and use `upload_id` in `POST /transcribe`. With `sha256`, a recording
    that this key has sent before is `complete` at once.
    """
    if not config.allow_upload_adapter:
        raise AdapterDisabled("This server does not take uploaded files.")
    most = config.max_resumable_bytes
    if body.bytes > most:
        raise FileTooLarge(f"The file is larger than {most} bytes.", max_upload_bytes=most)
    storage.fullness.check()
    upload_id = uuid7()
    with db.session() as work:
        upload = uploads.begin(
            work,
            upload_id=upload_id,
            owner_id=caller.id,
            filename=safe_filename(body.filename or ""),
            cut=parts.layout(body.bytes, body.part_bytes),
            sha256=body.sha256,
            ttl_s=config.upload_ttl_s,
        )
    response.headers["Location"] = link(f"/uploads/{upload_id}")
    if upload.state == UploadState.OPEN:
        upload = assembly.opened(caller.id, upload_id, storage)
    return _detail(upload, storage, limit=limit)


@router.get("", response_model=Uploads, summary="All uploads of this key", responses=responses(*USUAL, InvalidRequest))
def listing(
    response: Response,
    caller: CallerDep,
    session: SessionDep,
    limit: Annotated[int, Query(ge=1, le=100, description="Entries per page")] = 20,
    cursor: Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before")] = None,
    state: Annotated[UploadState | None, Query(description="Only uploads in this state")] = None,
) -> Uploads:
    """Newest first, a page at a time. The header `Link: <...>; rel="next"` leads to the next page as well.

    curl -H "Authorization: Bearer $API_KEY" "$URL/uploads?state=open"
    """
    rows, last = uploads.page(session, caller.id, limit=limit, before=views.row_before(cursor), state=state)
    next_cursor = views.cursor_of(last)
    if next_cursor:
        query = {"limit": limit, "cursor": next_cursor} | ({"state": state.value} if state else {})
        response.headers["Link"] = f'</uploads?{urlencode(query)}>; rel="next"'
    return Uploads(items=[upload_views.info(upload) for upload in rows], next_cursor=next_cursor)


@router.get("/{upload_id}", response_model=UploadDetail, summary="Parts of an upload", responses=responses(*STORING))
def detail(
    upload_id: uuid.UUID,
    caller: DetachedCallerDep,
    storage: StorageDep,
    limit: PageSize = 100,
    first_part: FirstPart = 1,
    missing: OnlyMissing = False,
) -> UploadDetail:
    """After a lost connection: which parts have arrived, and fresh URLs for the rest.

    curl -H "Authorization: Bearer $API_KEY" "$URL/uploads/$UPLOAD_ID?missing=true"
    """
    upload = assembly.opened(caller.id, upload_id, storage)
    return _detail(upload, storage, limit=limit, first_part=first_part, missing=missing)


@router.put(
    "/{upload_id}/parts/{number}",
    response_model=ReceivedPart,
    summary="Send a part",
    openapi_extra=request_body({BYTES: {"type": "string", "format": "binary"}}),
    responses=responses(*STORING, *transfer.REFUSALS, WrongState, AdapterDisabled),
)
async def put_part(
    request: Request,
    upload_id: uuid.UUID,
    number: Annotated[int, Path(ge=1, le=MAX_PARTS)],
    caller: DetachedCallerDep,
    config: SettingsDep,
    storage: StorageDep,
) -> ReceivedPart:
    """The bare bytes of one part, which has exactly the size that the upload says. A part that comes again replaces it.

    curl -H "Authorization: Bearer $API_KEY" -T part-1 $URL/uploads/$UPLOAD_ID/parts/1
    """
    if not config.allow_upload_adapter:
        raise AdapterDisabled("This server does not take uploaded files.")
    upload = await ingest.in_thread(assembly.opened, caller.id, upload_id, storage)
    cut = Layout(upload.bytes, upload.part_bytes)
    if number > cut.count:
        raise NotFound(f"The upload has {cut.count} parts.")
    if upload.state != UploadState.OPEN or upload.storage_id is None:
        raise WrongState(f"The upload is {upload.state}; it takes no more parts.", status=upload.state)
    size = cut.size(number)
    storage.fullness.check()
    with transfer.reserved(request, HEAD_BYTES):
        try:
            etag = await relay.put(request, storage, upload.key, upload.storage_id, number, size)
        except ParleyError as error:
            storage.fullness.note(error)
            raise
    return ReceivedPart(number=number, bytes=size, etag=etag)


@router.post(
    "/{upload_id}/complete",
    response_model=UploadInfo,
    summary="Complete an upload",
    responses=responses(*STORING, MissingParts, ChecksumMismatch),
)
async def complete(
    upload_id: uuid.UUID, caller: DetachedCallerDep, config: SettingsDep, storage: StorageDep
) -> UploadInfo:
    """Joins the parts and reads the whole back to compare size and SHA-256: seconds per GB. Safe to send again.

    curl -X POST -H "Authorization: Bearer $API_KEY" $URL/uploads/$UPLOAD_ID/complete

    The check goes on if the connection is lost. `missing_parts` says which parts to send; after `checksum_mismatch` all
    parts have to be sent again.
    """
    while (upload := await _complete(caller, upload_id, config.upload_ttl_s, storage)) is None:
        await anyio.sleep(LOOK_AGAIN_S)
    return upload_views.info(upload)


@router.delete(
    "/{upload_id}",
    response_model=UploadReceipt,
    summary="Abort an upload, or delete one that is complete",
    responses={
        202: {"model": UploadReceipt, "description": "Erased; storage will be emptied when it answers again"},
        **responses(*USUAL),
    },
)
def delete(upload_id: uuid.UUID, response: Response, caller: DetachedCallerDep, storage: StorageDep) -> UploadReceipt:
    """Parts and recording are removed, unless a task uses the recording: then it stays until that task is deleted.

    curl -X DELETE -H "Authorization: Bearer $API_KEY" $URL/uploads/$UPLOAD_ID
    """
    receipt = deletion.delete_upload(caller.id, upload_id, storage)
    response.status_code = 200 if receipt.verified else 202
    return receipt


async def _complete(caller: Caller, upload_id: uuid.UUID, ttl_s: float, storage: Storage) -> Upload | None:
    return await to_thread.run_sync(assembly.complete, caller.id, upload_id, storage, ttl_s, limiter=CHECKS)


def _detail(
    upload: Upload, storage: Storage, *, limit: int, first_part: int = 1, missing: bool = False
) -> UploadDetail:
    is_open = upload.state == UploadState.OPEN and upload.storage_id is not None
    by_number = storage.parts(upload.key, upload.storage_id) if is_open and upload.storage_id else {}
    return upload_views.detail(
        upload,
        by_number,
        public_storage(),
        numbers=upload_views.numbers(upload, by_number, first_part, missing=missing) if is_open else [],
        limit=limit,
        urls_expire_at=datetime.now(UTC) + timedelta(seconds=URL_SECONDS),
    )
