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
    """Something failed that nobody foresaw; the logs hold the request id."""

    code, status, retryable = "unexpected_error", 500, True


# ---- the caller's request


class InvalidRequest(ParleyError):
    """A parameter is missing, unknown or out of range; `detail` names it."""

    code, status = "invalid_request", 422


class Unauthorized(ParleyError):
    """No API key, or one that is not valid."""

    code, status = "unauthorized", 401


class Forbidden(ParleyError):
    """The API key is valid but lacks the scope for this call."""

    code, status = "forbidden", 403


class NotFound(ParleyError):
    """There is no such thing, or it belongs to another API key."""

    code, status = "not_found", 404


class MethodNotAllowed(ParleyError):
    """The path exists but not with this HTTP method."""

    code, status = "method_not_allowed", 405


class NotReady(ParleyError):
    """The task has no result yet; `detail.status` says where it stands."""

    code, status = "not_ready", 409


class WrongState(ParleyError):
    """The task, upload or endpoint is in a state in which this call makes no sense, such as retrying what is done."""

    code, status = "wrong_state", 409


class VersionConflict(ParleyError):
    """The transcript has been corrected since the version that the request names; `detail.version` is the newest."""

    code, status = "version_conflict", 409


class IdempotencyConflict(ParleyError):
    """The `Idempotency-Key` was used in the last 24 hours for another request; `detail.task_id` is what that made."""

    code, status = "idempotency_conflict", 409


class IncompleteUpload(ParleyError):
    """The connection ended before the whole body had arrived; nothing was kept."""

    code, status = "incomplete_upload", 400


class UploadTooSlow(ParleyError):
    """The body came more slowly than 1 kB/s for `UPLOAD_PATIENCE_S`; nothing was kept."""

    code, status = "upload_too_slow", 408


class MissingParts(ParleyError):
    """Parts of the upload have not arrived, or have another size than they must; `detail` has their numbers."""

    code, status = "missing_parts", 409


class ChecksumMismatch(ParleyError):
    """What arrived is not what was announced; the upload is open again, for all parts to be sent anew."""

    code, status = "checksum_mismatch", 422


class FileTooLarge(ParleyError):
    """The recording is larger than `MAX_UPLOAD_BYTES`, or in parts than `MAX_RESUMABLE_BYTES`; or another body is
    larger than its call takes, which is `detail.max_body_bytes`."""

    code, status = "file_too_large", 413


class ModelNotAllowed(ParleyError):
    """The model is not on this server's list; GET /models shows it."""

    code, status = "model_not_allowed", 422


# ---- recordings by URL


class InvalidUrl(ParleyError):
    """The URL is not one, or not of a kind that is fetched: http, https, or s3 where the operator allows it."""

    code, status = "invalid_url", 422


class BlockedAddress(ParleyError):
    """The URL, a redirect or something it refers to leads to an address, port or bucket that is not allowed."""

    code, status = "blocked_address", 422


class AdapterDisabled(ParleyError):
    """This server does not take recordings that way: an `ALLOW_..._ADAPTER` setting is off."""

    code, status = "adapter_disabled", 403


class ExtractionError(ParleyError):
    """There is no recording to be had at the URL; the message has the site's or yt-dlp's reason."""

    code, status = "extraction_error", 422


class SourceUnavailable(ParleyError):
    """The server behind the URL cannot be reached, fails or is too slow."""

    code, status, retryable = "source_unavailable", 502, True


# ---- limits


class RateLimited(ParleyError):
    """The API key sent more requests in a minute than it may; `Retry-After` says when the next one is let through."""

    code, status = "rate_limited", 429


class TooManyQueued(ParleyError):
    """The API key has as many tasks waiting as it may have."""

    code, status = "too_many_queued", 429


class QuotaExceeded(ParleyError):
    """The API key has used its minutes of audio for today; `detail.resets_at` says when the next day begins."""

    code, status = "quota_exceeded", 429


class TooManyUploads(ParleyError):
    """The API key has as many open uploads as it may have; complete or abort one."""

    code, status = "too_many_uploads", 429


class StorageQuotaExceeded(ParleyError):
    """The API key has as many bytes in storage, or announced, as it may have; delete tasks or uploads first."""

    code, status = "storage_quota_exceeded", 403


class TooManyDeliveries(ParleyError):
    """As many webhooks of the API key wait to be sent, with those of its unfinished tasks, as may."""

    code, status = "too_many_deliveries", 429


class TooManyTransfers(ParleyError):
    """The API key is sending as many recordings at the same time as it may; `Retry-After` says when to try again."""

    code, status = "too_many_transfers", 429


class ServiceBusy(ParleyError):
    """The queue of all keys, or the memory for what they send, is full; `Retry-After` says when to try again."""

    code, status = "service_busy", 503


# ---- the recording


class NoAudio(ParleyError):
    """Nothing in the file can be decoded as sound."""

    code, status = "no_audio", 422


class UnsupportedMedia(ParleyError):
    """The file is a playlist, an archive or something else that is not accepted as media."""

    code, status = "unsupported_media", 415


class MediaTooLong(ParleyError):
    """The recording lasts longer than `MAX_DURATION`."""

    code, status = "media_too_long", 413


class DecodeFailed(ParleyError):
    """The decoder crashed, ran out of its memory or took too long on this file."""

    code, status = "decode_failed", 422


# ---- the work


class ModelUnavailable(ParleyError):
    """The weights are neither in `MODEL_DIR` nor to be had from the Hub."""

    code, status = "model_unavailable", 503


class ModelTooLarge(ParleyError):
    """The model needs more memory than the worker has free, so it was not loaded; `detail` has both, in bytes."""

    code, status, retryable = "model_too_large", 503, True


class OutOfMemory(ParleyError):
    """Memory ran out although as little as possible was done at once, and on the CPU."""

    code, status, retryable = "out_of_memory", 500, True


class TranscriptionError(ParleyError):
    """Speech recognition failed on this recording."""

    code, status, retryable = "transcription_error", 500, True


class DiarizationError(ParleyError):
    """Speaker diarization failed; the transcript is delivered without speakers."""

    code, status, retryable = "diarization_error", 500, True


class WorkerLost(ParleyError):
    """The worker died or vanished while it held this stage, as often as is allowed."""

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
    """The object store takes nothing more, as its disk or its quota is full; nothing was accepted."""

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
