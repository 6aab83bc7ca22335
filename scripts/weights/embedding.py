"""The speaker embedding as pyannote.audio wants it, made from its ONNX export.

WeSpeaker publishes ResNet34-LM (Wang et al. 2023, "WeSpeaker: a research and production oriented speaker embedding
learning toolkit") as a PyTorch checkpoint and as ONNX. Where only the ONNX is to be had, this module rebuilds the
checkpoint: in the export every batch norm is folded into the convolution before it, so each folded bias goes into a
batch norm that does nothing else. The result is compared with onnxruntime before anything is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scripts.weights.download import SourceFailed
from tasks.diarization.loading import import_pyannote

if TYPE_CHECKING:
    import torch

MIN_COSINE = 0.99999
"""Least cosine between an embedding of the checkpoint and one of the ONNX model. Float32 rounding leaves 1 - 1e-6."""

CHUNK_DURATION = 5.0
"""Seconds written into the checkpoint's specifications, as in pyannote's own conversion; inference does not read it."""

PROBE_FRAMES = (150, 500, 998)
"""Lengths of the probe inputs in 10 ms frames: 1.5 s, 5 s, and the 10 s chunk that diarization uses."""


@dataclass(frozen=True, slots=True, eq=False)
class Conv:
    """One convolution of the export: weight (out, in, height, width), bias (out,), stride along time."""

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    stride: int

    @property
    def shape(self) -> tuple[tuple[int, ...], int]:
        return self.weight.shape, self.stride


def convert(onnx_path: Path, checkpoint_path: Path) -> float:
    """Write the pyannote checkpoint of the ResNet34 in `onnx_path`; returns the least cosine against onnxruntime.

    Raises `SourceFailed`, and writes nothing, when the graph is not this network or the outputs differ.
    """
    import torch

    model = _wespeaker()
    model.resnet.load_state_dict(_state_dict(onnx_path, model.resnet), strict=True)
    model.eval()
    cosine = least_cosine(onnx_path, model)
    if not cosine > MIN_COSINE:  # written so that NaN is refused too
        raise SourceFailed(f"the converted embedding differs from {onnx_path.name}: cosine {cosine:.6f}")
    checkpoint: dict[str, Any] = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    checkpoint["pytorch-lightning_version"] = version("lightning")
    torch.save(checkpoint, checkpoint_path)
    return cosine


def least_cosine(onnx_path: Path, model: Any) -> float:
    """The least cosine between what `model`, a WeSpeakerResNet34, and `onnx_path` make of seeded probes."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    session = onnxruntime.InferenceSession(onnx_path, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    cosines = []
    for frames in PROBE_FRAMES:
        # (1, frames, 80): a mean-free log mel filter bank has a standard deviation of a few nats
        fbank = rng.normal(scale=3.0, size=(1, frames, 80)).astype(np.float32)
        (reference,) = session.run(None, {session.get_inputs()[0].name: fbank})
        with torch.inference_mode():
            embedding = model.resnet(torch.from_numpy(fbank.copy()))[1].numpy()
        norms = np.linalg.norm(reference) * np.linalg.norm(embedding)
        cosines.append(float(np.vdot(reference, embedding) / norms))
    return min(cosines)


def _wespeaker() -> Any:
    import_pyannote()
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.embedding.wespeaker import WeSpeakerResNet34

    model = WeSpeakerResNet34()
    model.specifications = Specifications(
        problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=CHUNK_DURATION
    )
    return model


def _state_dict(onnx_path: Path, resnet: Any) -> dict[str, torch.Tensor]:
    """The weights of `onnx_path` under the names of `resnet`, which says where each convolution goes."""
    import torch

    convs, seg_weight, seg_bias = _read(onnx_path)
    state: dict[str, torch.Tensor] = resnet.state_dict()
    for conv_name, norm_name in _pairs(resnet):
        module, norm = resnet.get_submodule(conv_name), resnet.get_submodule(norm_name)
        shape = (tuple(module.weight.shape), module.stride[0])
        # Execution order, except that an export may place a shortcut before or after its block: the first that fits.
        match = next((conv for conv in convs if conv.shape == shape), None)
        if match is None:
            raise SourceFailed(f"{onnx_path.name} has no convolution {shape} for {conv_name}")
        convs.remove(match)
        state[f"{conv_name}.weight"] = torch.from_numpy(match.weight)
        state[f"{norm_name}.weight"] = torch.ones_like(norm.weight)
        state[f"{norm_name}.bias"] = torch.from_numpy(match.bias)
        state[f"{norm_name}.running_mean"] = torch.zeros_like(norm.running_mean)
        state[f"{norm_name}.running_var"] = torch.full_like(norm.running_var, 1 - norm.eps)
    if convs:
        raise SourceFailed(f"{onnx_path.name} has {len(convs)} convolutions more than a ResNet34")
    state["seg_1.weight"], state["seg_1.bias"] = torch.from_numpy(seg_weight), torch.from_numpy(seg_bias)
    return state


def _pairs(resnet: Any) -> Iterator[tuple[str, str]]:
    """Names of each convolution and the batch norm after it, in order of execution."""
    yield "conv1", "bn1"
    for layer in ("layer1", "layer2", "layer3", "layer4"):
        for index, block in enumerate(resnet.get_submodule(layer)):
            name = f"{layer}.{index}"
            yield f"{name}.conv1", f"{name}.bn1"
            yield f"{name}.conv2", f"{name}.bn2"
            if len(block.shortcut):
                yield f"{name}.shortcut.0", f"{name}.shortcut.1"


def _read(onnx_path: Path) -> tuple[list[Conv], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The convolutions in order of execution, and weight (256, 5120) and bias (256,) of the last linear layer."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(onnx_path, load_external_data=False).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor).copy() for tensor in graph.initializer}
    convs: list[Conv] = []
    linear: list[tuple[str, str]] = []
    for node in graph.node:
        if node.op_type == "Conv":
            stride = next(attribute.ints[0] for attribute in node.attribute if attribute.name == "strides")
            convs.append(Conv(arrays[node.input[1]], arrays[node.input[2]], stride))
        elif node.op_type == "Gemm":
            linear.append((node.input[1], node.input[2]))
    if len(linear) != 1:
        raise SourceFailed(f"{onnx_path.name} has {len(linear)} linear layers, not one")
    weight, bias = (arrays[name] for name in linear[0])
    # The export ends with "- mean_vec", the mean embedding of the training set, which the network itself lacks.
    return convs, weight, bias - arrays.get("mean_vec", np.zeros_like(bias))
