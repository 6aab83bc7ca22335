"""Flower's configuration file (`--conf`): its page of metrics, which asks for no password, is not there.

Parley's own metrics tell more, behind their own door.
"""

from flower.urls import handlers  # type: ignore[import-untyped]

handlers[:] = [handler for handler in handlers if not (isinstance(handler, tuple) and handler[0] == r"/metrics")]
