"""The sweep that beat starts every few seconds: expired leases, lost doorbells, unfinished deletions."""

from __future__ import annotations

from dataclasses import asdict

from shared.config import settings
from shared.errors import DatabaseUnavailable
from shared.repair import repair
from shared.storage import storage
from shared.telemetry.logs import get_logger
from tasks.app import app, ring

log = get_logger(__name__)


# Flower keeps 10,000 tasks: a sweep every five seconds would drive the jobs out of its list in half a day
@app.task(name="parley.sweep", send_events=False)
def sweep() -> None:
    """Safe to run at any time, twice at once too."""
    try:
        repairs = repair(settings(), storage(), ring)
    except DatabaseUnavailable:
        log.warning("database_away")
        return
    if any(asdict(repairs).values()):
        log.info("swept", **asdict(repairs))
