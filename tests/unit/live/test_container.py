"""A container's sound as a listener has it: the same samples for whoever goes on with it; and what it may cost."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from api.live.bounds import Bounds
from shared.callers.keys import Caller
from shared.callers.limits import Limits
from shared.config import Settings
from shared.errors import NoAudio
from shared.live.age import Age
from shared.live.listeners import Claim, Place
from shared.live.sessions import CONTAINER, CONTAINER_RATE, End, Hold
from shared.options import JobOptions
from tasks.live.sound import Sound, opened
from tests.unit.intake.media import tone
from tests.unit.live.recorder import RATE, container, pieces

SERVERS = {"database_url": "postgresql://x/y", "redis_url": "redis://x/0"}
SECONDS = 6
MINUTE_S = 60

Opened = Callable[..., AbstractContextManager[Sound]]


@pytest.fixture
def sound(tmp_path: Path) -> Opened:
    """The sound of a session of an hour ago, from a second on."""

    @contextmanager
    def of(resume_s: float, age_s: float = 3600) -> Iterator[Sound]:
        config = Settings.model_validate({**SERVERS, "scratch_dir": tmp_path})
        place = Place(resume_s=resume_s)
        claim = Claim(uuid.uuid4(), 1, CONTAINER, CONTAINER_RATE, 0, place, JobOptions(), None, Age(age_s))
        with opened(claim, config) as started:
            yield started

    return of


@pytest.mark.parametrize("kind", ["webm", "mp4"])
@pytest.mark.parametrize("resume_s", [0.0, 0.1, 2.34375, SECONDS + 1])
def test_who_goes_on_has_the_same_samples(kind: str, resume_s: float, sound: Opened) -> None:
    """From the place on, to the last bit, however the pieces are cut; nothing before it."""
    data = container(tone(440, SECONDS, RATE), kind)

    def samples(start_s: float, count: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        with sound(start_s) as one:
            blocks = [block for piece in pieces(data, count) for block in one.hear(piece)]
            assert one.is_behind == (start_s > SECONDS)
            return np.concatenate([np.zeros(0, np.float32), *blocks, *one.end()])

    assert np.array_equal(samples(resume_s, 3), samples(0.0, 11)[round(resume_s * 16_000) :])


def test_it_knows_how_long_and_how_far_ahead_it_is(sound: Opened) -> None:
    """Of bytes that are not decoded yet it supposes that they are like those that are."""
    data = container(tone(440, SECONDS, RATE), "webm")
    began, age_s = time.monotonic(), 2.0
    with sound(0.0, age_s=age_s) as one:
        assert one.is_mute and one.seconds(len(data)) == 0
        list(one.hear(data[: len(data) // 2]))
        assert not one.is_mute and abs(one.seconds(len(data)) - SECONDS) < 0.7
        list(one.hear(data[len(data) // 2 :]))
        assert abs(one.seconds(len(data)) - SECONDS) < 0.1
        ahead_s, gone_s = one.ahead_s(), time.monotonic() - began
    assert SECONDS - age_s - gone_s - 0.1 < ahead_s < SECONDS - age_s + 0.1


def test_nothing_is_no_error(sound: Opened) -> None:
    """Of a session that ended before its first byte."""
    with sound(0.0) as one:
        assert not list(one.end())


def test_blocks_are_bounded(sound: Opened) -> None:
    """A minute that a few bytes claim comes in pieces of about ten seconds."""
    data = container(tone(440, 1, RATE), "webm", jumps=[(0.5, 50)])
    with sound(0.0) as one:
        lengths = [len(block) for block in one.hear(data)]
    assert len(lengths) > 4 and max(lengths) <= 12 * 16_000 and sum(lengths) > 50 * 16_000


def test_what_has_no_sound_says_so(sound: Opened) -> None:
    """So that the session can end."""
    with sound(0.0) as one:
        with pytest.raises(NoAudio):
            list(one.hear(b"\x1aE\xdf\xa3" + b"x" * 100_000))
            list(one.end())
        assert one.is_mute


def test_time_is_the_clocks_where_bytes_do_not_tell() -> None:
    """Minutes of a container count from its beginning, or by its bytes at 64 kB a second."""

    def reason(size: int, age_s: float, left_s: float) -> End | None:
        config = Settings.model_validate({**SERVERS, "live_longest_s": 60 * MINUTE_S})
        began = datetime.now(UTC) - timedelta(hours=5)  # by a clock that is none of ours
        held = Hold(uuid.uuid4(), 1, 0, 0, CONTAINER, CONTAINER_RATE, began, None, Age(age_s))
        bounds = Bounds(Caller(uuid.uuid4(), "test", frozenset(), Limits()), held, config)
        bounds.quota_s = left_s
        return bounds.reason(size)

    assert reason(1000, age_s=2 * MINUTE_S, left_s=MINUTE_S) is End.QUOTA
    assert reason(65_000 * MINUTE_S, age_s=1, left_s=MINUTE_S) is End.QUOTA
    assert reason(1000, age_s=61 * MINUTE_S, left_s=1e9) is End.LONGEST
    assert reason(65_000 * 60 * MINUTE_S, age_s=1, left_s=1e9) is End.LONGEST
    assert reason(30_000 * MINUTE_S, age_s=MINUTE_S, left_s=2 * MINUTE_S) is None
