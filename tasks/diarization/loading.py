"""Loads the diarization pipeline from a local folder or from the Hugging Face Hub."""

from __future__ import annotations

import os
import warnings
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


def load_stock(folder: Path, *, token: str | None, hub: str = HUB) -> Any:
    """pyannote's own pipeline, on the CPU. Takes seconds, most of them the import of pyannote.

    folder : has config.yaml when the weights are local; only then is the Hub not asked
    token : Hugging Face token of an account that has accepted the conditions of `hub`

    Raises ModelUnavailable when there are no weights or they cannot be read.
    """
    source = folder if (folder / "config.yaml").is_file() else _hub_id(hub, token)
    prepare_import()
    with warnings.catch_warnings():
        # Files are decoded elsewhere and handed over in memory, so that pyannote cannot decode any is no news.
        warnings.filterwarnings("ignore", message=r"\s*torchcodec is not installed")
        from pyannote.audio import Pipeline
        from pyannote.audio.pipelines import SpeakerDiarization

    try:
        stock = Pipeline.from_pretrained(source, token=token)
    except Exception as error:
        where = "MODEL_DIR/diarization" if source is folder else f"the Hub ({hub})"
        raise ModelUnavailable(
            f"The diarization weights cannot be loaded from {where}: {type(error).__name__}. {_REMEDY}"
        ) from error
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


def _hub_id(hub: str, token: str | None) -> str:
    """`hub`, once it is clear that asking for it can succeed."""
    if not token:
        raise ModelUnavailable(f"There are no diarization weights in MODEL_DIR/diarization. {_REMEDY}")
    if not token.startswith("hf_"):
        # pyannote drops such a token without a word and the Hub then answers "401", which misleads.
        raise ModelUnavailable(f'HF_TOKEN is not a Hugging Face token: those start with "hf_". {_REMEDY}')
    return hub
