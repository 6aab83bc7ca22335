"""Which model is to recognise the finals of a session."""

from __future__ import annotations

import pytest

from shared.config import Settings
from shared.options import JobOptions
from tasks.live.models import final_name


@pytest.mark.parametrize(
    ("live_model", "live_final_model", "model", "finals"),
    [
        ("", "", "auto", ""),
        ("", "small", "auto", "small"),
        ("", "small", "base", ""),
        ("tiny", "small", "auto", "small"),
        ("tiny", "small", "base", "small"),
        ("tiny", "", "base", ""),
    ],
)
def test_a_model_that_is_asked_for_has_the_finals_too(
    live_model: str, live_final_model: str, model: str, finals: str
) -> None:
    """Unless the server has a model of its own for live text; then the setting holds for finals."""
    config = Settings(database_url="x", redis_url="x", live_model=live_model, live_final_model=live_final_model)
    assert final_name(config, JobOptions(model=model)) == finals
