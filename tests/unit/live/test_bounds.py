"""Where a session ends: before its recording is longer than one may be."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from api.live.bounds import Bounds
from api.live.sound import FRAME_BYTES, Coding
from shared.callers.keys import Caller
from shared.callers.limits import Limits
from shared.config import Settings
from shared.live.age import Age
from shared.live.sessions import SAMPLE_BYTES, End, Hold

HOUR_S = 3600
GATHERED_S = 1
"""More than is stored at once beside a frame."""

SERVERS = {"database_url": "postgresql://x/y", "redis_url": "redis://x/0"}


def bounds(rate: int, coding: Coding = "pcm16", age_s: float = 0.0, skew_s: float = 0.0, **settings: int) -> Bounds:
    """Those of a session whose database has a clock that is ahead by `skew_s`."""
    config = Settings.model_validate({**SERVERS, "max_duration": HOUR_S, "live_longest_s": 4 * HOUR_S, **settings})
    began = datetime.now(UTC) + timedelta(seconds=skew_s - age_s)
    held = Hold(uuid.uuid4(), 1, 0, 0, "pcm16", rate, began, None, Age(age_s))
    return Bounds(Caller(uuid.uuid4(), "test", frozenset(), Limits()), held, config, FRAME_BYTES[coding])


@pytest.mark.parametrize("coding", ["pcm16", "mulaw", "alaw"])
@pytest.mark.parametrize("rate", [8000, 48_000])
def test_the_last_frame_is_within_the_longest_recording(rate: int, coding: Coding) -> None:
    """Whatever has been gathered before it, and however much one message becomes."""
    bound, per_s = bounds(rate, coding), SAMPLE_BYTES * rate
    size = int(bound.longest_s * per_s)
    assert (bound.reason(size - per_s), bound.reason(size + 1)) == (None, End.LONGEST)
    assert size + GATHERED_S * per_s + FRAME_BYTES[coding] <= HOUR_S * per_s


@pytest.mark.parametrize("skew_s", [-HOUR_S, 0, HOUR_S])
def test_a_session_ends_by_the_clock_as_well(skew_s: float) -> None:
    """Without any sound, and whatever the database's clock says of ours."""
    assert bounds(8000, age_s=61, skew_s=skew_s, live_longest_s=60).reason(0) is End.LONGEST
    assert bounds(8000, age_s=50, skew_s=skew_s, live_longest_s=60).reason(0) is None
