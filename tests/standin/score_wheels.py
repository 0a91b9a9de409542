"""A stand-in for pycocoevalcap's wheel, and its tar for a mirror; always the same bytes.

    python -m tests.standin.score_wheels DIR     writes score-wheels.tar and captions_val2014.json

Its scores are simple overlaps of words. Like the real one it starts java for the tokenizer and for METEOR, so a host
needs java, for which JAVA is a stand-in.
"""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path

from tests.standin import pictures

SOURCES = Path(__file__).parent / "sources"
NAME = "pycocoevalcap-1.2-py3-none-any.whl"
JAVA = """#!/bin/sh
# Stand-in for java: prints 0.25 as the score of METEOR, and nothing for the tokenizer.
case "$*" in
  *-version*) echo 'openjdk version "17.0.0" (stand-in)' >&2 ;;
  *-stdio*) while read -r line; do echo 0.25; done ;;
esac
"""


def wheel() -> bytes:
    """The wheel, without __init__.py like the real one."""
    info = "pycocoevalcap-1.2.dist-info"
    files = {
        path.relative_to(SOURCES).as_posix(): path.read_bytes()
        for path in sorted((SOURCES / "pycocoevalcap").rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    files[f"{info}/METADATA"] = (
        b"Metadata-Version: 2.1\nName: pycocoevalcap\nVersion: 1.2\nRequires-Dist: pycocotools\n"
    )
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD")).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def tar() -> bytes:
    """score-wheels.tar, with the wheel at its root."""
    content, buffer = wheel(), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as whole:
        entry = tarfile.TarInfo(NAME)
        entry.size, entry.mode = len(content), 0o644
        whole.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def write(folder: Path) -> list[Path]:
    """Write score-wheels.tar and captions_val2014.json into a folder; both files."""
    folder.mkdir(parents=True, exist_ok=True)
    wheels, annotations = folder / "score-wheels.tar", folder / "captions_val2014.json"
    wheels.write_bytes(tar())
    annotations.write_text(pictures.coco_annotations() + "\n", encoding="utf-8")
    return [wheels, annotations]


def write_java(folder: Path) -> Path:
    """Write the stand-in for java into a folder of programs."""
    folder.mkdir(parents=True, exist_ok=True)
    java = folder / "java"
    java.write_text(JAVA, encoding="utf-8")
    java.chmod(0o755)
    return java


if __name__ == "__main__":
    for file in write(Path(sys.argv[1])):
        print(file)
