"""s3://bucket/key: an object of a bucket that the operator listed, read with Parley's own credentials.

A bucket on the server of Parley's own objects is waited for, as every other stage waits for that server.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from shared.config import Settings
from shared.errors import ExtractionError, SourceUnavailable, StorageUnavailable
from shared.intake import sources
from shared.intake.filenames import safe_filename
from shared.storage import Storage
from shared.storage.s3 import S3
from shared.transcript import Progress
from tasks.fetch.budget import Budget
from tasks.stages.download import Fetched, FetchLimits

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK_BYTES = 1 << 20
AWAY = "The object store of the recording does not answer."


def fetch(
    config: Settings, storage: Storage, url: str, folder: Path, limits: FetchLimits, progress: Progress
) -> Fetched:
    """The object.

    Raises BlockedAddress, ExtractionError for an object that is not there or not ours to read, FileTooLarge, and, while
    the server is away, StorageUnavailable or, where Parley's own objects are elsewhere, SourceUnavailable.
    """
    unavailable = StorageUnavailable if isinstance(storage, S3) else SourceUnavailable
    bucket, key = sources.bucket_and_key(url, config)
    target = folder / "recording"
    try:
        response = _client(config, storage).get_object(Bucket=bucket, Key=key)
        with target.open("wb") as file, closing(response["Body"]) as body:
            budget = Budget(limits, response["ContentLength"], progress)
            for chunk in body.iter_chunks(CHUNK_BYTES):
                budget.spend(len(chunk))
                file.write(chunk)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise unavailable(AWAY) from error
        raise ExtractionError("There is no such object, or it cannot be read.") from error
    except (BotoCoreError, HTTPClientError) as error:
        raise unavailable(AWAY) from error
    return Fetched(target, safe_filename(key))


def _client(config: Settings, storage: Storage) -> S3Client:
    """That of our own bucket, unless our own objects are in a folder."""
    return (storage if isinstance(storage, S3) else S3(config)).client
