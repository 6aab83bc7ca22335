"""The diarization pipeline of the mirror: pyannote's speaker-diarization-3.1, put together from its parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scripts.weights.catalogue import EMBEDDING_ONNX
from scripts.weights.download import SourceFailed

EMBEDDING_DIMENSION, PLDA_DIMENSION = 256, 128

CONFIG = """\
# Built from segmentation-3.0 and WeSpeaker ResNet34-LM; the settings are those of speaker-diarization-3.1.
# With community-1 from the Hub this file says VBxClustering instead.
dependencies:
  pyannote.audio: 4.0.0
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    segmentation: $model/segmentation
    segmentation_batch_size: 32
    embedding: $model/embedding
    embedding_batch_size: 32
    embedding_exclude_overlap: true
    plda: $model/plda
    clustering: AgglomerativeClustering
params:
  segmentation:
    min_duration_off: 0.0
  clustering:
    method: centroid
    threshold: 0.7045654963945799
    min_cluster_size: 12
"""

NOTICE = """\
segmentation/  pyannote/segmentation-3.0, copyright CNRS, MIT licence.
embedding/     WeSpeaker ResNet34-LM trained on VoxCeleb, copyright the WeSpeaker authors, CC-BY-4.0
               (https://creativecommons.org/licenses/by/4.0/). Changed: the published ONNX export was turned into a
               pyannote.audio checkpoint; the function it computes is the same.
plda/          An identity transform, made on this machine. Agglomerative clustering does not use it.
"""

SPEAKERS_NOTICE = """\
wespeaker.onnx  WeSpeaker ResNet34-LM trained on VoxCeleb, copyright the WeSpeaker authors, CC-BY-4.0
                (https://creativecommons.org/licenses/by/4.0/), as its ONNX export was published.
"""


def assemble(folder: Path) -> None:
    """Add to the downloaded parts in `folder` the checkpoint of the embedding, the PLDA, config.yaml and NOTICE.txt.

    Raises `SourceFailed` when the converted embedding does not compute what the ONNX model does.
    """
    onnx_path = folder / EMBEDDING_ONNX.path
    try:
        from scripts.weights.embedding import convert

        convert(onnx_path, folder / "embedding" / "pytorch_model.bin")
    except ImportError as error:  # a node without the diarization packages may still fetch Whisper models
        raise SourceFailed(f"converting the embedding needs the Python package {error.name}") from error
    onnx_path.unlink()
    write_identity_plda(folder / "plda")
    (folder / "config.yaml").write_text(CONFIG, "utf-8")
    (folder / "NOTICE.txt").write_text(NOTICE, "utf-8")


def write_identity_plda(folder: Path) -> None:
    """The two files that pyannote loads even when the clustering has no use for them; they change nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "xvec_transform.npz",
        mean1=np.zeros(EMBEDDING_DIMENSION),
        mean2=np.zeros(PLDA_DIMENSION),
        lda=np.eye(EMBEDDING_DIMENSION, PLDA_DIMENSION),
    )
    np.savez(
        folder / "plda.npz",
        mu=np.zeros(PLDA_DIMENSION),
        tr=np.eye(PLDA_DIMENSION),
        psi=np.ones(PLDA_DIMENSION),
    )
