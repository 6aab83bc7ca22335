"""What a voice sounds like, as a vector: WeSpeaker's ResNet34 on onnxruntime. Needs no torch."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx_asr.preprocessors.numpy_preprocessor import KaldiPreprocessorNumpy

from tasks.engines.recogniser import Samples

Vector = npt.NDArray[np.float32]

FULL_SCALE = 1 << 15
"""The filter bank is told of 16-bit samples: it takes everything for silence that is far below one."""


class SpeakerEmbedding:
    """One network for any number of threads, one at a time: so its memory does not grow with their number."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # it would keep the memory of the longest that was ever shown to it
        self._network = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._input = self._network.get_inputs()[0].name
        self._filter_bank = KaldiPreprocessorNumpy("wespeaker")
        self._free = threading.Lock()

    def embed(self, samples: Samples) -> Vector:
        """Of mono samples at 16 kHz, at least some tenths of a second, in which one person speaks; shape (256,), of
        length 1. Raises whatever onnxruntime raises."""
        with self._free:
            features = self.features(samples)
            (output,) = self._network.run(None, {self._input: features - features.mean(axis=1, keepdims=True)})
        vector: Vector = output[0] / max(float(np.linalg.norm(output[0])), 1e-12)
        return vector

    def features(self, samples: Samples) -> npt.NDArray[np.float32]:
        """(1, frames, 80) log mel energies, every 10 ms."""
        scaled = (samples * np.float32(FULL_SCALE))[None]
        features, _ = self._filter_bank(scaled, np.array([scaled.shape[1]]))
        energies: npt.NDArray[np.float32] = features.astype(np.float32)
        return energies
