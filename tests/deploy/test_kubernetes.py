"""The manifests of deploy/kubernetes, against Kubernetes' own schemas and against docker-compose.yml and the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject

from api.server import GRACE_S, LINGER_S
from shared.config import WHISPER_MODELS, Settings
from shared.states import NEEDS, QUEUES
from tests.deploy.composed import seconds
from tests.deploy.documented import blocks, section

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
VERSION = "1.37"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
MANIFESTS: list[dict[str, Any]] = [
    manifest for name in KUSTOMIZATION["resources"] for manifest in yaml.safe_load_all((FOLDER / name).read_text())
]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
NOT_OURS = {"FLOWER_BASIC_AUTH", "HF_HUB_OFFLINE", "HF_HOME", "OMP_NUM_THREADS"}
"""Variables that a library reads."""


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [manifest for manifest in MANIFESTS if manifest["kind"] in kinds]


def named(manifest: dict[str, Any]) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    (only,) = manifest["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


@pytest.mark.parametrize("manifest", [one for one in MANIFESTS if "keda" not in one["apiVersion"]], ids=named)
def test_manifests_are_valid(manifest: dict[str, Any]) -> None:
    """Strictly: a misspelt field is an error."""
    kubernetes_validate.validate(manifest, VERSION, strict=True)


@pytest.mark.parametrize("manifest", [one for one in MANIFESTS if "keda" in one["apiVersion"]], ids=named)
def test_keda_reads_every_field(manifest: dict[str, Any]) -> None:
    """By KEDA's schema, which leaves out what it does not know: nothing of ours is left out or read as another type."""
    read = ScaledObject.model_validate(manifest).model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert read == manifest


def test_gateways_have_time_to_answer_what_they_have() -> None:
    """In compose and in Kubernetes, where the pause before the end counts as well; and an idle connection that Caddy
    keeps is closed by Caddy, never by a gateway that is to end."""
    (pod,) = (one["spec"]["template"]["spec"] for one in of_kind("Deployment") if one["metadata"]["name"] == "api")
    *_, pause_s = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] > int(pause_s) + LINGER_S + GRACE_S
    assert seconds(COMPOSE["api"]["stop_grace_period"]) > LINGER_S + GRACE_S
    (kept,) = re.findall(r"^\s*keepalive (\w+)$", (ROOT / "deploy/caddy/api.caddy").read_text(), re.MULTILINE)
    assert seconds(kept) < LINGER_S


def test_an_outage_of_the_database_restarts_no_worker() -> None:
    """What compose and Kubernetes take for life is the pulse of the process; only readiness asks the database."""
    for manifest in of_kind("Deployment"):
        name = manifest["metadata"]["name"]
        if not name.startswith("worker-"):
            continue
        own = container(manifest)
        (pulse,) = (variable["value"] for variable in own["env"] if variable["name"] == "PULSE_FILE")
        check = ["python", "-m", "scripts.health_check", "file", pulse, "30"]
        assert own["livenessProbe"]["exec"]["command"] == own["startupProbe"]["exec"]["command"] == check
        assert COMPOSE[name]["healthcheck"]["test"] == ["CMD", *check]
        assert COMPOSE[name]["environment"]["PULSE_FILE"] == pulse
        assert own["readinessProbe"]["exec"]["command"] == ["python", "-m", "scripts.health_check", "worker"]


def test_every_file_belongs_to_the_kustomization() -> None:
    """No manifest is left out, no image is without a tag."""
    assert {path.name for path in FOLDER.glob("*.yaml")} == {"kustomization.yaml", *KUSTOMIZATION["resources"]}
    images = {container(manifest)["image"] for manifest in of_kind("Deployment", "Job")}
    assert images == {image["name"] for image in KUSTOMIZATION["images"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", image["newTag"]) for image in KUSTOMIZATION["images"])


def test_commands_are_those_of_compose() -> None:
    """What compose runs, and its tests start for real, runs here too; only the path of Flower is another."""
    for manifest in of_kind("Deployment", "Job"):
        name = manifest["metadata"]["name"]
        ours = container(manifest)["args"]
        theirs = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(part)) for part in COMPOSE[name]["command"]]
        if name == "flower":
            theirs.remove("--url-prefix=flower")
        if name == "models":
            theirs[-1] = ours[-1]
        assert ours == theirs, name


def test_variables_are_known() -> None:
    """Every variable that is set is one of Settings, or of a library."""
    known = {field.upper() for field in Settings.model_fields} | NOT_OURS
    given = {pair.partition("=")[0] for pair in KUSTOMIZATION["configMapGenerator"][0]["literals"]}
    for manifest in of_kind("Deployment", "Job"):
        given |= {variable["name"] for variable in container(manifest).get("env", ())}
    assert given <= known


def test_every_queue_has_workers_that_outlive_a_drained_node() -> None:
    """Each queue is served, and each pool and the gateway have a budget that names them."""
    commands = [container(manifest)["args"] for manifest in of_kind("Deployment")]
    served = {args[args.index("-Q") + 1] for args in commands if "-Q" in args}
    assert served == set(QUEUES.values())
    budgets = {
        budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] for budget in of_kind("PodDisruptionBudget")
    }
    assert budgets == {"api"} | {f"worker-{queue}" for queue in served}


def test_pods_are_locked_down() -> None:
    """No root, no privileges to gain, nothing to write to but what is given."""
    for manifest in of_kind("Deployment", "Job"):
        pod = manifest["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        for own in (*pod.get("initContainers", ()), *pod["containers"]):
            assert own["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"requests", "limits"} <= own["resources"].keys()


def test_new_pods_wait_for_the_migrations() -> None:
    """Whoever reads the tables starts only when they are those of its release; what is ready before is the old one."""
    waiting = set()
    for manifest in of_kind("Deployment"):
        own = container(manifest)
        for before in manifest["spec"]["template"]["spec"].get("initContainers", ()):
            assert before["args"] == ["python", "-m", "shared.db", "wait"]
            assert (before["image"], before["envFrom"]) == (own["image"], own["envFrom"])
            waiting.add(own["name"])
    assert waiting == {"api"} | {f"worker-{queue}" for queue in QUEUES.values()}


def test_an_upgrade_deletes_every_job_first() -> None:
    """Jobs cannot be changed, so the procedure of docs/upgrade.md begins with all of them, and waits for `migrate`."""
    (commands,) = blocks(section(ROOT / "docs" / "upgrade.md", "Upgrading without losing work"))
    jobs = " ".join(sorted(manifest["metadata"]["name"] for manifest in of_kind("Job")))
    assert commands[0] == f"kubectl -n {KUSTOMIZATION['namespace']} delete job {jobs} --ignore-not-found"
    assert commands[1] == "kubectl apply -k deploy/kubernetes"
    assert commands[2].endswith(" job/migrate")


def test_an_upgrade_needs_no_spare_card() -> None:
    """A pool with cards gives one up before a new pod asks for it; the gateway keeps all until a new one is ready."""
    for manifest in of_kind("Deployment"):
        strategy = manifest["spec"].get("strategy", {}).get("rollingUpdate")
        if "nvidia.com/gpu" in container(manifest)["resources"]["limits"]:
            assert strategy == {"maxUnavailable": 1, "maxSurge": 0}
        if manifest["metadata"]["name"] == "api":
            assert strategy == {"maxUnavailable": 0, "maxSurge": 1}


def test_what_is_offered_is_fetched() -> None:
    """The job fetches the models that `GET /models` names, the default among them."""
    given = dict(pair.split("=", 1) for pair in KUSTOMIZATION["configMapGenerator"][0]["literals"])
    offered = given["WHISPER_MODELS"].split(",")
    assert given["WHISPER_MODEL"] in offered
    assert set(offered) <= set(WHISPER_MODELS)
    (models,) = (container(manifest) for manifest in of_kind("Job") if manifest["metadata"]["name"] == "models")
    assert models["args"][-2:] == ["--model", "$(WHISPER_MODELS)"]
    assert {"configMapRef": {"name": "parley"}} in models["envFrom"]


def test_pools_scale_with_what_waits_and_what_runs() -> None:
    """KEDA asks for our own metrics, of a stage of the queue that the pool serves, never taking a busy worker away."""
    deployments = {manifest["metadata"]["name"]: manifest for manifest in of_kind("Deployment")}
    assert len(of_kind("ScaledObject")) == 2
    for manifest in of_kind("ScaledObject"):
        spec = manifest["spec"]
        target = deployments[spec["scaleTargetRef"]["name"]]
        assert "replicas" not in target["spec"]
        assert spec["minReplicaCount"] == 0 < spec["maxReplicaCount"]
        (trigger,) = spec["triggers"]
        assert trigger["type"] == "prometheus"
        assert {"serverAddress", "query", "threshold", "activationThreshold"} == trigger["metadata"].keys()
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
        stages = set(re.findall(r'stage="(\w+)"', trigger["metadata"]["query"]))
        args = container(target)["args"]
        assert {QUEUES[stage] for stage in stages & NEEDS.keys()} == {args[args.index("-Q") + 1]}
        for metric in ("parley_queue_depth", "parley_running_stages"):
            assert metric in trigger["metadata"]["query"]
