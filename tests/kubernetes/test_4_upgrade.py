"""The next release, by the commands of docs/upgrade.md."""

from __future__ import annotations

from pathlib import Path

from scripts.bench.recordings import sample_call
from tests.deploy.documented import blocks, section
from tests.kubernetes.conftest import NEXT_TAG, TAG
from tests.kubernetes.node import Node
from tests.kubernetes.trial import OVERLAY, Trial

ROOT = Path(__file__).resolve().parents[2]


def test_an_upgrade_is_an_apply_of_the_next_tag(trial: Trial, node: Node) -> None:
    """A client that polls loses no request, every pod has the new tag, and a job from before is still known."""
    task_id = trial.client.submit(sample_call())
    kustomization = trial.cluster.checkout / OVERLAY / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace(f"newTag: {TAG}", f"newTag: {NEXT_TAG}"))
    (commands,) = blocks(section(ROOT / "docs" / "upgrade.md", "Upgrading without losing work"))
    with trial.client.poll(task_id) as polling:
        for command in commands:
            trial.cluster.run(command, timeout_s=900)
        trial.cluster.rolled_out()
    assert polling.counts["answers"] > 100
    assert polling.counts["failures"] == []
    running = [pod for pod in trial.cluster.get("pods") if not pod["metadata"].get("deletionTimestamp")]
    images = {own["image"] for pod in running for own in pod["spec"]["containers"] if own["image"].startswith("parley")}
    assert {image.partition(":")[2] for image in images} == {NEXT_TAG}
    trial.client.results(task_id)
