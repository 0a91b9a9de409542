"""Package indexes in directories, and a pip that is configured to use them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from neuraltalk_provision.catalogue import Wheel


def write(folder: Path, files: Mapping[str, bytes], digests: Mapping[str, str] | None = None) -> str:
    """An index (PEP 503) of these files; returns its address. `digests` are told instead of the right ones."""
    (folder / "files").mkdir(parents=True, exist_ok=True)
    pages: dict[str, list[str]] = {}
    for file, content in files.items():
        (folder / "files" / file).write_bytes(content)
        digest = (digests or {}).get(file, hashlib.sha256(content).hexdigest())
        link = f'<a href="../../files/{file}#sha256={digest}">{file}</a>'
        pages.setdefault(file.split("-")[0].replace("_", "-").lower(), []).append(link)
    for name, links in pages.items():
        page = folder / "simple" / name / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>", encoding="utf-8")
    return f"{folder.as_uri()}/simple"


def wheel(file: str, content: bytes) -> Wheel:
    """The row of the catalogue for this file."""
    name, version = file.split("-")[:2]
    sha256 = hashlib.sha256(content).hexdigest()
    return Wheel(name=name.replace("_", "-"), version=version, file=file, sha256=sha256, size=len(content))


def configure(monkeypatch: pytest.MonkeyPatch, folder: Path, **options: str) -> None:
    """Let pip have only these settings: index_url, extra_index_url, find_links and others."""
    file = folder / "pip.conf"
    file.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in options.items()))
    for name in ("INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "CERT", "PROXY", "CONSTRAINT"):
        monkeypatch.delenv(f"PIP_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(folder / "none"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "none"))
    monkeypatch.setenv("HOME", str(folder / "none"))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
