"""Tar archives for tests, good ones and bad ones."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

TORCH = {
    "torch/install.sh": "#!/bin/bash\ngit fetch\nmake\n",
    "torch/exe/luajit rocks/CMakeLists.txt": "project(luajit)\n",
    "torch/a 'quoted' \"name\".lua": "return 1\n",
}
NN = {"nn/rocks/nn-scm-1.rockspec": "package = 'nn'\n"}


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """A member without content: a link, a device, a directory."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info


def pack(file: Path, texts: Mapping[str, str], extra: Iterable[tarfile.TarInfo] = (), mode: str = "w:gz") -> Path:
    """Write an archive of `texts` ({name: text}) and the extra members."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, mode) as tar:  # type: ignore[call-overload]
        for name, text in texts.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
        for info in extra:
            tar.addfile(info)
    return file


def pack_bytes(file: Path, contents: Mapping[str, bytes]) -> Path:
    """Write a tar without compression of `contents` ({name: content})."""
    with tarfile.open(file, "w") as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file
