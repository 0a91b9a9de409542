"""Packs an archive as macOS does: with a file to edit, a file with an unsafe mode, and the files that macOS adds."""

from __future__ import annotations

import io
import sys
import tarfile

FILES = {
    "tree/code.lua": b"local size = 1\nlocal other = 2\n",
    "tree/open.sh": b"#!/bin/sh\n",
    "tree/._code.lua": b"\x00\x05\x16\x07",
    "tree/folder/data.txt": b"data\n",
    "tree/folder/._data.txt": b"\x00\x05\x16\x07",
    "tree/folder/.DS_Store": b"\x00",
}


def main(target: str) -> None:
    """Write the archive."""
    with tarfile.open(target, "w:gz") as tar:
        for name, content in FILES.items():
            member = tarfile.TarInfo(name)
            member.mode = 0o6777 if name.endswith(".sh") else 0o664
            member.size, member.uid, member.gid = len(content), 501, 20
            tar.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    main(sys.argv[1])
