"""What goes over the socket as JSON, and by which codes it is closed."""

from __future__ import annotations

from typing import Any

from shared.config import link
from shared.errors import ParleyError
from shared.live.sessions import Hold

NORMAL, RESTART, UNEXPECTED, LATER = 1000, 1012, 1011, 1013
OWN_CODES = 4000


def close_code(error: ParleyError) -> int:
    """4000 and the HTTP status; for what is no fault of the client's the code that RFC 6455 and IANA have."""
    return {500: UNEXPECTED, 503: LATER, 507: LATER}.get(error.status, OWN_CODES + error.status)


def hello(held: Hold, after: int) -> dict[str, Any]:
    """The first message: the session, how much of it is stored, and the event behind which it will be told of."""
    message = {
        "type": "hello",
        "session": str(held.job_id),
        "task_id": str(held.job_id),
        "encoding": held.encoding,
        **({} if held.is_container else {"rate": held.rate}),
        "seq": held.seq,
        "bytes": held.bytes,
        "event": after,
    }
    return message | ({"ended": held.end_reason} if held.end_reason else {})


def ack(seq: int, size: int) -> dict[str, Any]:
    """All frames up to this one, so many bytes, are stored."""
    return {"type": "ack", "seq": seq, "bytes": size}


def problem(error: ParleyError, request_id: str) -> dict[str, Any]:
    """The last message before the socket is closed by `close_code`; but for its type it is the API's body of errors."""
    body = {"type": "error", "code": error.code, "message": error.message, "request_id": request_id}
    return body | ({"detail": error.detail} if error.detail else {})


def ended(held: Hold, reason: str, seconds: float, *, is_whole: bool) -> dict[str, Any]:
    """The last message of a session; its task goes on."""
    return {
        "type": "ended",
        "reason": reason,
        "seconds": round(seconds, 3),
        "is_whole": is_whole,
        "task_id": str(held.job_id),
        "status_url": link(f"/status/{held.job_id}"),
        "result_url": link(f"/result/{held.job_id}"),
    }


class Messages:
    """Events as a client sees them. Beside all committed words of an utterance, a partial has those that are `new`."""

    def __init__(self) -> None:
        self._utterance, self._committed = 0, ""

    def message(self, event: dict[str, Any]) -> dict[str, Any]:
        """Of an event as `sessions.Look` has it."""
        data = event["data"]
        message = {"type": event["kind"], "id": event["id"], "utterance": event["utterance"], **data}
        if event["kind"] == "partial":
            before = self._committed if event["utterance"] == self._utterance else ""
            committed = str(data["committed"])
            message["new"] = committed[len(before) :] if committed.startswith(before) else committed
            self._utterance, self._committed = event["utterance"], committed
        return message
