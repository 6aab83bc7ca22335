"""The converted speaker embedding, and the recordings that other tests use."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from scripts.weights import fixture
from scripts.weights.diarization import CONFIG, write_identity_plda
from scripts.weights.download import SourceFailed
from scripts.weights.embedding import MIN_COSINE, convert
from scripts.weights.fixtures import FIXTURES
from scripts.weights.hashing import sha256_of
from tasks.diarization import torchaudio_cpu

torchaudio_cpu.install()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embedding") / "pytorch_model.bin"
    assert convert(fixture("wespeaker.onnx"), path) > MIN_COSINE
    return path


def speech(name: str) -> torch.Tensor:
    """(1, 1, samples) in -1..1"""
    with wave.open(str(fixture(name))) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return torch.from_numpy(samples.astype(np.float32) / 2**15)[None, None]


@pytest.mark.parametrize("name", ["jfk.wav", "librivox-0880.wav"])
def test_the_checkpoint_embeds_speech_as_the_onnx_model_does(checkpoint: Path, name: str) -> None:
    """Loaded by pyannote, the checkpoint gives onnxruntime's embedding of real speech."""
    from pyannote.audio import Model

    model = Model.from_pretrained(checkpoint).eval()
    waveform = speech(name)
    with torch.inference_mode():
        embedding = model(waveform).numpy()[0]
        fbank = model.compute_fbank(waveform).numpy()
    session = onnxruntime.InferenceSession(fixture("wespeaker.onnx"), providers=["CPUExecutionProvider"])
    (reference,) = session.run(None, {"input_features": fbank})
    cosine = embedding @ reference[0] / np.linalg.norm(embedding) / np.linalg.norm(reference[0])
    assert embedding.shape == (256,)
    assert cosine > MIN_COSINE
    assert np.abs(embedding - reference[0]).max() < 1e-3 * np.abs(reference[0]).max()


def test_a_network_that_computes_something_else_is_not_converted(tmp_path: Path) -> None:
    """An ONNX graph with the right weights and another function is refused and nothing is written."""
    model = onnx.load(fixture("wespeaker.onnx"))
    relu = next(index for index, node in enumerate(model.graph.node) if node.op_type == "Relu")
    model.graph.node[relu].op_type = "Abs"
    onnx.save(model, tmp_path / "altered.onnx")
    with pytest.raises(SourceFailed, match="the converted embedding differs"):
        convert(tmp_path / "altered.onnx", tmp_path / "pytorch_model.bin")
    assert not (tmp_path / "pytorch_model.bin").exists()


def test_a_network_of_another_shape_is_not_converted(tmp_path: Path) -> None:
    """An ONNX graph with a convolution less is refused and nothing is written."""
    model = onnx.load(fixture("wespeaker.onnx"))
    last = [node for node in model.graph.node if node.op_type == "Conv"][-1]
    model.graph.node.remove(last)
    onnx.save(model, tmp_path / "altered.onnx")
    with pytest.raises(SourceFailed, match="has no convolution"):
        convert(tmp_path / "altered.onnx", tmp_path / "pytorch_model.bin")
    assert not (tmp_path / "pytorch_model.bin").exists()


def test_the_identity_plda_keeps_directions(tmp_path: Path) -> None:
    """pyannote loads the identity PLDA, and it leaves the angle between embeddings as it was."""
    from pyannote.audio.core.plda import PLDA

    write_identity_plda(tmp_path)
    plda = PLDA.from_pretrained(tmp_path)
    embeddings = np.zeros((2, 256))
    embeddings[:, :128] = np.random.default_rng(0).normal(size=(2, 128))
    mapped = plda(embeddings)

    def angle(pair: np.ndarray) -> float:
        return float(pair[0] @ pair[1] / np.linalg.norm(pair[0]) / np.linalg.norm(pair[1]))

    assert mapped.shape == (2, 128)
    assert angle(mapped) == pytest.approx(angle(embeddings))


def test_the_config_of_the_mirror_builds_a_pipeline(tmp_path: Path, checkpoint: Path) -> None:
    """The parts of the mirror, laid out as in MODEL_DIR, load as a pyannote pipeline without a network."""
    from pyannote.audio import Pipeline

    from scripts.weights import default_model_dir

    (tmp_path / "segmentation").symlink_to((default_model_dir() / "diarization" / "segmentation").resolve())
    (tmp_path / "embedding").symlink_to(checkpoint.parent)
    write_identity_plda(tmp_path / "plda")
    (tmp_path / "config.yaml").write_text(CONFIG)
    pipeline = Pipeline.from_pretrained(tmp_path)
    assert pipeline.klustering == "AgglomerativeClustering"
    assert pipeline.parameters(instantiated=True)["clustering"]["min_cluster_size"] == 12


@pytest.mark.parametrize("name", sorted(FIXTURES))
def test_every_fixture_can_be_had(name: str) -> None:
    """Each recording comes from its package with the bytes of the catalogue."""
    assert sha256_of(fixture(name)) == FIXTURES[name].file.sha256
