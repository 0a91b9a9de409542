"""Versions that archives contain, for the lock and the compatibility table."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from neuraltalk_provision.catalogue import Artifact
from neuraltalk_provision.catalogue.facts import WITHOUT_NVCC
from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror.archive import Contents
from neuraltalk_provision.rules import cudnn, machines

TEXTS = {"cudnn-archive": tuple(f"*{name}" for name in cudnn.HEADERS), "cudnn-rock": ("*ffi.lua",)}
"""{artifact: patterns for the files in which its version is}."""


def read(file: Path, artifact: Artifact, contents: Contents) -> str:
    """The version in a complete archive; empty for an artifact whose version is not needed.

    For cuDNN the version in its header (`5.0.5`), for the cudnn rock the branch (`R5`) by the library that it opens,
    for CUDA wheels the release (`13.0`). Raises MirrorError if the archive has no version, or is for another machine.
    """
    match artifact.name:
        case "cudnn-archive":
            return _cudnn(file, contents)
        case "cudnn-rock":
            return _rock(file, contents)
        case "cuda-wheels":
            return _wheels(file, contents)
    return ""


def _named(contents: Contents, name: str) -> list[str]:
    return [text for path, text in contents.texts.items() if posixpath.basename(path) == name]


def _cudnn(file: Path, contents: Contents) -> str:
    for path, head in contents.heads.items():
        name = posixpath.basename(path)
        if name.startswith(cudnn.LIBRARY):
            _refuse_other_machine(file, name, head[: machines.HEAD])
    version = cudnn.header_version("".join(text for name in cudnn.HEADERS for text in _named(contents, name)))
    if not version:
        raise MirrorError(
            f"{file}: its cudnn.h does not contain the version", advice="Download the archive from NVIDIA."
        )
    return version


def _refuse_other_machine(file: Path, name: str, head: bytes) -> None:
    machine = machines.of_elf(head)
    if machine != machines.BUILT_FOR:
        what = f"a library for another machine type ({machine})" if machine else "not a library"
        raise MirrorError(f"{file}: {name} is {what}", advice=f"Use the archive for Linux on {machines.BUILT_FOR}.")


def _rock(file: Path, contents: Contents) -> str:
    for text in _named(contents, "ffi.lua"):
        if branch := re.search(r"libcudnn\.so\.(\d+)", text):
            return f"R{branch[1]}"
    raise MirrorError(
        f"{file}: its ffi.lua does not name the libcudnn that it opens",
        advice="Pack soumith/cudnn.torch, branch R5, as cudnn.torch.tgz.",
    )


def _wheels(file: Path, contents: Contents) -> str:
    names = [posixpath.basename(name) for name in contents.files]
    releases_by_name = {
        match[1]: match[2]
        for name in names
        if (match := re.match(r"nvidia_(cuda_nvcc|cuda_runtime|nvjitlink)(?:_cu\d+)?-(\d+\.\d+)\.", name))
    }
    releases = sorted(set(releases_by_name.values()))
    if len(releases) != 1:
        found = ", ".join(f"{name} {release}" for name, release in sorted(releases_by_name.items())) or "none"
        raise MirrorError(
            f"{file}: its wheels must belong to one CUDA release; found: {found}",
            advice="Use nvidia-cuda-nvcc, nvidia-cuda-runtime and nvidia-nvjitlink of one release, and the "
            "other wheels of that release.",
        )
    return releases[0] + ("" if "cuda_nvcc" in releases_by_name else WITHOUT_NVCC)
