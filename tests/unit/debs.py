"""Small Debian packages, good and bad, for tests."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
from collections.abc import Mapping

COPYRIGHT = """Format: https://example.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: one

Files: *
Copyright: somebody
License: GPL-2+ or Artistic
 the text

Files: debian/*
License: Expat
"""


def tar(files: Mapping[str, bytes]) -> bytes:
    """A tar with these files."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as opened:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return target.getvalue()


def ar(files: Mapping[str, bytes]) -> bytes:
    """An ar archive with these members."""
    found = b"!<arch>\n"
    for name, content in files.items():
        found += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        found += b"\n" * (len(content) % 2)
    return found


def deb(package: str, copyright_file: str, suffix: str = ".xz", *, link: str = "", before: int = 0) -> bytes:
    """A package whose documentation has this copyright file, or is a link; `before` bytes of zeros come first."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as opened:
        if before:
            member = tarfile.TarInfo("./usr/bin/zeros")
            member.size = before
            opened.addfile(member, io.BytesIO(bytes(before)))
        folder = f"./usr/share/doc/{package}"
        member = tarfile.TarInfo(folder if link else f"{folder}/copyright")
        member.type, member.linkname = (tarfile.SYMTYPE, link) if link else (tarfile.REGTYPE, "")
        member.size = 0 if link else len(copyright_file)
        opened.addfile(member, io.BytesIO(copyright_file.encode()))
    compress = {".xz": lambda data: lzma.compress(data, preset=1), ".gz": gzip.compress, "": bytes}[suffix]
    return ar({"debian-binary": b"2.0\n", "control.tar.gz": b"", f"data.tar{suffix}": compress(target.getvalue())})
