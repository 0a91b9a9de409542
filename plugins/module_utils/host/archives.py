# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Archives of artifacts, opened for one reading whatever they are packed by.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import io
import subprocess
import tarfile

from .errors import StackError

try:
    import lzma
except ImportError:  # Python 2.7
    lzma = None  # type: ignore[assignment]

BLOCK = 1 << 20
XZ = b"\xfd7zXZ\x00"


@contextlib.contextmanager
def opened(path):
    """The archive as a TarFile, read once from its beginning to its end."""
    with io.open(path, "rb") as file:
        packed_by_xz = file.read(len(XZ)) == XZ
    if packed_by_xz and lzma is None:
        with _piped(path) as stream, contextlib.closing(tarfile.open(fileobj=stream, mode="r|")) as tar:
            yield tar
    else:
        with contextlib.closing(tarfile.open(path)) as tar:
            yield tar


@contextlib.contextmanager
def _piped(path):
    try:
        process = subprocess.Popen(["xz", "-dc", path], stdout=subprocess.PIPE)
    except OSError:
        raise StackError(
            "it is packed by xz, and this host has neither a Python that reads it nor the program xz. Pack it again as "
            ".tgz (xz -dc FILE | gzip >FILE.tgz), `provision mirror add` that, then run the same command again"
        )
    with contextlib.closing(process.stdout):  # type: ignore[type-var]
        yield process.stdout
        while process.stdout.read(BLOCK):  # type: ignore[union-attr]
            pass
    if process.wait() != 0:
        raise StackError("it cannot be unpacked: xz ended with rc %s" % process.returncode)
