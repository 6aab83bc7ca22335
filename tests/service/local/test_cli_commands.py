"""Commands about tasks, batches, usage, keys and webhooks as programs, against a whole stack with sleeping engines."""

from __future__ import annotations

import json
import shlex
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scripts.bench.soak.caller import noise
from scripts.local.apps import API, worker
from tests.faults.rig import Rig, eventually, long_recording, start
from tests.service.local.user import PATIENCE_S, User, new_user, recording
from tests.service.webhooks.receiver import Receiver


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Rig]:
    workers = (worker("io", "io,cpu", 2, 1), worker("models", "asr,diarize", 1, 1))
    port = receiver.host.rpartition(":")[2]
    with start(
        tmp_path_factory.mktemp("commands"),
        (API, *workers),
        sleeper_seconds=0.1,
        egress_allow_hosts="127.0.0.1",
        egress_ports=port,
        webhook_retry_s=600,
    ) as running:
        yield running


@pytest.fixture
def user(rig: Rig, tmp_path: Path) -> User:
    return new_user(rig, tmp_path)


def http(user: User) -> httpx.Client:
    headers = {"Authorization": f"Bearer {user.env['PARLEY_API_KEY']}"}
    return httpx.Client(base_url=user.env["PARLEY_URL"], headers=headers, timeout=PATIENCE_S, trust_env=False)


def finished_task(user: User) -> str:
    """A task with a transcript of one segment by one speaker."""
    recording(user.home / "a.wav")
    code, _, err = user.run("transcribe", "a.wav", "--diarize")
    assert code == 0, err
    return str(user.history()[0]["task_id"])


def editor(user: User, program: str) -> dict[str, str]:
    """The environment with an editor that is a Python program: it changes `text`, that of the file."""
    script = user.home / "editor.py"
    lines = ["import pathlib, re, sys", "path = pathlib.Path(sys.argv[1])", "text = path.read_text()", program]
    script.write_text("\n".join([*lines, "path.write_text(text)"]))
    return {"EDITOR": shlex.join([sys.executable, str(script)])}


def patch(user: User, task: str, name: str) -> str:
    """A line of a program that names spk_1 by the API."""
    return (
        "import httpx; httpx.patch("
        f"'{user.env['PARLEY_URL']}/tasks/{task}', json={{'speakers': {{'spk_1': '{name}'}}}}, trust_env=False,"
        f" headers={{'Authorization': 'Bearer {user.env['PARLEY_API_KEY']}'}}).raise_for_status();"
    )


def drafts(user: User) -> list[Path]:
    return list((user.home / ".state" / "parley" / "edits").glob("*"))


def test_a_failed_task_runs_again(user: User) -> None:
    """A task that failed or was cancelled gets a new one, one that is done is refused without keeping the others from
    it."""
    ended_task = finished_task(user)
    with http(user) as api:
        task = api.post("/transcribe", files={"file": ("long.mka", long_recording())}).json()["task_id"]
        assert api.post(f"/tasks/{task}/cancel").status_code == 200
        eventually(lambda: api.get(f"/status/{task}").json()["status"] == "cancelled", "it is cancelled", PATIENCE_S)
        code, out, err = user.run("retry", ended_task, task)
        (line,) = out.splitlines()
        assert (code, line.startswith(f"{task}  runs again as "), f"{ended_task}  wrong_state" in err) == (
            1,
            True,
            True,
        )
        again = line.split()[-1]
        assert api.get(f"/tasks/{again}").json()["retry_of"] == task
        api.post(f"/tasks/{again}/cancel")
        eventually(lambda: api.get(f"/status/{again}").json()["status"] == "cancelled", "it is cancelled", PATIENCE_S)
        code, out, _ = user.run("retry", again, "--json")
        (outcome,) = json.loads(out)
        assert (code, outcome["retry_of"], outcome["error"]) == (0, again, None)
        api.delete(f"/tasks/{outcome['task_id']}")


def test_a_transcript_is_corrected_in_an_editor(user: User) -> None:
    """Text and name reach the next version, the command says what changed, and no file stays; an editor that changes
    nothing makes no version."""
    task = finished_task(user)
    change = editor(user, "text = re.sub(r'\\] .*', '] Hello there.', text.replace('spk_1 =', 'spk_1 = Anna'))")
    code, out, err = user.run("edit", task, **change)
    assert code == 0, err
    assert "version 1" in out
    assert "spk_1 is Anna" in out
    assert "→ Hello there." in out
    result = json.loads(user.run("result", task)[1])
    assert [(each["speaker"], each["text"]) for each in result["segments"]] == [("Anna", "Hello there.")]
    assert (result["version"], drafts(user)) == (1, [])

    code, out, _ = user.run("edit", task, "--json", **editor(user, ""))
    assert json.loads(out) == {"task_id": task, "version": 1, "speakers": {}, "segments": []}
    code, out, _ = user.run("edit", task, "--json", **editor(user, "text = text.replace(' Anna]', ' spk_7]')"))
    assert json.loads(out)["segments"] == [{"id": 0, "speaker": "spk_7"}]
    assert json.loads(user.run("result", task)[1])["segments"][0]["speaker"] == "spk_7"


def test_a_correction_that_is_there_already_is_no_conflict(user: User) -> None:
    """As when the answer to it was lost and it was sent again: the command ends well, with the version that has it."""
    task = finished_task(user)
    program = patch(user, task, "Anna") + "text = text.replace('spk_1 =', 'spk_1 = Anna')"
    code, out, err = user.run("edit", task, "--json", **editor(user, program))
    assert (code, json.loads(out)["version"], drafts(user)) == (0, 1, []), err


def test_a_text_that_cannot_be_sent_stays_in_a_file(user: User) -> None:
    """After somebody else's correction, an editor's failure, a name that the server refuses and a line that belongs
    nowhere, nothing is changed and the text is where the command says."""
    task = finished_task(user)
    with http(user) as api:

        def version() -> int:
            return int(api.get(f"/tasks/{task}").json()["version"])

        typed = "text = text.replace('spk_1 =', 'spk_1 = Anna')"
        for program, code, expected in (
            (patch(user, task, "Ben") + typed, "version_conflict", 1),
            ("raise SystemExit((path.write_text('mine'), 3)[1])", "editor", 1),
            ("text = text.replace('spk_1 = Ben', 'spk_1 = spk_2')", "invalid_request", 1),
            ("text = 'What is this?'", "form", 1),
        ):
            before = drafts(user)
            status, _, err = user.run("edit", task, **editor(user, program))
            (file,) = set(drafts(user)) - set(before)
            assert (status, f"parley: {code}: " in err, str(file) in err, version()) == (1, True, True, expected), err
            assert file.stat().st_mode & 0o777 == 0o600
            assert any(words in file.read_text() for words in ("Anna", "mine", "= spk_2", "What is this?"))
        assert user.run("edit", task, EDITOR="/nothing/there")[0] == 1
        assert len(drafts(user)) == 4
        assert user.run("edit", str(uuid.uuid4()), **editor(user, ""))[0] == 1


def test_batches_are_listed_shown_awaited_and_cancelled(user: User) -> None:
    """A batch is in the list and shown with its tasks; waiting ends with 0 when all are done, and with 1 when it was
    cancelled."""
    with http(user) as api:

        def batch(*recordings: bytes) -> str:
            items = []
            for content in recordings:
                upload = api.post("/uploads", json={"bytes": len(content)}).json()
                for start in range(0, len(content), upload["part_bytes"]):
                    number = 1 + start // upload["part_bytes"]
                    part = content[start : start + upload["part_bytes"]]
                    api.put(f"/uploads/{upload['upload_id']}/parts/{number}", content=part).raise_for_status()
                api.post(f"/uploads/{upload['upload_id']}/complete").raise_for_status()
                items.append({"upload_id": upload["upload_id"]})
            answer = api.post("/transcribe/batch", json={"reference": "interviews", "items": items})
            return str(answer.raise_for_status().json()["batch_id"])

        first = batch(noise(), noise())
        code, out, err = user.run("batch", "wait", first)
        assert (code, "2 done" in out, "100 %" in out) == (0, True, True), err
        view = json.loads(user.run("batch", "show", first, "--json")[1])
        assert (view["counts"]["done"], [task["status"] for task in view["tasks"]]) == (2, ["done", "done"])
        assert view["tasks"][1]["task_id"] in user.run("batch", "show", first)[1]

        second = batch(long_recording())
        assert [each["batch_id"] for each in json.loads(user.run("batch", "list", "--json")[1])] == [second, first]
        listed = user.run("batch", "list", "-n", 1)[1]
        assert (second in listed, first in listed, "interviews" in listed) == (True, False, True)
        waiting = user.start("batch", "wait", second, "--json")
        code, out, _ = user.run("batch", "cancel", second)
        assert (code, second in out) == (0, True)
        out, err = waiting.communicate(timeout=PATIENCE_S)
        assert (waiting.returncode, json.loads(out)["counts"]["cancelled"]) == (1, 1), err
        assert user.run("batch", "show", str(uuid.uuid4()))[0] == 1


def test_usage_is_that_of_the_key(rig: Rig, user: User, tmp_path: Path) -> None:
    """One done task and its bytes are in the table and in JSON, quotas too; all keys are an administrator's to see."""
    finished_task(user)
    size = (user.home / "a.wav").stat().st_size
    code, out, _ = user.run("usage", "--by", "day,model")
    assert (code, str(size) in out, "max_stored_bytes" in out) == (0, True, True)
    body = json.loads(user.run("usage", "--json")[1])
    assert body["total"]["tasks"] == 1
    assert user.run("usage", "--all")[0] == 3
    assert user.run("usage", "--key", str(uuid.uuid4()))[0] == 2
    assert user.run("usage", "--since", "yesterday")[0] == 1
    admin = new_user(rig, tmp_path, "admin")
    body = json.loads(admin.run("usage", "--all", "--json")[1])
    assert sum(item["tasks"] for item in body["items"]) == body["total"]["tasks"] >= 1


def test_keys_are_made_listed_and_revoked(rig: Rig, user: User, tmp_path: Path) -> None:
    """A new key is on stdout alone and works with its limits; revoked it does not. Without the scope it is 3."""
    admin = new_user(rig, tmp_path, "admin")
    code, key, err = admin.run("keys", "create", "laptop", "--limit", "retention_seconds=3600")
    assert (code, key.startswith("pk_"), len(key.split()), key.strip() in err) == (0, True, 1, False)
    (row,) = (each for each in json.loads(admin.run("keys", "list", "--json")[1]) if each["name"] == "laptop")
    assert (row["scopes"], row["retention_seconds"], row["id"] in err) == (["transcribe"], 3600, True)
    listed = admin.run("keys", "list")[1]
    assert ("laptop" in listed, key.strip() in listed) == (True, False)
    assert user.run("history", PARLEY_API_KEY=key)[0] == 0
    assert admin.run("keys", "revoke", row["id"])[:2] == (0, f"{row['id']}  revoked\n")
    assert user.run("history", PARLEY_API_KEY=key)[0] == 3
    assert admin.run("keys", "create", "x", "--limit", "speed=1")[0] == 1
    assert admin.run("keys", "create", "x", "--limit", "speed")[0] == 2
    for command in (("list",), ("create", "x"), ("revoke", row["id"])):
        assert user.run("keys", *command)[0] == 3


def test_webhooks_are_added_tested_and_removed(user: User, receiver: Receiver) -> None:
    """The secret is on stdout alone and signs what is sent; a test tells the receiver's answer; the log lists it."""
    path = f"/{uuid.uuid4()}"
    code, secret, err = user.run("webhooks", "add", f"http://{receiver.host}{path}", "--event", "task.failed")
    assert (code, secret.startswith("whsec_"), secret.strip() in err) == (0, True, False), err
    (endpoint,) = json.loads(user.run("webhooks", "list", "--json")[1])
    assert (endpoint["events"], endpoint["id"] in err) == (["task.failed"], True)

    receiver.answers[path] = [204, 503, 204]
    code, out, _ = user.run("webhooks", "test", endpoint["id"])
    assert (code, "delivered: status 204" in out) == (0, True)
    assert receiver.requests[path][0].verified(secret.strip())["type"] == "webhook.test"
    code, out, _ = user.run("webhooks", "test", endpoint["id"])
    assert (code, "pending: status 503; tried again at " in out) == (1, True)
    (waiting,) = json.loads(user.run("webhooks", "deliveries", "--state", "pending", "--json")[1])
    code, out, _ = user.run("webhooks", "replay", waiting["id"])
    assert (code, f"{waiting['id']}  delivered" in out) == (0, True)
    assert user.run("webhooks", "deliveries", "--endpoint", endpoint["id"])[1].count("webhook.test") == 2

    code, other, _ = user.run("webhooks", "rotate", endpoint["id"])
    assert (code, other.startswith("whsec_"), other == secret) == (0, True, False)
    assert user.run("webhooks", "disable", endpoint["id"])[0] == 0
    assert "disabled" in user.run("webhooks", "list")[1]
    assert user.run("webhooks", "test", endpoint["id"])[0] == 1
    assert user.run("webhooks", "enable", endpoint["id"])[0] == 0
    assert user.run("webhooks", "remove", endpoint["id"])[0] == 0
    assert json.loads(user.run("webhooks", "list", "--json")[1]) == []
    assert user.run("webhooks", "add", "http://10.0.0.1/")[0] == 1
