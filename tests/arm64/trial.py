"""`python -m tests.arm64.trial`, on the emulated machine: Parley's own program and tests there, a line for each step.

Steps build on one another: the stack that `make demo` made is started again, disturbed and stopped.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import traceback
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tasks.sandbox.lockdown import landlock_abi

MARK = "@@ "
"""Before each line that the other machine reads."""

ROOT = Path(__file__).resolve().parents[2]
PYTHON = str(ROOT / ".venv/bin/python")
USER_ID = 1000
HOME = ROOT / ".parley/demo"
PORT = 8000
URL = f"http://127.0.0.1:{PORT}"
SETTINGS = {"WHISPER_MODEL": "tiny.en", "WHISPER_MODELS": "tiny.en", "HF_HUB_OFFLINE": "1", "PARLEY_HOME": str(HOME)}

JAILS = ("tests/unit/sandbox/test_decoder_jail.py", "tests/unit/sandbox/test_extractor_jail.py")
LINE = re.compile(r"^  \d\d:\d\d\.\d - \d\d:\d\d\.\d  (\S+) +(\S.*)$", re.MULTILINE)
"""A segment of the transcript: times, speaker, text."""

CALL, CALL_S = ROOT / "demo/call.wav", 20
"""Of the sample call, in which both have spoken by then. The whole of it, 30 s, takes a minute and a half more."""

PART, PART_S = ROOT / "demo/part.wav", 10

START_S, TASK_S, STOP_S, JAIL_S, DEMO_S, BENCH_S = 300, 420, 120, 240, 700, 60
"""What each may take at the most, times PATIENCE."""

PATIENCE = float(re.findall(r"parley\.patience=([\d.]+)", Path("/proc/cmdline").read_text() + " parley.patience=1")[0])
"""What the other machine says of itself, where it is busy."""

POLL_S = 1.0

Facts = dict[str, Any]


def person(*command: str, **variables: str) -> subprocess.Popen[str]:
    """A command of an ordinary user in the checkout, which can be stopped as by Ctrl-C."""
    prefix = ("setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups", "--")
    return run(*prefix, *command, HOME="/home/person", USER="person", **variables)


def run(*command: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/root"} | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def until(is_so: Callable[[], bool], what: str, timeout_s: float) -> None:
    """Raises AssertionError when it has not come by then."""
    deadline = time.monotonic() + timeout_s * PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(POLL_S)


def ended(process: subprocess.Popen[str], timeout_s: float) -> str:
    """What it said until its end. Raises AssertionError with that, and with what the stack's logs end with, when it had
    to be ended."""
    try:
        return process.communicate(timeout=timeout_s * PATIENCE)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        output, _ = process.communicate(timeout=STOP_S * PATIENCE)
        logs = (f"{log.name}:\n{log.read_text(errors='replace')[-600:]}" for log in sorted(HOME.glob("logs/*.log")))
        raise AssertionError("\n".join((f"not done within {timeout_s:g} s", output, *logs))) from None


class Trial:
    """What one step leaves for the next."""

    def __init__(self) -> None:
        self._jails: dict[str, subprocess.Popen[str]] = {}
        self._stack: subprocess.Popen[str] | None = None
        self._http = httpx.Client(base_url=URL, timeout=60)

    def machine(self) -> Facts:
        names = {"kernel": os.uname().release, "machine": os.uname().machine}
        assert names["machine"] == "aarch64"
        return names | {"page_bytes": os.sysconf("SC_PAGE_SIZE"), "landlock": landlock_abi(), "cores": os.cpu_count()}

    def jail_of_root(self) -> Facts:
        """Both run side by side; the second step waits for the other."""
        pytest = (PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", "-k", "no_way_out", *JAILS)
        self._jails = {"root": run(*pytest), "person": person(*pytest)}
        return self._jail("root")

    def jail_of_a_user(self) -> Facts:
        return self._jail("person")

    def _jail(self, user: str) -> Facts:
        output = ended(self._jails[user], JAIL_S)
        assert self._jails[user].returncode == 0 and "3 passed" in output, output
        return {"said": output.strip().splitlines()[-1]}

    def demo(self) -> Facts:
        """A telephone call by a model for English, with its speakers."""
        cut(CALL, CALL_S)
        process = person("make", "demo", f"FILE={CALL}", **SETTINGS)
        output = ended(process, DEMO_S)
        assert process.returncode == 0, output
        lines = LINE.findall(output)
        segments = json.loads(CALL.with_suffix(".json").read_text())["segments"]
        assert [text.strip() for _, text in lines] == [segment["text"].strip() for segment in segments], output
        speakers = sorted({speaker for speaker, _ in lines})
        assert len(speakers) == 2, output
        up = re.search(r"Up after ([\d.]+) s", output)
        processing = re.search(r"processed in ([\d.]+) s", output)
        assert up and processing and output.rstrip().endswith("Stopping everything"), output
        return {"up_s": float(up[1]), "processed_s": float(processing[1]), "segments": len(lines), "speakers": speakers}

    def start(self) -> Facts:
        """The same home again, by `make run`, up when every queue has a worker."""
        began = time.monotonic()
        self._stack = person("make", "run", PORT=str(PORT), **SETTINGS)
        until(self._is_ready, "the gateway is ready", START_S)
        ready_s = time.monotonic() - began
        key = json.loads((HOME / "secrets.json").read_text())["api_key"]
        self._http.headers["Authorization"] = f"Bearer {key}"
        until(self._has_workers, "every queue has a worker", START_S)
        return {"ready_s": round(ready_s, 1), "workers_s": round(time.monotonic() - began, 1)}

    def _is_ready(self) -> bool:
        assert self._stack is not None and self._stack.poll() is None, self._stack and self._stack.communicate()[0]
        try:
            return self._http.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def _has_workers(self) -> bool:
        queues = self._http.get("/health/async").json()["queues"]
        return bool(queues) and all(queue["workers"] for queue in queues.values())

    def history(self) -> Facts:
        """What the demo transcribed is still there."""
        (task,) = self._http.get("/history").json()["items"]
        result = self._http.get(f"/result/{task['task_id']}", params={"format": "json"}).json()
        sample = json.loads(CALL.with_suffix(".json").read_text())
        assert result["segments"] == sample["segments"]
        return {"segments": len(result["segments"])}

    def probes(self) -> Facts:
        """The health checks of containers, as compose and Kubernetes run them: each starts a Python of its own."""
        pulse = CALL.with_suffix(".json")
        pulse.touch()
        took: Facts = {}
        for name, *rest in (("http", f"{URL}/health/live"), ("file", str(pulse), "300")):
            began = time.monotonic()
            check = person(PYTHON, "-m", "scripts.health_check", name, *rest)
            output = ended(check, START_S)
            assert check.returncode == 0, output
            took[f"{name}_s"] = round(time.monotonic() - began, 2)
        return took | {"patience": PATIENCE}

    def killed_worker(self) -> Facts:
        """SIGKILL to all of a worker while it recognises: another attempt ends the task."""
        cut(PART, PART_S)
        with PART.open("rb") as file:
            answer = self._http.post("/transcribe", files={"file": (PART.name, file)})
        assert answer.status_code == 202, answer.text
        task = answer.json()["task_id"]
        began = time.monotonic()
        until(lambda: self._stage(task)["state"] == "running", "recognition has begun", TASK_S)
        time.sleep(3)
        assert self._stage(task)["state"] == "running"
        victims = pids("asr@")
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        until(lambda: self._stage(task)["attempts"] == 2, "it was taken over", TASK_S)
        takeover = time.monotonic()
        until(lambda: self._status(task) != "processing", "the task has ended", TASK_S)
        assert self._status(task) == "done", self._http.get(f"/tasks/{task}").text
        stage = self._stage(task)
        assert stage["attempts"] == 2, stage
        text = self._http.get(f"/result/{task}", params={"format": "text"}).text
        assert "you were there" in text, text
        return {"killed": len(victims), "taken_over_s": round(takeover - killed, 1),
                "all_s": round(time.monotonic() - began, 1)}  # fmt: skip

    def _status(self, task: str) -> str:
        return str(self._http.get(f"/status/{task}").json()["status"])

    def _stage(self, task: str) -> dict[str, Any]:
        stages = self._http.get(f"/tasks/{task}").json()["stages"]
        return next(dict(stage) for stage in stages if stage["name"] == "transcribe")

    def doctor(self) -> Facts:
        key = self._http.headers["Authorization"].removeprefix("Bearer ")
        doctor = person(PYTHON, "-m", "cli", "doctor", "--json", PARLEY_URL=URL, PARLEY_API_KEY=key, **SETTINGS)
        output = ended(doctor, START_S)
        assert doctor.returncode == 0, output
        findings = json.loads(output)
        wrong = [finding["said"] for finding in findings if finding["verdict"] != "ok"]
        if not (ROOT / "models/speakers/wespeaker.onnx").is_file():  # it may be missing where the disk was made
            wrong = [each for each in wrong if "speakers/wespeaker.onnx" not in each]
        assert wrong == [], output
        return {finding["name"]: finding["said"] for finding in findings if finding["name"] in ("server", "platform")}

    def stop(self) -> Facts:
        """As by Ctrl-C; no process of that user is left."""
        assert self._stack is not None
        began = time.monotonic()
        os.killpg(self._stack.pid, signal.SIGINT)
        output, _ = self._stack.communicate(timeout=STOP_S * PATIENCE)
        assert output.rstrip().splitlines()[-1].startswith(("Stopped.", "make: ")) and "Stopped." in output, output
        assert (remaining := pids("", USER_ID)) == [], remaining
        restarts = [line for line in output.splitlines() if "starting it again" in line or "was killed" in line]
        return {"stopped_s": round(time.monotonic() - began, 1), "supervisor": restarts}

    def bench(self) -> Facts:
        """The table for owners of a board, cut short: what no time was left for has a row that says so."""
        bench = person(PYTHON, "-m", "scripts.bench.cpu", f"--limit={BENCH_S * PATIENCE:g}")
        output = ended(bench, BENCH_S + START_S)
        lines = [line for line in output.splitlines() if line.strip()]
        return {"head": lines[0], "rows": lines[3:]}


def cut(target: Path, seconds: int) -> None:
    """The first seconds of pyannote's sample call."""
    (sample,) = (ROOT / ".venv/lib").glob("python*/site-packages/pyannote/audio/sample/sample.wav")
    target.parent.mkdir(exist_ok=True)
    os.chown(target.parent, USER_ID, USER_ID)
    with wave.open(str(sample)) as source, wave.open(str(target), "wb") as out:
        out.setparams(source.getparams())
        out.writeframes(source.readframes(seconds * source.getframerate()))


def pids(word: str, user_id: int | None = None) -> list[int]:
    """Processes whose command line has the word; zombies have none."""
    numbers = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line, owner = (folder / "cmdline").read_text(), folder.stat().st_uid
        except OSError:
            continue
        if line and word in line and user_id in (None, owner):
            numbers.append(int(folder.name))
    return numbers


def main() -> None:
    trial = Trial()
    steps: list[Callable[[], Facts]] = [
        trial.machine, trial.jail_of_root, trial.jail_of_a_user, trial.demo, trial.start, trial.history, trial.probes,
        trial.killed_worker, trial.doctor, trial.stop, trial.bench,
    ]  # fmt: skip
    for step in steps:
        began = time.monotonic()
        try:
            result: Facts = {"facts": step()}
        except Exception:  # noqa: BLE001 - the next steps may go well, and the other machine says what did not
            result = {"fault": traceback.format_exc()[-6000:]}
        took = round(time.monotonic() - began, 1)
        print(MARK + json.dumps({"step": step.__name__, "took_s": took} | result), flush=True)


if __name__ == "__main__":
    main()
