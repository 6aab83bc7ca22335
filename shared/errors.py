"""Every error that Parley raises on purpose: its stable code, its HTTP status and whether a retry helps.

A class is an entry of the public contract: docs/errors.md lists them all and a test compares the two.
`retryable` speaks to the pipeline: a stage that raises such an error is tried again, any other ends the job. A
`blameless` one says nothing about the recording, so its attempts are not counted.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ParleyError(Exception):
    """Base of all of them. `message` is shown to the caller, so it holds no secret and no local path."""

    code: ClassVar[str] = "unexpected_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    blameless: ClassVar[bool] = False

    def __init__(self, message: str, **detail: Any) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class UnexpectedError(ParleyError):
    """An unexpected error. Search the logs for the request id."""

    code, status, retryable = "unexpected_error", 500, True


# ---- the caller's request


class InvalidRequest(ParleyError):
    """A parameter is missing, unknown or out of range; `detail` names it."""

    code, status = "invalid_request", 422


class Unauthorized(ParleyError):
    """The API key is missing or invalid."""

    code, status = "unauthorized", 401


class Forbidden(ParleyError):
    """The API key is valid but lacks the scope for this call."""

    code, status = "forbidden", 403


class CsrfFailed(ParleyError):
    """A call that changes something came with a session's cookie and without the session's `X-CSRF-Token`."""

    code, status = "csrf_failed", 403


class NotFound(ParleyError):
    """It does not exist, or it belongs to another API key."""

    code, status = "not_found", 404


class MethodNotAllowed(ParleyError):
    """The path exists but not with this HTTP method."""

    code, status = "method_not_allowed", 405


class NotReady(ParleyError):
    """The task has no result yet; `detail.status` is its status."""

    code, status = "not_ready", 409


class WrongState(ParleyError):
    """The task, upload or endpoint is in a state that does not allow this call, such as retrying a finished task."""

    code, status = "wrong_state", 409


class VersionConflict(ParleyError):
    """The transcript was corrected after the version in the request; `detail.version` is the newest."""

    code, status = "version_conflict", 409


class IdempotencyConflict(ParleyError):
    """The `Idempotency-Key` was used for a different request in the last 24 hours; `detail.task_id` is the task it
    created."""

    code, status = "idempotency_conflict", 409


class IncompleteUpload(ParleyError):
    """The connection closed before the whole body arrived; nothing was kept."""

    code, status = "incomplete_upload", 400


class UploadTooSlow(ParleyError):
    """The body arrived more slowly than 1 kB/s for `UPLOAD_PATIENCE_S`; nothing was kept."""

    code, status = "upload_too_slow", 408


class MissingParts(ParleyError):
    """Parts of the upload are missing or have the wrong size; `detail` lists their numbers."""

    code, status = "missing_parts", 409


class ChecksumMismatch(ParleyError):
    """The content does not match the announced checksum; the upload is open again: send all parts once more."""

    code, status = "checksum_mismatch", 422


class FileTooLarge(ParleyError):
    """The recording is larger than `MAX_UPLOAD_BYTES`, or in parts than `MAX_RESUMABLE_BYTES`; or another body is
    larger than its call takes, which is `detail.max_body_bytes`."""

    code, status = "file_too_large", 413


class ModelNotAllowed(ParleyError):
    """The model is not on this server's list; GET /models shows it."""

    code, status = "model_not_allowed", 422


class ModelNotInstalled(ParleyError):
    """The model is on the list, but no worker has its weights; `installed` in GET /models says which ones are there."""

    code, status = "model_not_installed", 422


# ---- recordings by URL


class InvalidUrl(ParleyError):
    """Not a URL, or not a supported scheme: http, https, or s3 where the operator allows it."""

    code, status = "invalid_url", 422


class BlockedAddress(ParleyError):
    """The URL, a redirect or something it refers to points to an address, port or bucket that is not allowed."""

    code, status = "blocked_address", 422


class AdapterDisabled(ParleyError):
    """This server does not accept recordings this way: an `ALLOW_..._ADAPTER` setting is off."""

    code, status = "adapter_disabled", 403


class ExtractionError(ParleyError):
    """No recording could be fetched from the URL; the message gives the site's or yt-dlp's reason."""

    code, status = "extraction_error", 422


class LiveStream(ParleyError):
    """The URL is a live stream, of which `max_duration` (seconds) records a part; without it none is."""

    code, status = "live_stream", 422


class SourceUnavailable(ParleyError):
    """The server behind the URL is unreachable, failing or too slow."""

    code, status, retryable = "source_unavailable", 502, True


# ---- limits


class RateLimited(ParleyError):
    """The API key exceeded its requests per minute; `Retry-After` says when to try again."""

    code, status = "rate_limited", 429


class TooManyQueued(ParleyError):
    """The API key is at its limit of waiting tasks."""

    code, status = "too_many_queued", 429


class QuotaExceeded(ParleyError):
    """The API key has used its audio minutes for today; `detail.resets_at` is the start of the next day."""

    code, status = "quota_exceeded", 429


class TooManyUploads(ParleyError):
    """The API key is at its limit of open uploads; complete or abort one."""

    code, status = "too_many_uploads", 429


class StorageQuotaExceeded(ParleyError):
    """The API key is at its limit of stored and announced bytes; delete tasks or uploads first."""

    code, status = "storage_quota_exceeded", 403


class TooManyDeliveries(ParleyError):
    """The API key is at its limit of pending webhooks, including those of unfinished tasks."""

    code, status = "too_many_deliveries", 429


class TooManyTransfers(ParleyError):
    """The API key is at its limit of simultaneous uploads; `Retry-After` says when to try again."""

    code, status = "too_many_transfers", 429


class TooManySessions(ParleyError):
    """The API key is at its limit of live sessions; end one."""

    code, status = "too_many_sessions", 429


class TooManyShares(ParleyError):
    """The task is at its limit of links; revoke one."""

    code, status = "too_many_shares", 429


class TooManyStreams(ParleyError):
    """The API key is at its limit of streams that follow all of its tasks; end one."""

    code, status = "too_many_streams", 429


class ServiceBusy(ParleyError):
    """The queue, or the memory for uploads, is full for all keys; `Retry-After` says when to try again."""

    code, status = "service_busy", 503


# ---- live sessions


class SessionTaken(ParleyError):
    """Another connection has taken the live session over; this one is closed."""

    code, status = "session_taken", 409


class MissingAudio(ParleyError):
    """The client would go on behind audio that has not arrived; `detail.seq` is the last frame that has."""

    code, status = "missing_audio", 416


class RangeNotSatisfiable(ParleyError):
    """The range begins behind the end; `detail.bytes` is the size of what was asked for."""

    code, status = "range_not_satisfiable", 416


# ---- the recording


class NoAudio(ParleyError):
    """The file contains no audio that can be decoded."""

    code, status = "no_audio", 422


class NoSuchTrack(ParleyError):
    """The recording has no audio track of that number."""

    code, status = "no_such_track", 422


class UnsupportedMedia(ParleyError):
    """The file is a playlist, an archive or another type that is not accepted."""

    code, status = "unsupported_media", 415


class MediaTooLong(ParleyError):
    """The recording lasts longer than `MAX_DURATION`."""

    code, status = "media_too_long", 413


class DecodeFailed(ParleyError):
    """The decoder crashed, ran out of its memory or took too long on this file."""

    code, status = "decode_failed", 422


# ---- the work


class ModelUnavailable(ParleyError):
    """The weights are not in `MODEL_DIR` and could not be fetched from the Hub."""

    code, status = "model_unavailable", 503


class ModelTooLarge(ParleyError):
    """The model needs more memory than the worker has free, so it was not loaded; `detail` has both, in bytes."""

    code, status, retryable = "model_too_large", 503, True


class OutOfMemory(ParleyError):
    """Memory ran out even with the smallest batch on the CPU."""

    code, status, retryable = "out_of_memory", 500, True


class TranscriptionError(ParleyError):
    """Speech recognition failed on this recording."""

    code, status, retryable = "transcription_error", 500, True


class DiarizationError(ParleyError):
    """Speaker diarization failed; the transcript is delivered without speakers."""

    code, status, retryable = "diarization_error", 500, True


class WorkerLost(ParleyError):
    """The worker died while running this stage, on every allowed attempt."""

    code, status, retryable = "worker_lost", 500, True


class StageStalled(ParleyError):
    """The stage made no progress for `STALL_TIMEOUT_S` and was stopped."""

    code, status, retryable = "stage_stalled", 500, True


class Cancelled(ParleyError):
    """The task was cancelled by its owner."""

    code, status = "cancelled", 409


# ---- the servers behind Parley


class DatabaseUnavailable(ParleyError):
    """PostgreSQL does not answer; nothing was accepted."""

    code, status, retryable, blameless = "database_unavailable", 503, True, True


class StorageUnavailable(ParleyError):
    """The object store does not answer; nothing was accepted."""

    code, status, retryable, blameless = "storage_unavailable", 503, True, True


class StorageFull(StorageUnavailable, ParleyError):  # the second base makes it an entry of the catalogue
    """The object store is full (disk or quota); nothing was accepted."""

    code, status, retryable, blameless = "storage_full", 507, True, True


class StorageRefused(StorageUnavailable):
    """The object store answers, and refuses the request: no code of its own."""


# ---- never seen by a caller


class Interrupted(Exception):
    """The stage is to stop now: cancelled, lease lost, or worker shutting down. `reason` says which."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LeaseLost(Exception):
    """Somebody else owns the stage by now; whatever this worker produced is thrown away."""


def catalogue() -> dict[str, type[ParleyError]]:
    """All error classes by code, in the order of this file."""
    return {kind.code: kind for kind in ParleyError.__subclasses__()}
