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
from shared.stages import HEAVY, STAGES, queues
from tasks.live.pace import FIRST_PLACES
from tasks.live.worker import HAND_OVER_S
from tasks.worker.preload import START_TIMEOUT_S
from tests.deploy.composed import seconds
from tests.deploy.documented import blocks, section
from tests.deploy.kubernetes.overlays import (
    FOLDER,
    OVERLAYS,
    Manifest,
    built,
    container,
    containers,
    everything,
    of_kind,
    pod,
    source,
    workloads,
)

ROOT = Path(__file__).resolve().parents[3]
VERSIONS = ("1.34", "1.37")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
OF_LIBRARIES = {"FLOWER_BASIC_AUTH", "HF_HUB_OFFLINE", "HF_HOME", "OMP_NUM_THREADS", "OMP_WAIT_POLICY"}
"""Variables that a library reads."""

SERVERS = {"postgres", "valkey", "seaweedfs"}
POOLS = {f"worker-{queue}" for queue in queues()}
LIVE = "worker-live"

both = pytest.mark.parametrize("overlay", OVERLAYS)


def config_of(overlay: str) -> dict[str, str]:
    (manifest,) = of_kind(built(overlay), "ConfigMap").values()
    data: dict[str, str] = manifest["data"]
    return data


def own_workloads(overlay: str) -> dict[str, Manifest]:
    """Workloads but the servers of a trial."""
    return {name: each for name, each in workloads(everything(overlay)).items() if name not in SERVERS}


def counterpart(name: str, overlay: str) -> dict[str, Any]:
    """The service of compose that is the same process."""
    service: dict[str, Any] = (
        COMPOSE.get(f"{name}-gpu") if overlay == "gpu" and f"{name}-gpu" in COMPOSE else COMPOSE[name]
    )
    return service


@both
def test_manifests_are_valid(overlay: str) -> None:
    """Strictly: a misspelt field is an error, by the oldest and the newest schemas that we know."""
    manifests = [each for each in everything(overlay) if "keda" not in each["apiVersion"]]
    assert len(manifests) > 25
    for manifest in manifests:
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)


@both
def test_keda_reads_every_field(overlay: str) -> None:
    """By KEDA's schema, which leaves out what it does not know: nothing of ours is left out or read as another type."""
    objects = of_kind(everything(overlay), "ScaledObject")
    assert len(objects) == 3
    for manifest in objects.values():
        model = ScaledObject.model_validate(manifest).model_dump(mode="json", by_alias=True, exclude_unset=True)
        assert model == manifest


@both
def test_an_overlay_needs_nothing_that_a_cluster_may_lack(overlay: str) -> None:
    """Without its components it has only kinds that every cluster knows, and names the version of every image."""
    manifests = built(overlay)
    assert not {each["apiVersion"] for each in manifests if "." in each["apiVersion"].partition("/")[0]} - {
        "networking.k8s.io/v1",
        "scheduling.k8s.io/v1",
    }
    images = {own["image"] for each in workloads(manifests).values() for own in containers(each)}
    assert all(re.search(r":\d+\.[\w.-]+$", image) for image in images), images
    claims = of_kind(manifests, "PersistentVolumeClaim")
    assert claims["models"]["spec"]["accessModes"] == [{"cpu": "ReadWriteOnce", "gpu": "ReadWriteMany"}[overlay]]


def test_every_file_belongs_to_a_kustomization() -> None:
    """No manifest is left out, and each folder is a base, a component or an overlay."""
    named = set()
    for file in FOLDER.rglob("kustomization.yaml"):
        described = yaml.safe_load(file.read_text())
        patches = [patch["path"] for patch in described.get("patches", ()) if "path" in patch]
        named |= {file, *(file.parent / name for name in (*described.get("resources", ()), *patches))}
    assert set(FOLDER.rglob("*.yaml")) == {path for path in named if path.suffix}
    assert {file.parent.relative_to(FOLDER).parts[0] for file in FOLDER.rglob("kustomization.yaml")} == {
        "base",
        "components",
        "overlays",
    }


@both
def test_images_are_those_of_compose(overlay: str) -> None:
    """Each process runs in the image that compose gives it, so that diarization has torch, with and without cards; the
    trial's servers are compose's too."""
    for name, workload in workloads(everything(overlay)).items():
        (image,) = {own["image"] for own in containers(workload)}
        assert image == re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", counterpart(name, overlay)["image"]).partition("@")[0], (
            name
        )
    assert ("nvidia.com/gpu" in str(built(overlay))) == (overlay == "gpu")


@both
def test_commands_are_those_of_compose(overlay: str) -> None:
    """What compose runs, and its tests start for real, runs here too; only the path of Flower is another."""
    for name, workload in workloads(everything(overlay)).items():
        service, own = counterpart(name, overlay), container(workload)
        expected = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(part)) for part in service["command"]]
        if name == "flower":
            expected.remove("--url-prefix=flower")
        if name == "models":
            expected[-1] = own["args"][-1]
        assert own["args"] == expected, name
        entrypoint = [str(part).replace("$$", "$") for part in service.get("entrypoint", ())]
        assert own.get("command", []) == entrypoint, name
        for variable in own.get("env", ()):
            if name in SERVERS and "value" in variable:
                assert variable["value"] == service["environment"][variable["name"]]


@both
def test_variables_are_known(overlay: str) -> None:
    """Every variable that is set is one of Settings, or of a library."""
    settings = {field.upper() for field in Settings.model_fields} | OF_LIBRARIES
    names = set(config_of(overlay))
    for workload in own_workloads(overlay).values():
        names |= {variable["name"] for own in containers(workload) for variable in own.get("env", ())}
    assert names <= settings


@both
def test_a_process_gets_the_secrets_that_it_needs(overlay: str) -> None:
    """The key is the gateway's alone, Flower's password Flower's, a server's the server's; whoever fetches weights has
    none but a token of the Hub, if there is one. No secret is in the manifests of a process, or in the ConfigMap."""
    manifests = everything(overlay)
    having: dict[str, set[str]] = {}
    for name, workload in workloads(manifests).items():
        for own in containers(workload):
            named = [each["secretRef"]["name"] for each in own.get("envFrom", ()) if "secretRef" in each]
            named += [each["valueFrom"]["secretKeyRef"]["name"] for each in own.get("env", ()) if "valueFrom" in each]
            for secret in named:
                having.setdefault(source(secret), set()).add(name if own in pod(workload)["containers"] else "wait")
    everybody = set(own_workloads(overlay)) - {"models"} | {"wait"}
    assert having.pop("parley-servers") == everybody | ({"seaweedfs"} if overlay == "cpu" else set())
    assert having.pop("parley-api") == {"api"}
    assert having.pop("parley-flower") == {"flower"}
    assert having.pop("parley-models") == {"models"}
    assert having == ({"parley-postgres": {"postgres"}, "parley-valkey": {"valkey"}} if overlay == "cpu" else {})
    secrets = {source(name): each["data"].keys() for name, each in of_kind(manifests, "Secret").items()}
    assert secrets["parley-api"] == {"API_KEY"}
    assert secrets["parley-flower"] == {"FLOWER_BASIC_AUTH"}
    assert secrets["parley-servers"] == {"DATABASE_URL", "REDIS_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert not {name for name in config_of(overlay) if re.search("KEY|SECRET|PASSWORD|TOKEN|AUTH", name)}


@both
def test_every_queue_has_workers_that_outlive_a_drained_node(overlay: str) -> None:
    """Each queue is served, and each pool and the gateway have a budget that names them."""
    commands = [container(workload)["args"] for workload in own_workloads(overlay).values()]
    assert {args[args.index("-Q") + 1] for args in commands if "-Q" in args} == set(queues())
    budgets = {
        budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
        for budget in of_kind(built(overlay), "PodDisruptionBudget").values()
    }
    assert budgets == {"api"} | POOLS


@both
def test_pods_are_locked_down(overlay: str) -> None:
    """No root, no privileges to gain, nothing to write to but what they have; the namespace refuses anything else."""
    manifests = everything(overlay)
    labels = of_kind(manifests, "Namespace")["parley"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for workload in workloads(manifests).values():
        assert pod(workload)["securityContext"]["runAsNonRoot"]
        assert pod(workload)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod(workload)["automountServiceAccountToken"] is False
        for own in containers(workload):
            assert own["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"requests", "limits"} <= own["resources"].keys()


@both
def test_what_others_wait_for_comes_first(overlay: str) -> None:
    """On a full cluster the jobs, and a trial's servers, take the place of pods that wait for them: they alone have a
    class above the others', and jobs ask for next to nothing."""
    (priority,) = of_kind(built(overlay), "PriorityClass").values()
    assert priority["value"] > 0
    assert not priority["globalDefault"]
    classes = {name: pod(each).get("priorityClassName") for name, each in workloads(everything(overlay)).items()}
    first = {"migrate", "models"} | (SERVERS if overlay == "cpu" else set())
    assert classes == dict.fromkeys(classes) | dict.fromkeys(first, priority["metadata"]["name"])
    for name in ("migrate", "models"):
        for own in containers(own_workloads(overlay)[name]):
            assert own["resources"]["requests"] == {"cpu": "10m", "memory": "64Mi"}


def test_a_trial_asks_for_little() -> None:
    """All of it fits on one node of two processors and 8 GB, an ingress and a Prometheus beside it."""
    cpu = memory = 0.0
    for workload in workloads(built("cpu")).values():
        for own in pod(workload)["containers"]:
            requests = own["resources"]["requests"]
            count = workload["spec"].get("replicas", 1)
            cpu += int(requests["cpu"].removesuffix("m")) / 1000 * count
            number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", requests["memory"]).groups()  # type: ignore[union-attr]
            memory += int(number) / (1024 if unit == "Mi" else 1) * count
    assert cpu < 1.5
    assert memory < 6


@both
def test_new_pods_wait_for_what_they_need(overlay: str) -> None:
    """Whoever reads the tables starts only when they are those of its release, whoever runs models only when their
    weights are there; what is ready before is the old one. Each waits in its image, with no secret but the servers'."""
    waiting: dict[str, list[Any]] = {}
    for name, workload in own_workloads(overlay).items():
        own = container(workload)
        for before in pod(workload).get("initContainers", ()):
            assert before["image"] == own["image"]
            assert before["envFrom"] == own["envFrom"][:2]
            waiting.setdefault(name, []).append(before["args"][1:])
    tables = ["-m", "shared.db", "wait"]
    assert waiting.pop("migrate") == [["-m", "shared.db", "reach"]]
    for queue in ("asr", "diarize"):
        assert waiting.pop(f"worker-{queue}") == [tables, ["-m", "tasks.weights", queue]]
    assert waiting.pop(LIVE) == [tables, ["-m", "tasks.weights", "asr"]]
    assert waiting == {name: [tables] for name in ("api", "worker-io", "worker-cpu")}


@both
def test_an_upgrade_needs_no_spare_card(overlay: str) -> None:
    """A pool with cards gives one up before a new pod asks for it; the gateway keeps all until a new one is ready."""
    strategies = {
        name: each["spec"].get("strategy", {}).get("rollingUpdate") for name, each in own_workloads(overlay).items()
    }
    assert strategies["api"] == {"maxUnavailable": 0, "maxSurge": 1}
    for name in ("worker-asr", "worker-diarize", *((LIVE,) if overlay == "gpu" else ())):
        assert strategies[name] == {"maxUnavailable": 1, "maxSurge": 0}


def test_an_upgrade_deletes_every_job_first() -> None:
    """Jobs cannot be changed, so the procedure of docs/upgrade.md begins with all of them, and waits for `migrate`."""
    (commands,) = blocks(section(ROOT / "docs" / "upgrade.md", "Upgrading without losing work"))
    jobs = " ".join(sorted(of_kind(built("cpu"), "Job")))
    assert commands[0] == f"kubectl -n parley delete job {jobs} --ignore-not-found"
    assert commands[1] == "kubectl apply -k deploy/kubernetes/overlays/cpu"
    assert commands[2].endswith(" job/migrate")


@both
def test_what_is_offered_is_fetched(overlay: str) -> None:
    """The job fetches the models that `GET /models` names, the default among them."""
    config = config_of(overlay)
    offered = config["WHISPER_MODELS"].split(",")
    assert config["WHISPER_MODEL"] in offered
    assert set(offered) <= set(WHISPER_MODELS)
    models = container(own_workloads(overlay)["models"])
    assert models["args"][-2:] == ["--model", "$(WHISPER_MODELS)"]
    assert [source(each["configMapRef"]["name"]) for each in models["envFrom"] if "configMapRef" in each] == ["parley"]


@both
def test_pools_scale_with_what_waits_and_what_runs(overlay: str) -> None:
    """KEDA asks for our own metrics, of a stage of the queue that the pool serves, never taking a busy worker away. An
    overlay without it has one of each."""
    objects = of_kind(everything(overlay), "ScaledObject")
    assert objects.pop(LIVE)
    for manifest in objects.values():
        spec = manifest["spec"]
        target = own_workloads(overlay)[spec["scaleTargetRef"]["name"]]
        assert "replicas" not in target["spec"]
        assert workloads(built(overlay))[spec["scaleTargetRef"]["name"]]["spec"]["replicas"] == 1
        assert spec["minReplicaCount"] == 0 < spec["maxReplicaCount"]
        (trigger,) = spec["triggers"]
        assert trigger["type"] == "prometheus"
        assert {"serverAddress", "query", "threshold", "activationThreshold"} == trigger["metadata"].keys()
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
        stages = set(re.findall(r'stage="(\w+)"', trigger["metadata"]["query"]))
        args = container(target)["args"]
        assert {STAGES[stage].queue for stage in stages & STAGES.keys()} == {args[args.index("-Q") + 1]}
        for metric in ("parley_queue_depth", "parley_running_stages"):
            assert metric in trigger["metadata"]["query"]


@both
def test_live_workers_scale_with_sessions(overlay: str) -> None:
    """There is always one, for nobody is let in without; and room for one more session than there are."""
    spec = of_kind(everything(overlay), "ScaledObject")[LIVE]["spec"]
    target = own_workloads(overlay)[spec["scaleTargetRef"]["name"]]
    assert "replicas" not in target["spec"]
    assert spec["minReplicaCount"] == 1 < spec["maxReplicaCount"]
    (trigger,) = spec["triggers"]
    assert trigger["metadata"]["query"] == "sum(max by (state) (parley_live_sessions)) + 1"
    assert 1 <= float(trigger["metadata"]["threshold"]) <= FIRST_PLACES


@both
def test_a_live_worker_is_an_addition(overlay: str) -> None:
    """An overlay has none before its component is taken; then it outlives a drained node as the other pools do."""
    assert LIVE not in workloads(built(overlay))
    manifests = built(overlay, ("live",))
    own = workloads(manifests)[LIVE]
    assert LIVE in of_kind(manifests, "PodDisruptionBudget")
    assert "ScaledObject" not in {each["kind"] for each in manifests}
    assert pod(own)["terminationGracePeriodSeconds"] > HAND_OVER_S + 2
    assert "nvidia.com/gpu" not in str(own)


def test_a_live_worker_has_a_card_where_it_is_asked_for() -> None:
    """In Kubernetes by a component of its own, in compose by the number of replicas; both have the device, processors
    for what finds no room on it, and otherwise what the one without a card has."""
    own = container(workloads(built("gpu", ("live", "live-gpu")))[LIVE])
    plain = container(workloads(built("gpu", ("live",)))[LIVE])
    assert own["resources"]["limits"]["nvidia.com/gpu"] == "1"
    environment, service = {each["name"]: each["value"] for each in own["env"]}, COMPOSE[f"{LIVE}-gpu"]
    assert (environment["DEVICE"], service["environment"]["DEVICE"]) == ("cuda", "cuda")
    assert (environment["OMP_NUM_THREADS"], service["environment"]["OMP_NUM_THREADS"]) == ("1", "1")
    assert environment["CPU_THREADS"] == re.sub(r"\D", "", service["environment"]["CPU_THREADS"])
    assert service["deploy"]["replicas"] == "${LIVE_GPU_REPLICAS:-0}"
    assert environment.keys() == {each["name"] for each in plain["env"]}
    assert own["args"] == plain["args"] == service["command"]


@both
def test_gateways_have_time_to_answer_what_they_have(overlay: str) -> None:
    """In compose and in Kubernetes, where the pause before the end counts as well; and an idle connection that Caddy
    keeps is closed by Caddy, never by a gateway that is to end."""
    own = pod(own_workloads(overlay)["api"])
    *_, pause_s = own["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert own["terminationGracePeriodSeconds"] > int(pause_s) + LINGER_S + GRACE_S
    assert seconds(COMPOSE["api"]["stop_grace_period"]) > LINGER_S + GRACE_S
    (keepalive,) = re.findall(r"^\s*keepalive (\w+)$", (ROOT / "deploy/caddy/api.caddy").read_text(), re.MULTILINE)
    assert seconds(keepalive) < LINGER_S


@both
def test_a_worker_is_not_killed_while_it_loads_models(overlay: str) -> None:
    """It gives up by itself, with a word on why, before Kubernetes does; compose takes it for unhealthy no sooner."""
    for queue in HEAVY:
        name = f"worker-{queue}"
        probe = container(own_workloads(overlay)[name])["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] > START_TIMEOUT_S
        assert seconds(counterpart(name, overlay)["healthcheck"]["start_period"]) > START_TIMEOUT_S


@both
def test_an_outage_of_the_database_restarts_no_worker(overlay: str) -> None:
    """What compose and Kubernetes take for life is the pulse of the process; only readiness asks the database."""
    for name in (*POOLS, LIVE):
        own = container(own_workloads(overlay)[name])
        (pulse,) = (variable["value"] for variable in own["env"] if variable["name"] == "PULSE_FILE")
        check = ["python", "-m", "scripts.health_check", "file", pulse, "30"]
        assert own["livenessProbe"]["exec"]["command"] == own["startupProbe"]["exec"]["command"] == check
        assert COMPOSE[name]["healthcheck"]["test"] == ["CMD", *check]
        assert COMPOSE[name]["environment"]["PULSE_FILE"] == pulse
        assert own["readinessProbe"]["exec"]["command"] == ["python", "-m", "scripts.health_check", "worker"]
