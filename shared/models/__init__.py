"""The tables. shared/migrations creates them; `alembic check` in the tests keeps the two the same."""

from shared.models.base import Base
from shared.models.callers import ApiKey, AudioDay, BrowserSession, IdempotencyKey, Share, UsageDay
from shared.models.counts import BatchCount, JobChange, OwnerCount, StageChange, StageCount
from shared.models.jobs import Artifact, Batch, Correction, Event, Job, Stage
from shared.models.live import LiveChunk, LiveEvent, LiveSession, LiveVoices
from shared.models.quotas import KeyStorage, StorageChange, WebhookTestMinute
from shared.models.search import SearchBacklog, SearchEntry
from shared.models.storage import Erasure, Upload
from shared.models.webhooks import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookSecret
from shared.models.workers import Worker

__all__ = [
    "ApiKey",
    "Artifact",
    "AudioDay",
    "Base",
    "Batch",
    "BatchCount",
    "BrowserSession",
    "Correction",
    "Erasure",
    "Event",
    "IdempotencyKey",
    "Job",
    "JobChange",
    "KeyStorage",
    "LiveChunk",
    "LiveEvent",
    "LiveSession",
    "LiveVoices",
    "OwnerCount",
    "SearchBacklog",
    "SearchEntry",
    "Share",
    "Stage",
    "StageChange",
    "StageCount",
    "StorageChange",
    "Upload",
    "UsageDay",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookSecret",
    "WebhookTestMinute",
    "Worker",
]
