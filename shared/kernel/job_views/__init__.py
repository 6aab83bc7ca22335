"""Reading one job, with progress and a forecast; many are read by api/history/search.py. Nothing here changes a row."""

from shared.kernel.job_views.places import FAR, Waiting, places
from shared.kernel.job_views.progress import OVER, Progressing, detail, percent, waits_for
from shared.kernel.job_views.rows import JobRow, StageRow, keys_job
from shared.kernel.job_views.view import View, eta, get, owned, processing_time, transcript_key, viewed

__all__ = [
    "FAR",
    "OVER",
    "JobRow",
    "Progressing",
    "StageRow",
    "View",
    "Waiting",
    "detail",
    "eta",
    "get",
    "keys_job",
    "owned",
    "percent",
    "places",
    "processing_time",
    "transcript_key",
    "viewed",
    "waits_for",
]
