"""Loads the diarization pipeline from a local folder or from the Hugging Face Hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import ModelUnavailable
from tasks.diarization import torchaudio_cpu

if TYPE_CHECKING:
    from tasks.diarization.pipeline import Clustering, Diarizer

HUB = "pyannote/speaker-diarization-community-1"

CPU_BATCH = 8
"""Chunks segmented at once on a CPU: as fast as the usual 32 with a quarter of the memory, and stops sooner."""

_REMEDY = (
    f"Run scripts/download_models.py, or accept the conditions of https://hf.co/{HUB} "
    "and set HF_TOKEN to a token from https://hf.co/settings/tokens."
)


def prepare_import() -> None:
    """Call before the first import of pyannote: telemetry off, torchaudio importable on a CPU build of torch."""
    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
    torchaudio_cpu.install()


def import_pyannote() -> None:
    """Import of pyannote.audio what loads and runs a pipeline; see `tasks.diarization.lean_import`. Takes a second."""
    prepare_import()
    from tasks.diarization import lean_import

    lean_import.import_pyannote()


def load_stock(folder: Path, *, token: str | None, hub: str = HUB) -> Any:
    """pyannote's own pipeline, on the CPU. Takes seconds.

    folder : has config.yaml when the weights are local; only then is the Hub not asked
    token : Hugging Face token of an account that has accepted the conditions of `hub`

    Raises ModelUnavailable when there are no weights or they cannot be read.
    """
    source = folder if (folder / "config.yaml").is_file() else _hub_id(hub, token)
    import_pyannote()
    from tasks.diarization import lean_import

    try:
        try:
            stock = _from_pretrained(source, token)
        except (AttributeError, TypeError) as error:  # perhaps a model that needs more of Lightning than is there
            if not lean_import.is_lean():
                raise
            lean_import.import_in_full(error)
            stock = _from_pretrained(source, token)
    except Exception as error:
        where = "MODEL_DIR/diarization" if source is folder else f"the Hub ({hub})"
        raise ModelUnavailable(
            f"The diarization weights cannot be loaded from {where}: {type(error).__name__}. {_REMEDY}"
        ) from error
    from pyannote.audio.pipelines import SpeakerDiarization

    if not isinstance(stock, SpeakerDiarization):
        raise ModelUnavailable(f"{source} is not a speaker diarization pipeline. {_REMEDY}")
    return stock


def load_pipeline(folder: Path, *, clustering: Clustering, device: str, token: str | None, hub: str = HUB) -> Diarizer:
    """The pipeline that `tasks.stages.diarize` runs, on `device` ("cpu", "cuda", "cuda:1").

    Other arguments and errors as `load_stock`; `clustering` as `Diarizer`. Also raises ModelUnavailable when the
    embedding model is no WeSpeaker ResNet, the only kind whose trunk can be shared.
    """
    stock = load_stock(folder, token=token, hub=hub)

    import torch
    from pyannote.audio.models.embedding.wespeaker import BaseWeSpeakerResNet

    from tasks.diarization.pipeline import Diarizer

    if not isinstance(getattr(stock._embedding, "model_", None), BaseWeSpeakerResNet):
        raise ModelUnavailable(f"The diarization weights hold no WeSpeaker ResNet. {_REMEDY}")
    pipeline = Diarizer(stock, clustering)
    pipeline.to(torch.device(device))
    if device == "cpu":
        pipeline.segmentation_batch_size = CPU_BATCH
    pipeline.warm_up()
    return pipeline


def _from_pretrained(source: Path | str, token: str | None) -> Any:
    from pyannote.audio import Pipeline

    return Pipeline.from_pretrained(source, token=token)


def _hub_id(hub: str, token: str | None) -> str:
    """`hub`, once it is clear that asking for it can succeed."""
    if not token:
        raise ModelUnavailable(f"There are no diarization weights in MODEL_DIR/diarization. {_REMEDY}")
    if not token.startswith("hf_"):
        # pyannote drops such a token without a word and the Hub then answers "401", which misleads.
        raise ModelUnavailable(f'HF_TOKEN is not a Hugging Face token: those start with "hf_". {_REMEDY}')
    return hub
