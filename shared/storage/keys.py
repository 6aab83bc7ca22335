"""The layout of object keys.

    OWNER/JOB/upload                      the recording as it came; of one that came in parts, JOB is the upload's id
    OWNER/JOB/STAGE/SHARD.FENCE.SUFFIX    what a stage produced; the fence keeps two workers from writing one object

Deleting a job is deleting a prefix, except for objects that other jobs of the same owner reuse.
"""

from __future__ import annotations

import uuid


def job_prefix(owner_id: uuid.UUID, job_id: uuid.UUID) -> str:
    """Where everything that belongs to a job lies."""
    return f"{owner_id}/{job_id}/"


def upload_key(owner_id: uuid.UUID, job_id: uuid.UUID) -> str:
    """Key of the recording that a client sent."""
    return job_prefix(owner_id, job_id) + "upload"


def stage_key(owner_id: uuid.UUID, job_id: uuid.UUID, stage: str, shard: int, fence: int, suffix: str) -> str:
    """Key of a stage's answer; `suffix` starts with a dot."""
    return f"{job_prefix(owner_id, job_id)}{stage}/{shard}.{fence}{suffix}"
