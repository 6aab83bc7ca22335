"""Recordings for the tests: fetched by hash from packages whose licence allows it, kept below MODEL_DIR/fixtures."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from scripts.weights.catalogue import DIARIZATION, EMBEDDING_ONNX, Archive, File
from scripts.weights.hashing import sha256_of
from shared.errors import ModelUnavailable

PYWHISPERCPP = Archive(
    project="pywhispercpp",
    filename="pywhispercpp-1.5.1.tar.gz",
    sha256="5df897e5dd9d9f16804fc937bd85b9f5880a0b29a55f8843585e0e03d76195e5",
    size_bytes=9_756_087,
)
"""MIT; the recording is an address of the US government, in the public domain."""

POCKETSPHINX = Archive(
    project="pocketsphinx",
    filename="pocketsphinx-5.1.1.tar.gz",
    sha256="675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355",
    size_bytes=34_158_862,
)
"""BSD; the readings are by LibriVox volunteers, in the public domain."""

AUDIOEVAL = Archive(
    project="pytest-audioeval",
    filename="pytest_audioeval-0.1.3-py3-none-any.whl",
    sha256="8b97369347232d43180dd9860189c547ccc8dedb42b7c21d511ddc5a05ef7ecc",
    size_bytes=3_959_807,
)
"""MIT; synthetic voices."""


@dataclass(frozen=True, slots=True)
class Fixture:
    """One recording or transcript and the archive member that it is."""

    file: File
    archive: Archive
    member: str


def _fixture(name: str, archive: Archive, member: str, sha256: str, size_bytes: int) -> Fixture:
    return Fixture(File(name, sha256, size_bytes), archive, member)


_LIBRIVOX = "pocketsphinx-5.1.1/test/data/librivox/sense_and_sensibility_01_austen_64kb"
_AUDIOEVAL = "pytest_audioeval/samples/audio"
_ALL = (
    Fixture(
        File("wespeaker.onnx", EMBEDDING_ONNX.sha256, EMBEDDING_ONNX.size_bytes), *DIARIZATION.mirror[1].members[0]
    ),
    _fixture(
        "jfk.wav",
        PYWHISPERCPP,
        "pywhispercpp-1.5.1/whisper.cpp/samples/jfk.wav",
        "59dfb9a4acb36fe2a2affc14bacbee2920ff435cb13cc314a08c13f66ba7860e",
        352_078,
    ),
    _fixture(
        "librivox-0870.wav",
        POCKETSPHINX,
        f"{_LIBRIVOX}-0870.wav",
        "b0557cf95c974d930577e58e46b7f068c432a6e3afcc286563d88922b2a5315c",
        227_244,
    ),
    _fixture(
        "librivox-0870.txt",
        POCKETSPHINX,
        f"{_LIBRIVOX}-0870.txt",
        "e7001f6b4f6961f49df18fbdf0a0cda70c950806a2f2055eed20bb128dc3570c",
        116,
    ),
    _fixture(
        "librivox-0880.wav",
        POCKETSPHINX,
        f"{_LIBRIVOX}-0880.wav",
        "fbec491ef00ee734a67f0ee318e98c51c157b479e1629ff4f4426861ecac0414",
        95_724,
    ),
    _fixture(
        "librivox-0880.txt",
        POCKETSPHINX,
        f"{_LIBRIVOX}-0880.txt",
        "e7c98df9e9929043aad0994ac095bc86a6e9db8ff51d9dd0d3c28eb5df691a0e",
        38,
    ),
    _fixture(
        "librivox-0890.wav",
        POCKETSPHINX,
        f"{_LIBRIVOX}-0890.wav",
        "5793ffbdee55fb8bfd284943a6866864c832d9d4accf2661cabd39915c84ee10",
        169_644,
    ),
    _fixture(
        "librivox-0890.txt",
        POCKETSPHINX,
        f"{_LIBRIVOX}-0890.txt",
        "942c80d221e02f9e01fbe4558a61313decf4b45a4e5e5941ae35fb0ba793ba09",
        75,
    ),
    _fixture(
        "librivox-0920.wav",
        POCKETSPHINX,
        f"{_LIBRIVOX}-0920.wav",
        "40882414ef4cc51f3ff7a63bad0c8c87e7f595ffeb8209fbf756c8ebc5c28a59",
        193_644,
    ),
    _fixture(
        "librivox-0920.txt",
        POCKETSPHINX,
        f"{_LIBRIVOX}-0920.txt",
        "20c9afffa853ca7697939312c43a6d2fc5ea8248e5748238b7ce34f6121b7835",
        97,
    ),
    _fixture(
        "librivox-0930.wav",
        POCKETSPHINX,
        f"{_LIBRIVOX}-0930.wav",
        "954adbf0b56ac8a148cbe77b39ca18d76b5f2a1e1f405565bd786ce3e68a68b7",
        105_324,
    ),
    _fixture(
        "librivox-0930.txt",
        POCKETSPHINX,
        f"{_LIBRIVOX}-0930.txt",
        "b57a1fa64e7bdf66d5ca11df4a31c93492808006295fe3b3e8b2ea4deb800640",
        45,
    ),
    _fixture(
        "french.wav",
        AUDIOEVAL,
        f"{_AUDIOEVAL}/fr/pangrama.wav",
        "97aee6fca112f4c562aed53be97fb715f744f5ec072e1f4a30ffaf94324da361",
        176_316,
    ),
    _fixture(
        "french.txt",
        AUDIOEVAL,
        f"{_AUDIOEVAL}/fr/pangrama.txt",
        "1fee9c5f8f3ce450a79759ef205528ff0149afaa9af6862d522628cda27926f5",
        46,
    ),
    _fixture(
        "chinese.wav",
        AUDIOEVAL,
        f"{_AUDIOEVAL}/zh/pangrama.wav",
        "b7d55e74f50d39226624506eef308be97553af66cee6334b4df1fba675ce2cc6",
        263_192,
    ),
    _fixture(
        "italian.wav",
        AUDIOEVAL,
        f"{_AUDIOEVAL}/it/pangrama.wav",
        "6a5fc04102c280d8a7efc3bb56b8d87646609e17562d6cd5de9d03a3c07d756c",
        213_784,
    ),
    _fixture(
        "italian.txt",
        AUDIOEVAL,
        f"{_AUDIOEVAL}/it/pangrama.txt",
        "6978c27aafbe6f9f3cabfb141b8cf48d397b75223cf4d191ebb1aa8c318d1f77",
        49,
    ),
    _fixture(
        "spanish.wav",
        AUDIOEVAL,
        f"{_AUDIOEVAL}/es/conteo.wav",
        "4080f4ca26975a4a1c1c5310ce79743c975e1dc5c1b6655ec0f2529bb3ea8a80",
        209_080,
    ),
    _fixture(
        "spanish.txt",
        AUDIOEVAL,
        f"{_AUDIOEVAL}/es/conteo.txt",
        "c2573ac264cf529c7d41039aa1dac09780ae214828c43e37a201fb74079c998b",
        53,
    ),
)

FIXTURES = {fixture.file.path: fixture for fixture in _ALL}
"""Recordings (mono WAV) by name; a .txt is what is said in the .wav beside it. Also the ONNX model of the embedding."""


def default_model_dir() -> Path:
    """MODEL_DIR, or ./models like the rest of Parley."""
    return Path(os.environ.get("MODEL_DIR") or "models")


def fixture(name: str, model_dir: Path | None = None) -> Path:
    """The file of that name in `FIXTURES`, fetched on first use. Raises KeyError, `ModelUnavailable`."""
    target = FIXTURES[name]
    folder = (model_dir or default_model_dir()) / "fixtures"
    path = folder / name
    if path.exists() and sha256_of(path) == target.file.sha256:
        return path
    from scripts.weights.download import SourceFailed, progress_bar
    from scripts.weights.index import take
    from scripts.weights.mirror import Mirror

    # Processes that run tests side by side each work in a folder of their own; the rename decides.
    work = folder / f".partial-{os.getpid()}"
    try:
        with progress_bar() as progress:
            archive = Mirror(work).archive(target.archive, progress)
        for other, entry in FIXTURES.items():
            if entry.archive == target.archive:
                take([(archive, entry.member)], entry.file, work / other)
                (work / other).replace(folder / other)
    except SourceFailed as error:
        raise ModelUnavailable(f"fixture {name}: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return path
