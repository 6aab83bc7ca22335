"""A client of the service, in a pod of the cluster: `python client.py submit|begin|done|poll|...`. Prints JSON.

It comes by the Service's name, as an ingress controller does, and asks with new connections and with one that it keeps.
"""

import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx

URL = os.environ["URL"]
KEY = {"Authorization": f"Bearer {os.environ['API_KEY']}"}
STOP = pathlib.Path("/tmp/stop")
PATIENCE_S = 240


def submit(**options: str) -> str:
    """The recording on stdin; the id of the task."""
    recording = sys.stdin.buffer.read()
    files = {"file": ("call.wav", recording)}
    answer = httpx.post(f"{URL}/transcribe", headers=KEY, files=files, data=options, timeout=60)
    assert answer.status_code == 202, answer.text
    task_id: str = answer.json()["task_id"]
    return task_id


def status(task_id: str) -> dict[str, Any]:
    body: dict[str, Any] = httpx.get(f"{URL}/status/{task_id}", headers=KEY, timeout=30).json()
    return body


def begin(**options: str) -> list[str]:
    """`submit`, and wait until a worker is at its transcription: in one process, as another one may start too late."""
    task_id = submit(**options)
    _until(lambda: _stage(task_id)["state"] == "running")
    return [task_id, _stage(task_id)["started_at"]]


def began(task_id: str) -> str:
    """When the last worker has begun its transcription."""
    moment: str = _stage(task_id)["started_at"]
    return moment


def results_of(*task_ids: str) -> list[dict[str, Any]]:
    """Wait until they are; their results. A gateway that is away for a moment is asked again."""
    for task_id in task_ids:
        _until(partial(_is_over, task_id))
    return [_result(task_id) for task_id in task_ids]


def listen(rate: str, seconds: str) -> list[dict[str, Any]]:
    """A live session: the samples on stdin as fast as they are spoken, and so many seconds of silence. All that it is
    told."""
    samples, second = sys.stdin.buffer.read(), 2 * int(rate)

    def sound() -> Iterator[bytes]:
        for place in range(0, len(samples) + int(seconds) * second, second // 2):
            yield samples[place : place + second // 2].ljust(second // 2, b"\0")
            time.sleep(0.5)

    address = f"{URL}/transcribe/stream?rate={rate}"
    answer = httpx.post(address, headers=KEY, content=sound(), timeout=PATIENCE_S)
    return [json.loads(line) for line in answer.text.splitlines()]


def poll(task_id: str) -> dict[str, Any]:
    """Until the file STOP is there: how many answers, and what went wrong with those that failed."""
    STOP.unlink(missing_ok=True)
    answers, failures, worst = 0, [], 0.0
    with httpx.Client(headers=KEY, timeout=30) as persistent:
        print("polling", flush=True)
        while not STOP.exists():
            for get in (persistent.get, lambda url: httpx.get(url, headers=KEY, timeout=30)):
                start = time.monotonic()
                try:
                    answer = get(f"{URL}/status/{task_id}")
                    fault = None if answer.status_code == 200 else f"{answer.status_code} {answer.text[:200]}"
                except httpx.HTTPError as error:
                    fault = repr(error)
                worst = max(worst, time.monotonic() - start)
                answers += 1
                failures += [fault] if fault else []
            time.sleep(0.02)
    return {"answers": answers, "failures": failures, "worst_s": round(worst, 2)}


def _stage(task_id: str, name: str = "transcribe") -> dict[str, Any]:
    answer = httpx.get(f"{URL}/tasks/{task_id}", headers=KEY, timeout=30).json()
    return next(stage for stage in answer["stages"] if stage["name"] == name)


def _result(task_id: str) -> dict[str, Any]:
    answer = status(task_id)
    result = httpx.get(f"{URL}/result/{task_id}", headers=KEY, timeout=30).json()
    return {
        "status": answer["status"],
        "error": answer["error"],
        "speakers": result.get("speakers"),
        "text": result.get("text"),
    }


def _is_over(task_id: str) -> bool:
    return status(task_id)["status"] not in ("queued", "processing")


def _until(condition: Callable[[], object]) -> object:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if value := condition():
                return value
        except (httpx.HTTPError, ValueError, KeyError, StopIteration) as error:
            print(repr(error), file=sys.stderr)
        time.sleep(0.1)
    raise SystemExit(f"not within {PATIENCE_S} s")


if __name__ == "__main__":
    call, *arguments = sys.argv[1:]
    options = dict(each.split("=", 1) for each in arguments if "=" in each)
    calls: dict[str, Callable[..., object]] = {
        "submit": submit,
        "status": status,
        "begin": begin,
        "began": began,
        "done": results_of,
        "listen": listen,
        "poll": poll,
    }
    outcome = calls[call](*[each for each in arguments if "=" not in each], **options)
    print(json.dumps(outcome))
