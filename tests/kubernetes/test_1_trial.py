"""What a stranger has who has followed docs/kubernetes.md."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.kubernetes.trial import Trial

PROCESS = r"grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' /proc/1/status; touch /probe 2>&1 || true"


def containers(trial: Trial) -> list[tuple[str, str]]:
    """Pod and container of all that runs."""
    return [
        (pod["metadata"]["name"], own["name"])
        for pod in trial.cluster.get("pods")
        if pod["status"]["phase"] == "Running"
        for own in pod["spec"]["containers"]
    ]


def answers(text: str) -> list[dict[str, Any]]:
    """What the gateway has answered, beside what port-forward says. Before the last one curl was told to come again, as
    while the object store is not ready yet, which nobody has waited for."""
    rows, place = [], 0
    while (place := text.find("{", place)) >= 0:
        answer, place = json.JSONDecoder().raw_decode(text, place)
        rows.append(answer)
    return rows


def test_a_recording_comes_back_with_two_speakers(trial: Trial) -> None:
    """The page's own command, through the Service, prints the transcript of the sample call."""
    *_, transcript = answers(trial.answer)
    assert [speaker["id"] for speaker in transcript["speakers"]] == ["spk_1", "spk_2"]
    assert "hello" in transcript["text"].lower()


def test_what_others_wait_for_came_first(trial: Trial) -> None:
    """On a cluster without a free processor `migrate` and `models` were done, in the place of pods without a class."""
    assert trial.passed_over > 0


def test_nothing_restarted(trial: Trial) -> None:
    """Whoever had to wait for tables, weights or a server waited, and did not fail."""
    restarts = {
        (pod["metadata"]["name"], status["name"]): status["restartCount"]
        for pod in trial.cluster.get("pods")
        for status in (*pod["status"].get("initContainerStatuses", ()), *pod["status"]["containerStatuses"])
    }
    assert len(restarts) > 15
    assert not {name: count for name, count in restarts.items() if count}


def test_every_container_is_locked_down(trial: Trial) -> None:
    """Each process runs as a user, without capabilities or a way to any, behind a seccomp filter, on a root that it
    cannot write to; the namespace refuses other pods."""
    rows = containers(trial)
    assert len(rows) >= 11
    for pod, name in rows:
        output = trial.cluster.run(f'kubectl -n parley exec {pod} -c {name} -- sh -c "{PROCESS}"')
        fields = dict(re.findall(r"^(\w+):\s+(\w+)", output, re.M))
        assert fields["Uid"] != "0", pod
        assert (fields["CapEff"], fields["NoNewPrivs"], fields["Seccomp"]) == ("0" * 16, "1", "2"), pod
        assert "Read-only file system" in output, (pod, output)
    output = trial.cluster.run("kubectl -n parley run intruder --image=pause 2>&1 || true")
    assert 'violates PodSecurity "restricted' in output


def test_secrets_are_where_they_are_needed(trial: Trial) -> None:
    """The key is in the gateways alone, Flower's password in Flower alone, PostgreSQL's own in PostgreSQL alone."""
    having: dict[str, set[str]] = {}
    for pod, name in containers(trial):
        output = trial.cluster.run(
            f'kubectl -n parley exec {pod} -c {name} -- sh -c \'tr "\\0" "\\n" < /proc/1/environ\''
        )
        for variable in ("API_KEY", "FLOWER_BASIC_AUTH", "POSTGRES_PASSWORD", "DATABASE_URL"):
            if re.search(rf"^{variable}=.", output, re.M):
                having.setdefault(variable, set()).add(name)
        assert (trial.api_key in output) == (name == "api")
    assert having.pop("DATABASE_URL") == {name for _, name in containers(trial)} - {"postgres", "valkey", "seaweedfs"}
    assert having == {"API_KEY": {"api"}, "FLOWER_BASIC_AUTH": {"flower"}, "POSTGRES_PASSWORD": {"postgres"}}
