"""A model for onnx-asr that is made on the spot: a network of one layer that says a word by how loud it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NAME = "parakeet-ctc-0.6b"
TOKENS = ("▁so", "▁my", "s", "<blk>")
SUBSAMPLING = 8
FEATURES = 80


def make(models: Path) -> Path:
    """The folder of a model called NAME below `models`, as MODEL_DIR has it."""
    folder = models / "onnx" / NAME
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "nemo-conformer-ctc"}))
    (folder / "vocab.txt").write_text("".join(f"{token} {number}\n" for number, token in enumerate(TOKENS)))
    onnx.save(_network(), str(folder / "model.onnx"))
    return folder


def _network() -> onnx.ModelProto:
    """Log mel energies (batch, 80, frames) -> log probabilities (batch, frames / 8, tokens).

    Of the mean energy e of 8 frames, normalised as NeMo does it, each token has a straight line; the highest wins:
    nothing below -0.5, then "so", the ending "s" from 0.3 on, and "my" above 0.8.
    """
    slopes, offsets = np.array([0.0, 2.0, 1.0, -1.0]), np.array([0.0, -1.1, -0.3, -0.5])
    weights = [
        numpy_helper.from_array(slopes.astype(np.float32).reshape(len(TOKENS), 1, 1), "slopes"),
        numpy_helper.from_array(offsets.astype(np.float32), "offsets"),
        numpy_helper.from_array(np.array([1], np.int64), "mel"),
    ]
    nodes = [
        helper.make_node(
            "AveragePool",
            ["audio_signal"],
            ["pooled"],
            kernel_shape=[SUBSAMPLING],
            strides=[SUBSAMPLING],
            ceil_mode=1,
        ),
        helper.make_node("ReduceMean", ["pooled", "mel"], ["energy"], keepdims=1),
        helper.make_node("Conv", ["energy", "slopes", "offsets"], ["scores"]),
        helper.make_node("LogSoftmax", ["scores"], ["by_token"], axis=1),
        helper.make_node("Transpose", ["by_token"], ["logprobs"], perm=[0, 2, 1]),
    ]
    inputs = [
        helper.make_tensor_value_info("audio_signal", TensorProto.FLOAT, ["batch", FEATURES, "frames"]),
        helper.make_tensor_value_info("length", TensorProto.INT64, ["batch"]),
    ]
    outputs = [helper.make_tensor_value_info("logprobs", TensorProto.FLOAT, ["batch", "steps", len(TOKENS)])]
    graph = helper.make_graph(nodes, "loudness", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
