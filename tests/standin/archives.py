"""The archives of stand-in sources, from which directories each is made; always packed to the same bytes."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SOURCES = Path(__file__).parent / "sources"
NOTE = "STAND-IN.md"


@dataclass(frozen=True)
class Part:
    """A directory of sources and its path in the archive; `older` replaces texts, to have an older date."""

    source: str
    at: str = ""
    older: dict[str, str] = field(default_factory=dict)


# torch.tgz contains its own nn, nngraph and image, older than the separate archives, which must replace them.
TORCH = (
    Part("torch"),
    Part("lua-cjson", "extra/lua-cjson"),
    Part("nn", "extra/nn", {'_VERSION = "2017-10-02"': '_VERSION = "2016-05-06"'}),
    Part("nngraph", "extra/nngraph", {'_VERSION = "2017-02-08"': '_VERSION = "2016-04-19"'}),
    Part("image", "pkg/image", {'_VERSION = "2017-04-20"': '_VERSION = "2016-05-02"'}),
)
GPU = ("cutorch", "cunn", "cudnn.torch")
NO_ARCHIVE = ("pycocoevalcap",)
"""Directories of sources that are not an archive: this one becomes a wheel."""
SINGLE = sorted({path.name for path in SOURCES.iterdir() if path.is_dir()} - {"torch", *NO_ARCHIVE})
"""Every other folder of sources is an archive of its name."""
ARCHIVES: dict[str, tuple[Part, ...]] = {"torch": TORCH} | {name: (Part(name),) for name in SINGLE}


def members(name: str) -> dict[str, bytes]:
    """{path, with the top directory: content} of the archive `name`."""
    found = {f"{name}/{NOTE}": (SOURCES / NOTE).read_bytes()}
    for part in ARCHIVES[name]:
        for path, content in _files(SOURCES / part.source):
            for newer, older in part.older.items():
                content = content.replace(newer.encode(), older.encode())
            found["/".join(filter(None, (name, part.at, path)))] = content
    return found


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def pack(files: dict[str, bytes]) -> bytes:
    """A gzipped tar of `files` and their directories. Files that start with #! are executable."""
    folders = {"/".join(path.split("/")[:depth]) for path in files for depth in range(1, path.count("/") + 1)}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(folders | files.keys()):
            entry = tarfile.TarInfo(path)
            if path in folders:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
                continue
            content = files[path]
            entry.size, entry.mode = len(content), 0o755 if content.startswith(b"#!") else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def archive(name: str) -> bytes:
    """The bytes of `name`.tgz."""
    return pack(members(name))
