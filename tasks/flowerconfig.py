"""Flower's configuration file (`--conf`).

Its list of tasks says which job each is for. Its page of metrics, which asks for no password, is not there: Parley's
own metrics tell more, behind their own door.
"""

from flower.urls import handlers  # type: ignore[import-untyped]

handlers[:] = [handler for handler in handlers if not (isinstance(handler, tuple) and handler[0] == r"/metrics")]

tasks_columns = "name,args,state,received,started,runtime,worker,uuid"
"""`args` has the id of the job, by which the API and the logs know it; `uuid` is Celery's own."""
