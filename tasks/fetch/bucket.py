"""s3://bucket/key: an object of a bucket that the operator listed, read with Parley's own credentials."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from shared.config import Settings
from shared.errors import ExtractionError, SourceUnavailable
from shared.intake import sources
from shared.intake.filenames import safe_filename
from shared.storage import Storage
from shared.transcript import Progress
from tasks.fetch.budget import Budget
from tasks.stages.download import Fetched, FetchLimits

CHUNK_BYTES = 1 << 20


def fetch(
    config: Settings, storage: Storage, url: str, folder: Path, limits: FetchLimits, progress: Progress
) -> Fetched | None:
    """The object, or None for a URL of another kind.

    Raises BlockedAddress, ExtractionError for an object that is not there or not ours to read, FileTooLarge and
    SourceUnavailable.
    """
    if not url.startswith(sources.S3_SCHEME):
        return None
    bucket, key = sources.bucket_and_key(url, config)
    target = folder / "recording"
    try:
        response = storage.client.get_object(Bucket=bucket, Key=key)
        with target.open("wb") as file, closing(response["Body"]) as body:
            budget = Budget(limits, response["ContentLength"], progress)
            for chunk in body.iter_chunks(CHUNK_BYTES):
                budget.spend(len(chunk))
                file.write(chunk)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise SourceUnavailable("The bucket does not answer.") from error
        raise ExtractionError("There is no such object, or it cannot be read.") from error
    except (BotoCoreError, HTTPClientError) as error:
        raise SourceUnavailable("The bucket does not answer.") from error
    return Fetched(target, safe_filename(key))
