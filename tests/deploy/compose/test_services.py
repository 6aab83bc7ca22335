"""docker-compose.yml and the code agree: commands, ports, environment, health checks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from scripts.local.env_example import COMPOSE
from shared.config import Settings
from shared.stages import queues
from tests.deploy.composed import ROOT, Service, seconds, tools
from tests.deploy.conftest import METRICS_PORT, SERVERS, Deployment
from tests.deploy.machine import Machine

SITE = "http://caddy:8080"
PATIENCE_S = 300
WORKERS = ("worker-io", "worker-cpu", "worker-asr", "worker-diarize")
GPU_WORKERS = ("worker-asr-gpu", "worker-diarize-gpu", "worker-live-gpu")
LIBRARIES = {"OMP_NUM_THREADS", "OMP_WAIT_POLICY", "HF_HUB_OFFLINE", "HF_HOME", "HF_TOKEN", "FLOWER_BASIC_AUTH"}
"""Variables of ours that OpenMP, huggingface_hub and Flower read."""


def test_a_job_goes_through_the_workers_that_compose_starts(deployment: Deployment, tmp_path: Path) -> None:
    """Every worker, beat and Flower start by their commands, are well by their checks, and bring a job sent through
    Caddy to its end; each stops within its grace period."""
    names = (*WORKERS, "beat", "flower")
    with started(deployment, *names) as services:
        with wave.open(str(tmp_path / "silence.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(bytes(32_000))
        ask = ("curl", "-s", "-H", f"Authorization: Bearer {deployment.api_key}")
        form = ("-F", f"file=@{tmp_path}/silence.wav", "-F", "diarization=true")
        body = deployment.run(*ask, *form, f"{SITE}/transcribe").stdout
        task = json.loads(body)["task_id"]

        deadline = time.monotonic() + PATIENCE_S
        while (body := deployment.run("curl", "-s", f"{SITE}/health/ready").stdout).count('"ok"') != 5:
            assert time.monotonic() < deadline, body  # a server that is late by two seconds does not answer
            time.sleep(0.5)
        while "segments" not in json.loads(body := deployment.run(*ask, f"{SITE}/result/{task}?format=json").stdout):
            assert time.monotonic() < deadline, body
            time.sleep(0.5)
    for service in services:
        assert service.process is not None and service.process.returncode in (0, -15), service.tail()


@contextmanager
def started(deployment: Deployment, *names: str) -> Iterator[list[Service]]:
    """These services, well by their checks. Each stops within its grace period; where something fails none of them is
    left running, as others are tested without them."""
    services = [deployment.service(name) for name in names]
    try:
        for service in services:
            service.start()
        for service in services:
            service.wait_healthy()
        yield services
    finally:
        running = [service for service in services if service.is_running]
        for service in running:
            service.ask_to_stop()
        late = [service.name for service in running if not service.wait_stopped()]
    assert not late, f"outlived their grace periods: {late}"
    assert len(running) == len(services), f"ended by themselves: {set(names) - {one.name for one in running}}"


@pytest.mark.parametrize("name", GPU_WORKERS)
def test_gpu_workers_start(deployment: Deployment, name: str) -> None:
    """The services of the profile gpu start and are found well, also before the first model is asked for."""
    with started(deployment, name):
        pass


def test_prometheus_starts_with_our_rules(deployment: Deployment) -> None:
    """The service of the profile monitoring starts by its command, is well by its check, and has all our alerts."""
    with started(deployment, "prometheus"):
        rules = json.loads(deployment.run("curl", "-s", "http://prometheus:9090/api/v1/rules?type=alert").stdout)
    names = {rule["name"] for group in rules["data"]["groups"] for rule in group["rules"]}
    assert names == set(re.findall(r"alert: (\w+)", (ROOT / "deploy/monitoring/rules/alerts.yml").read_text()))


def test_the_exporter_of_disks_starts(deployment: Deployment) -> None:
    """It starts by its command, is well by its check, and can look at file systems."""
    with started(deployment, "node-exporter"):
        metrics = deployment.run("curl", "-s", "http://node-exporter:9100/metrics").stdout
    assert 'node_scrape_collector_success{collector="filesystem"} 1' in metrics
    assert metrics.count("node_scrape_collector_success{") == 1


def test_prometheus_knows_every_worker(deployment: Deployment) -> None:
    """Each service that serves metrics is named in Prometheus' configuration with its port, and no other."""
    config = yaml.safe_load((ROOT / "deploy/monitoring/prometheus.yml").read_text())
    targets = {
        (name, entry["port"])
        for job in config["scrape_configs"]
        for entry in job["dns_sd_configs"]
        for name in entry["names"]
    }
    workers = [name for name in deployment.described["services"] if name.startswith("worker-")]
    assert targets == {("api", 8000), *((name, METRICS_PORT) for name in (*workers, "node-exporter"))}


def test_the_models_service_finds_what_is_there_without_a_network(deployment: Deployment) -> None:
    """With the weights in the volume the one-shot service ends well on a machine that reaches nobody."""
    assert deployment.service("models").run() == 0, deployment.service("models").tail()


@pytest.mark.parametrize("name", [*SERVERS, "api", "caddy", "flower", "prometheus", "node-exporter"])
def test_a_health_check_fails_when_its_process_is_gone(deployment: Deployment, name: str) -> None:
    """A check that is run while nothing listens says so: on a machine where nothing was started, and where all is but
    this one service."""
    service = deployment.service(name)
    with Machine(service.folder, [name]) as empty:
        here, service.machine = service.machine, empty
        try:
            assert service.check().returncode != 0
        finally:
            service.machine = here
    assert (service.check().returncode == 0) is service.is_running


def test_the_object_store_is_well_when_objects_can_be_read(deployment: Deployment, tmp_path: Path) -> None:
    """While the master has not heard of the volumes S3 answers, but every read would be an error: not well yet."""
    described = deployment.described["services"]["seaweedfs"]
    without = described | {"command": [*described["command"], "-volume=false"]}
    (tmp_path / "data").mkdir()
    tools(tmp_path / "bin")
    with Machine(tmp_path, ["seaweedfs"]) as machine:
        for version, is_well in ((without, False), (described, True)):
            folder = tmp_path / str(is_well)
            store = Service("seaweedfs", version, folder, machine, {"seaweedfs": tmp_path / "data"}, {})
            store.start()
            try:
                healthy = ("curl", "-fs", "--retry", "300", "--retry-connrefused", "http://127.0.0.1:8333/healthz")
                subprocess.run((*machine.prefix(ROOT), *healthy), check=True, timeout=PATIENCE_S)
                if is_well:
                    store.wait_healthy()
                else:
                    assert store.check().returncode != 0
            finally:
                store.ask_to_stop()
                assert store.wait_stopped(), store.tail()


def test_kubernetes_asks_the_object_store_the_same(deployment: Deployment) -> None:
    """Its readiness probe is the health check of compose."""
    documents = yaml.safe_load_all((ROOT / "deploy/kubernetes/components/servers/seaweedfs.yaml").read_text())
    (store,) = (each for each in documents if each["kind"] == "StatefulSet")
    (container,) = store["spec"]["template"]["spec"]["containers"]
    kind, check = deployment.described["services"]["seaweedfs"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    assert container["readinessProbe"]["exec"]["command"] == ["sh", "-c", check]


@pytest.mark.parametrize("name", [*WORKERS, *GPU_WORKERS, "beat"])
def test_a_health_check_fails_when_its_file_is_old(deployment: Deployment, name: str) -> None:
    """What a process has to write again and again, not there or older than the check allows, says that it hangs."""
    service = deployment.service(name)
    assert not service.is_running
    *_, path, age_s = service.described["healthcheck"]["test"]
    folder = service.paths[str(Path(path).parent)]
    for remnant in folder.iterdir():
        remnant.unlink()
    assert service.check().returncode != 0
    file = folder / Path(path).name
    file.touch()
    assert service.check().returncode == 0
    os.utime(file, (0, time.time() - float(age_s) - 1))
    assert service.check().returncode != 0


def test_two_machines_have_nothing_in_tmp_in_common(deployment: Deployment, tmp_path: Path) -> None:
    """Sockets that are named by their ports alone do not meet, so that the suite can run twice at once."""
    with Machine(tmp_path, []) as other:
        subprocess.run((*other.prefix(tmp_path), "touch", "/tmp/socket", tmp_path / "shared"), check=True, timeout=300)
        assert deployment.run("test", "-e", "/tmp/socket").returncode == 1
        assert deployment.run("test", "-e", str(tmp_path / "shared")).returncode == 0


def test_every_variable_has_a_reader(deployment: Deployment) -> None:
    """What compose gives to a process of ours is a setting, or belongs to a library it uses."""
    readers = {name.upper() for name in Settings.model_fields} | LIBRARIES
    compose_only = {name for name, _, _ in COMPOSE}
    for name, service in deployment.described["services"].items():
        if service["image"].startswith("parley-") and name != "caddy":
            assert set(service["environment"]) - compose_only <= readers, name


def test_caddy_reads_every_variable_that_it_is_given(deployment: Deployment) -> None:
    """Each variable of Caddy's service is in the Caddyfile or its parts, and the other way round."""
    texts = [file.read_text() for file in (ROOT / "Caddyfile", *(ROOT / "deploy/caddy").glob("*.caddy"))]
    names = set(re.findall(r"\{\$([A-Z0-9_]+)", "".join(texts)))
    assert set(deployment.described["services"]["caddy"]["environment"]) == names


def test_every_variable_of_the_compose_file_is_in_the_example() -> None:
    """What docker-compose.yml asks for is in .env.example with the same default, as a setting or as compose's own."""
    defaults = dict(re.findall(r"\$\{([A-Z0-9_]+):[-?]([^}]*)\}", (ROOT / "docker-compose.yml").read_text()))
    settings = {name.upper() for name in Settings.model_fields}
    own = {name: default for name, default, _ in COMPOSE}
    assert set(defaults) <= settings | set(own)
    assert set(own) - {"COMPOSE_PROFILES"} <= set(defaults)
    for name, default in own.items():
        if name in defaults and default is not None:
            assert defaults[name] == default, name


def test_every_queue_has_a_worker(deployment: Deployment) -> None:
    """The four workers serve all queues, each exactly one."""
    served = [deployment.described["services"][name]["command"][5] for name in WORKERS]
    assert sorted(served) == list(queues())


def test_workers_have_time_to_give_their_work_back(deployment: Deployment) -> None:
    """The grace period is several times what the longest give-back takes by the settings."""
    config = Settings(database_url="x", redis_url="x")
    for name in (*WORKERS, *GPU_WORKERS):
        grace_s = seconds(deployment.described["services"][name]["stop_grace_period"])
        assert grace_s >= 4 * (config.heartbeat_s + config.grace_s), name
