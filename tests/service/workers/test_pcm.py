"""Reading converted recordings from real storage, a span of one channel at a time."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

from shared.storage import Storage
from shared.storage.s3 import S3
from shared.transcript import SAMPLE_RATE
from tasks import pcm


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_a_span_of_one_channel_is_read(channels: int, bucket: Storage) -> None:
    """Whatever the number of channels, and over more than one request, each sample is where it was written."""
    seconds = 80  # of eight channels, 75 s are read at once
    assert channels < 8 or seconds * channels > pcm.CHUNK_S
    samples = np.random.default_rng(channels).integers(-32768, 32768, (seconds * SAMPLE_RATE, channels)).astype("<i2")
    assert isinstance(bucket, S3)
    key = f"test/{uuid.uuid4()}.wav"
    bucket.put(key, bytes(pcm.HEADER_BYTES) + samples.tobytes())
    try:
        for channel in {0, channels - 1}:
            reader = pcm.reader(bucket, key, channel=channel, channels=channels)
            for start, end in ((0.0, seconds), (1.25, 1.5), (74.9, 75.1)):
                expected = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE), channel] / np.float32(32768)
                assert np.array_equal(reader(start, end), expected)
            assert reader(3.0, 3.0).size == 0
    finally:
        bucket.delete([key])


def test_a_span_costs_its_own_bytes_only(bucket: Storage) -> None:
    """What crosses the network for a second of a recording is that second, by a Range of S3."""
    assert isinstance(bucket, S3)
    key = f"test/{uuid.uuid4()}.wav"
    bucket.put(key, bytes(pcm.HEADER_BYTES + 10 * SAMPLE_RATE * pcm.SAMPLE_BYTES))
    received: list[int] = []

    def note(parsed: dict[str, Any], **_: Any) -> None:
        received.append(parsed["ContentLength"])

    events = bucket.client.meta.events
    events.register("after-call.s3.GetObject", note)
    try:
        assert pcm.reader(bucket, key)(3.0, 4.0).size == SAMPLE_RATE
    finally:
        events.unregister("after-call.s3.GetObject", note)
        bucket.delete([key])
    assert received == [SAMPLE_RATE * pcm.SAMPLE_BYTES]
