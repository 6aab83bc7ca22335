"""The licence of each package and of each library inside a wheel, as an SPDX expression."""

from __future__ import annotations

import re
from importlib import metadata

TEXTS = {
    "0BSD": "0BSD", "Apache 2.0": "Apache-2.0", "Apache-2.0": "Apache-2.0", "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0", "BSD-2-Clause": "BSD-2-Clause", "BSD 2-Clause License": "BSD-2-Clause",
    "BSD-3-Clause": "BSD-3-Clause", "3-Clause BSD License": "BSD-3-Clause", "New BSD": "BSD-3-Clause",
    "GPL-3.0": "GPL-3.0-only", "MIT": "MIT", "MIT License": "MIT", "MPL-2.0": "MPL-2.0", "PSF-2.0": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "MIT OR Apache-2.0": "MIT OR Apache-2.0",
    "MPL-2.0 AND MIT": "MPL-2.0 AND MIT", "PSFL": "PSF-2.0", "Apache License Version 2.0": "Apache-2.0",
    "Apache": "Apache-2.0",
}  # fmt: skip
"""What packages that predate SPDX in their metadata say of themselves."""

PACKAGES = {
    "amqp": "BSD-3-Clause", "async-timeout": "Apache-2.0", "billiard": "BSD-3-Clause", "contourpy": "BSD-3-Clause",
    "cuda-bindings": "LicenseRef-NVIDIA", "cuda-pathfinder": "Apache-2.0", "cuda-toolkit": "LicenseRef-NVIDIA",
    "cycler": "BSD-3-Clause", "flower": "BSD-3-Clause", "jinja2": "BSD-3-Clause", "kiwisolver": "BSD-3-Clause",
    "matplotlib": "PSF-2.0", "mpmath": "BSD-3-Clause", "nvidia-ml-py": "BSD-3-Clause",
    "prompt-toolkit": "BSD-3-Clause", "pyannote-audio": "MIT", "pyannote-core": "MIT", "pyannote-database": "MIT",
    "pyannote-metrics": "MIT", "pyannote-pipeline": "MIT", "pyannoteai-sdk": "MIT",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause", "scipy": "BSD-3-Clause", "sympy": "BSD-3-Clause",
    "torchaudio": "BSD-2-Clause", "torchcodec": "BSD-3-Clause", "triton": "MIT", "vine": "BSD-3-Clause",
    "valkey": "MIT",
}  # fmt: skip
"""Packages whose metadata says less than their licence file, or that this environment does not have."""

LIBRARIES = {
    "libSvtAv1Enc": "BSD-3-Clause-Clear", "libXau": "MIT", "libasound": "LGPL-2.1-or-later",
    "libavcodec": "GPL-3.0-or-later", "libavdevice": "GPL-3.0-or-later", "libavfilter": "GPL-3.0-or-later",
    "libavformat": "GPL-3.0-or-later", "libavutil": "LGPL-3.0-or-later", "libswresample": "LGPL-3.0-or-later",
    "libswscale": "LGPL-3.0-or-later", "libavif": "BSD-2-Clause", "libbrotlicommon": "MIT", "libbrotlidec": "MIT",
    "libcom_err": "MIT", "libcrypt": "LGPL-2.1-or-later", "libcrypto": "Apache-2.0", "libctranslate2": "MIT",
    "libdav1d": "BSD-2-Clause", "libdrm": "MIT", "libecpg": "PostgreSQL", "libfreetype": "FTL",
    "libgfortran": "GPL-3.0-or-later WITH GCC-exception-3.1", "libgmp": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "libgnutls": "LGPL-2.1-or-later", "libgomp": "GPL-3.0-or-later WITH GCC-exception-3.1", "libgssapi_krb5": "MIT",
    "libharfbuzz": "MIT-Modern-Variant", "libhogweed": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "libjpeg": "IJG AND BSD-3-Clause", "libk5crypto": "MIT", "libkeyutils": "LGPL-2.1-or-later", "libkrb5": "MIT",
    "libkrb5support": "MIT", "liblber": "OLDAP-2.8", "liblcms2": "MIT", "libldap": "OLDAP-2.8", "liblzma": "0BSD",
    "libmp3lame": "LGPL-2.0-or-later", "libnettle": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "libopencore-amrnb": "Apache-2.0", "libopencore-amrwb": "Apache-2.0", "libopenjp2": "BSD-2-Clause",
    "libopus": "BSD-3-Clause", "libpgtypes": "PostgreSQL", "libpng16": "libpng-2.0", "libpq": "PostgreSQL",
    "libquadmath": "LGPL-2.1-or-later", "libreadline": "GPL-3.0-or-later", "libsasl2": "BSD-4-Clause-UC",
    "libscipy_openblas": "BSD-3-Clause", "libscipy_openblas64_": "BSD-3-Clause", "libsharpyuv": "BSD-3-Clause",
    "libssl": "Apache-2.0", "libtiff": "libtiff", "libtinfo": "MIT",
    "libunistring": "LGPL-3.0-or-later OR GPL-2.0-or-later", "libvpl": "MIT", "libvpx": "BSD-3-Clause",
    "libwebp": "BSD-3-Clause", "libwebpdemux": "BSD-3-Clause", "libwebpmux": "BSD-3-Clause",
    "libx264": "GPL-2.0-or-later", "libx265": "GPL-2.0-or-later", "libxcb": "MIT", "libxcb-shape": "MIT",
    "libxcb-shm": "MIT", "libxcb-xfixes": "MIT", "libzstd": "BSD-3-Clause",
}  # fmt: skip
"""Libraries that wheels carry along, by the name before their version.

FFmpeg's own code is LGPL-3.0-or-later as av's wheel builds it. libavcodec is linked with x264 and x265, and the other
libraries here below the GPL with libavcodec: as a whole they are.
"""


class NoLicence(Exception):
    """Nobody has said under which licence a package or a library is; the text names it."""


def of_package(name: str) -> str:
    """Raises NoLicence where neither its metadata nor PACKAGES has it."""
    if name in PACKAGES:
        return PACKAGES[name]
    if name.startswith("nvidia-"):
        return "LicenseRef-NVIDIA"
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        raise NoLicence(name) from None
    if expression := about.get_all("License-Expression"):
        return str(expression[0])
    classifiers = [
        each.rpartition(" :: ")[2] for each in about.get_all("Classifier") or () if each.startswith("License")
    ]
    for text in (*(about.get_all("License") or ()), *classifiers):
        if text.strip() in TEXTS:
            return TEXTS[text.strip()]
    raise NoLicence(name)


def libraries(package: str) -> list[tuple[str, str]]:
    """File and licence of each shared library of others in a package's wheel, without the hash in its name.

    Raises NoLicence for one that LIBRARIES does not have.
    """
    licences = {}
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        return []
    for file in files:
        if file.parts[0].endswith(".libs") or file.name == "libgomp.so.1":
            plain = re.sub(r"(-[0-9a-f]{8})+(?=\.)", "", file.name)
            name = plain.partition(".so")[0]
            if name not in LIBRARIES:
                raise NoLicence(f"{package}: {file.name}")
            licences[plain] = LIBRARIES[name]
    return sorted(licences.items())
