"""The first start, from a clone under umask 077 and empty volumes, by the commands of deploy.md."""

from __future__ import annotations

from pathlib import Path

from tests.containers.deployment import Deployment, digest, is_well, service_of


def test_every_container_is_healthy_and_none_restarted(whole: Deployment) -> None:
    """Each service of the default profile is there as often as compose says; all are well, and none began twice."""
    names = [service_of(container) for container in whole.first]
    services = whole.type("docker compose config --services").split()
    assert sorted(names) == sorted([*services, "api"])  # two gateways
    assert [service_of(each) for each in whole.first if not is_well(each)] == []
    assert {service_of(each): each["RestartCount"] for each in whole.first if each["RestartCount"]} == {}


def test_init_env_finds_nothing_too_old(whole: Deployment) -> None:
    """Engine, compose and buildx of this machine are as deploy.md wants them, which init_env.py looks up for itself."""
    assert "Parley needs" not in whole.type("python3 scripts/init_env.py")


def test_a_recording_with_two_speakers(deployment: Deployment, call: Path) -> None:
    """Sent through Caddy's published port, it comes back as what was said, by two people."""
    result = deployment.transcript(deployment.submit(call, diarization="true"))
    transcript = digest(" ".join(segment["text"] for segment in result["segments"]))
    assert len(result["speakers"]) == 2
    assert len(transcript.split()) > 40 and "hello" in transcript
    assert {segment["speaker"] for segment in result["segments"]} == {speaker["id"] for speaker in result["speakers"]}


def test_images_are_small_and_two_have_no_torch(whole: Deployment) -> None:
    """The gateway's image is below 400 MB; neither it nor the recogniser's has torch."""
    images = {service_of(each): each["Image"] for each in whole.first}
    size = whole.engine.inspect(images["api"])[0]["Size"]
    assert size < 400_000_000, size
    look = "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is not None)"
    for service, has_torch in {"api": False, "worker-asr": False, "worker-diarize": True}.items():
        process = whole.engine.docker("run", "--rm", images[service], "python", "-c", look, check=False)
        assert process.returncode == has_torch, (service, process.stderr)


def test_no_log_has_a_secret(deployment: Deployment, call: Path) -> None:
    """After a start and a job, none of the secrets of .env is in what any container has written. The id of the S3 key,
    which SeaweedFS writes down, is none: it is in every presigned URL."""
    deployment.transcript(deployment.submit(call, diarization="true"))
    logs = deployment.logs()
    assert all(f"{service}-1" in logs for service in ("api", "postgres", "worker-asr", "models"))
    secrets = {name: value for name, value in deployment.secrets.items() if name != "S3_ACCESS_KEY"}
    assert [name for name, value in secrets.items() if value in logs] == []
