"""Bare git repositories for tests, made by `git fast-import` of a few files."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from neuraltalk_provision.catalogue.model import Catalogue, GitSource, Submodule, UrlSource
from tests.unit.catalogue import SMALL

Files = Mapping[str, str | tuple[str, str]]
"""{path: content, or (mode, content; the commit for a submodule)}."""
PLACE = "https://git.example.org/"
TORCH: Files = {
    "install.sh": ("100755", "#!/bin/bash\ngit fetch\nmake\n"),
    "README.md": "torch\n",
    "doc/install": ("120000", "../install.sh"),
    "a 'quoted' \"name\" é.lua": "return 1\n",
}
LUAJIT: Files = {"CMakeLists.txt": "project(luajit)\n", ".gitattributes": "*.txt export-ignore\n* text eol=crlf\n"}
NN: Files = {"rocks/nn-scm-1.rockspec": "package = 'nn'\n"}
WEIGHTS = bytes(range(256)) * 400
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


def git(place: Path, *words: str, data: bytes = b"") -> str:
    """What git prints in a repository."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", f"--git-dir={place}", *words]
    return subprocess.run(command, input=data, capture_output=True, check=True, env=clean).stdout.decode().strip()


def make(place: Path, files: Files, time: int = 1_500_000_000) -> str:
    """Make a bare repository with one more commit of these files, or add the commit to it; returns the commit."""
    if not place.exists():
        git(place, "init", "--quiet", "--bare", "--initial-branch=main", str(place))
    stream = [b"commit refs/heads/main\ncommitter A <a@example.org> %d +0100\ndata 0\n" % time]
    if (place / "refs" / "heads" / "main").exists():
        stream += [b"from refs/heads/main^0\ndeleteall\n"]
    for path, content in files.items():
        mode, text = content if isinstance(content, tuple) else ("100644", content)
        name = b'"' + path.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        if mode == "160000":
            stream += [b"M 160000 %s %s\n" % (text.encode(), name)]
        else:
            stream += [b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), name, len(text.encode()), text.encode())]
    git(place, "fast-import", "--quiet", data=b"".join(stream))
    return git(place, "rev-parse", "refs/heads/main")


def farm(place: Path) -> tuple[Catalogue, dict[str, str]]:
    """(a catalogue whose torch (with a submodule), nn and weights have sources, the addresses where these are)."""
    luajit = make(place / "luajit.git", LUAJIT)
    files = {**TORCH, "exe/luajit": ("160000", luajit), "exe/qtlua": ("160000", "1" * 40)}
    torch, nn = make(place / "torch.git", files), make(place / "nn.git", NN)
    make(place / "nn.git", {**NN, "later.txt": "a commit after the one in the catalogue\n"})
    (place / "w.bin").write_bytes(WEIGHTS)
    sources = {
        "torch": GitSource(
            kind="git",
            address=PLACE + "torch",
            commit=torch,
            submodules=(Submodule(path="exe/luajit", address=PLACE + "luajit", commit=luajit),),
            left_out=("exe/qtlua",),
        ),
        "nn": GitSource(kind="git", address=PLACE + "nn", commit=nn),
        "weights": UrlSource(kind="url", address=PLACE + "w.bin", sha256=SHA256, size=len(WEIGHTS)),
    }
    known = {PLACE + name: (place / f"{name}.git").as_uri() for name in ("torch", "luajit", "nn")}
    known[PLACE + "w.bin"] = (place / "w.bin").as_uri()
    return SMALL.model_copy(update={"sources": sources}), known
