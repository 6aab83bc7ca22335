"""Nothing that deploys Parley names a processor: images are built for, and pulled by, the machine that runs them."""

from __future__ import annotations

import re

import pytest

from tests.deploy.composed import ROOT
from tests.deploy.kubernetes.overlays import OVERLAYS, built, everything

FILES = sorted(
    file
    for pattern in ("docker-compose.yml", "compose/*.yml", "Dockerfile*", "deploy/**/*")
    for file in ROOT.glob(pattern)
    if file.is_file()
)
PROCESSORS = re.compile(r"amd64|arm64|x86|aarch64|(?:^|\s)(?:--)?platform[:=]|TARGETARCH", re.MULTILINE | re.IGNORECASE)
PLACEMENT = ("nodeSelector", "nodeName", "nodeAffinity", "kubernetes.io/arch")


def test_no_file_names_a_processor() -> None:
    """Neither compose's files, nor the Dockerfiles, nor what lies in deploy/."""
    assert len(FILES) > 40
    named = {str(file.relative_to(ROOT)): match[0] for file in FILES if (match := PROCESSORS.search(file.read_text()))}
    assert named == {}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_is_bound_to_a_processor(overlay: str) -> None:
    """Kubernetes may place every pod on any node that has what it asks for."""
    text = str([built(overlay), everything(overlay)])
    assert [word for word in PLACEMENT if word in text] == []
