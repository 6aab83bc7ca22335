"""What `parley doctor` says of the models of live text."""

from __future__ import annotations

from typing import Any

import pytest

from cli.commands.doctor import of_models


def offered(live: dict[str, str | None] | None) -> dict[str, Any]:
    """An answer of /models: base is installed, of small no worker has the weights, and of medium nobody knows."""
    installed = {"base": True, "small": False, "medium": None}
    models = [{"id": name, "installed": is_there, "loaded": None} for name, is_there in installed.items()]
    return {"models": models, "default": "base"} | ({} if live is None else {"live": live})


@pytest.mark.parametrize(
    "live", [None, {"model": None, "final_model": None}, {"model": "base", "final_model": "medium"}]
)
def test_live_models_that_are_there_are_no_finding(live: dict[str, str | None] | None) -> None:
    """Nor are those of an older server, which does not tell."""
    assert "live models" not in {finding.name for finding in of_models(offered(live))}


@pytest.mark.parametrize(
    ("live", "message", "advice"),
    [
        ({"model": "small", "final_model": None}, "weights of small: live sessions have no text", "--model small"),
        ({"model": "base", "final_model": "small"}, "small: finals are by the smaller model", "LIVE_FINAL_MODEL"),
        ({"model": None, "final_model": "large"}, "does not offer large", "WHISPER_MODELS"),
    ],
)
def test_live_models_that_are_missing_fail(live: dict[str, str | None], message: str, advice: str) -> None:
    """With what comes of it, and what to do."""
    (finding,) = (finding for finding in of_models(offered(live)) if finding.name == "live models")
    assert finding.verdict == "fail"
    assert message in finding.said and advice in finding.advice
