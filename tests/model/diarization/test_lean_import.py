"""pyannote.audio as we import it, beside the same imported in full; each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from scripts.weights.diarization import CONFIG

ROOT = Path(__file__).parents[3]
FOLDER = Path(os.environ.get("MODEL_DIR", ROOT / "models")) / "diarization"

TRAINING = {"lightning", "matplotlib", "networkx", "onnxruntime", "optuna", "pandas", "pytorch_metric_learning"}
TRAINING |= {"scipy.signal", "scipy.stats", "sklearn", "torch._dynamo", "torch.distributed.fsdp"}
TRAINING |= {"torch_audiomentations", "torchmetrics"}

PRELUDE = """
import json, sys, wave
from pathlib import Path
import numpy as np
from tasks.diarization import loading
from tasks.stages.diarize import DiarizeOptions, diarize
FOLDER = Path(sys.argv[1])
def load(clustering="windows"):
    return loading.load_pipeline(FOLDER, clustering=clustering, device="cpu", token=None)
def call(start, end):
    import pyannote.audio
    with wave.open(str(Path(pyannote.audio.__file__).parent / "sample" / "sample.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / np.float32(2**15)
    return samples[start * 16000 : end * 16000]
def told(pipeline, **options):
    result = diarize(call(6, 20), DiarizeOptions(**options), pipeline, lambda share: None)
    return [[(turn.start, turn.end, turn.speaker) for turn in turns] for turns in (result.turns, result.exclusive)]
"""

IN_FULL = "loading.prepare_import()\nimport pyannote.audio.pipelines\n"

EVERYTHING = """
import hashlib, torch
windows, pyannote = load(), load("pyannote")
audio = {"waveform": torch.from_numpy(call(6, 20).copy())[None], "sample_rate": 16000}
embeddings = windows.embeddings(audio, windows.get_segmentations(audio), lambda *_, **__: None)
def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()
print(json.dumps({
    "turns": [told(windows), told(windows, num_speakers=3), told(pyannote)],
    "embeddings": digest(embeddings.chunks, embeddings.long.embeddings, embeddings.short.embeddings),
    "segmentation": digest(audio["segmentation"].data),
    "models": [
        [str(model), repr(dict(model.hparams)), repr(model.specifications), str(model.device), model.training,
         list(model.state_dict()), digest(*(each.numpy() for each in model.state_dict().values()))]
        for model in (windows._segmentation.model, windows._embedding.model_)
    ],
    "settings": windows.parameters(instantiated=True),
    "modules": sorted(sys.modules),
}))
"""


def run(program: str, folder: Path = FOLDER, path: Path = ROOT) -> tuple[Any, str]:
    """What a process prints last, read as JSON, and what it logs."""
    done = subprocess.run(
        (sys.executable, "-W", "ignore", "-c", PRELUDE + program, str(folder)),
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{path}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    *log, last = done.stdout.splitlines()
    return json.loads(last), "\n".join([*log, done.stderr])


@pytest.fixture(scope="module")
def lean() -> tuple[Any, str]:
    return run(EVERYTHING)


def test_all_is_the_same_to_the_bit(lean: tuple[Any, str]) -> None:
    """Turns by both clusterings, segmentation, embeddings, networks, and settings."""
    ours, theirs = dict(lean[0]), run(IN_FULL + EVERYTHING)[0]
    assert TRAINING - set(theirs.pop("modules")) == {"pytorch_metric_learning"}
    del ours["modules"]
    assert ours == theirs
    assert len({speaker for _, _, speaker in ours["turns"][1][0]}) == 3


def test_nothing_is_imported_that_only_trains(lean: tuple[Any, str]) -> None:
    """Not after loading, not after telling speakers apart; and nothing is left of how that was done."""
    assert set(lean[0]["modules"]) & TRAINING == set()
    assert "for_pyannote" not in lean[1]
    assert "in_full" not in lean[1]


def test_telemetry_is_not_there(lean: tuple[Any, str]) -> None:
    """Neither pyannote's module that sends it, nor the exporter that would be made with it."""
    sending = {"pyannote.audio.telemetry", "opentelemetry.exporter.otlp.proto.http.trace_exporter"}
    assert set(lean[0]["modules"]) & sending == set()


def test_everybody_else_imports_the_real_packages() -> None:
    """Afterwards, in the same process: Lightning, pandas by way of pyannote.metrics, the notebook, and no hook."""
    found, log = run("""
load()
hooks = [type(finder).__name__ for finder in sys.meta_path]
empty = [name for name, module in sys.modules.items() if type(module).__name__ == "LateModule"]
import lightning, scipy
from pyannote.core import Annotation, Segment, notebook
from pyannote.metrics.diarization import DiarizationErrorRate
one, two = Annotation(uri="call"), Annotation(uri="call")
one[Segment(0, 4)], two[Segment(0, 3)] = "a", "b"
error = DiarizationErrorRate()
error(one, two)
report = error.report()
width = notebook.width
from pyannote.core import notebook as again
print(json.dumps([
    hooks, empty, lightning.LightningModule.__module__, type(report).__module__.partition(".")[0], report.shape[0],
    type(again).__name__, width, [int(peak) for peak in scipy.signal.argrelmax(np.array([0, 2, 1]))[0]],
]))
""")
    hooks, empty, *others = found
    assert "LateFinder" not in hooks
    assert empty == []
    assert others == ["lightning.pytorch.core.module", "pandas", 2, "Notebook", 20, [1]]
    assert log.count("imported_for_pyannote") == 2  # pandas and the notebook


def linked(folder: Path, *names: str) -> None:
    """Parts of the weights, and their config.yaml."""
    for name in names:
        (folder / name).symlink_to((FOLDER / name).resolve())
    (folder / "config.yaml").write_text(CONFIG)


def test_vbx_gets_its_k_means(tmp_path: Path) -> None:
    """A clustering that does need scikit-learn gets it when it does, with a line in the log, and the same turns."""
    linked(tmp_path, "segmentation", "embedding", "plda")
    settings, _, _ = CONFIG.partition("  clustering:\n    method")
    settings = settings.replace("AgglomerativeClustering", "VBxClustering")
    (tmp_path / "config.yaml").write_text(f"{settings}  clustering: {{threshold: 0.6, Fa: 0.07, Fb: 0.8}}\n")
    program = 'pipeline = load("pyannote")\nprint(json.dumps([told(pipeline, num_speakers=3), pipeline.klustering]))'
    (turns, name), log = run(program, tmp_path)
    assert name == "VBxClustering"
    assert [turns, name] == run(IN_FULL + program, tmp_path)[0]
    assert log.count("imported_for_pyannote") == 1
    assert "sklearn" in log


MODEL = """
from pyannote.audio.models.segmentation import PyanNet
class Own(PyanNet):
    def __init__(self, sincnet=None, lstm=None, linear=None, sample_rate=16000, num_channels=1, task=None):
        super().__init__(sincnet, lstm, linear, sample_rate, num_channels, task)
        self.save_hyperparameters(ignore=["task"])
        self.was_logged = self.logger
"""


def test_a_model_that_needs_lightning_gets_it(tmp_path: Path) -> None:
    """Somebody's own class that takes more of Lightning: pyannote is imported in full, once, and the log says so."""
    weights = tmp_path / "weights"
    (weights / "segmentation").mkdir(parents=True)
    linked(weights, "embedding", "plda")
    (tmp_path / "own.py").write_text(MODEL)
    program = f"""
import torch
loading.import_pyannote()
checkpoint = torch.load({str(FOLDER)!r} + "/segmentation/pytorch_model.bin", weights_only=False)
checkpoint["pyannote.audio"]["architecture"] = {{"module": "own", "class": "Own"}}
torch.save(checkpoint, FOLDER / "segmentation" / "pytorch_model.bin")
pipeline = load()
turns = told(pipeline)
model = pipeline._segmentation.model
print(json.dumps([turns, told(load()), type(model).__name__, model.was_logged, "lightning" in sys.modules]))
"""
    (first, second, *others), log = run(program, weights, tmp_path)
    assert others == ["Own", None, True]
    assert first == second == run("print(json.dumps(told(load())))")[0]
    assert log.count("pyannote_imported_in_full") == 1


def test_another_pyannote_is_imported_in_full(tmp_path: Path) -> None:
    """A version that uses at its top what we would import late: that is noticed, and the import in full counts."""
    spec = find_spec("pyannote.audio")
    assert spec is not None and spec.origin is not None
    copy = shutil.copytree(Path(spec.origin).parent, tmp_path / "pyannote" / "audio")
    with (copy / "core" / "task.py").open("a") as file:
        file.write("import pandas\nTABLE = pandas.DataFrame()\n")
    program = """
from tasks.diarization import lean_import
turns = told(load())
import pyannote.audio.core.task as task
print(json.dumps([turns, len(task.TABLE), lean_import.is_lean()]))
"""
    (turns, rows, is_lean), log = run(program, FOLDER, tmp_path)
    assert (rows, is_lean) == (0, False)
    assert turns == run("print(json.dumps(told(load())))")[0]
    assert log.count("pyannote_imported_in_full") == 1
    assert "pandas.DataFrame is used" in log
