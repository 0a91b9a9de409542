# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Opens tar archives of artifacts with any compression.

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
def open_archive(path):
    """The archive as a TarFile. It can be read only once, from start to end."""
    with io.open(path, "rb") as file:
        is_xz = file.read(len(XZ)) == XZ
    if is_xz and lzma is None:
        with _xz_output(path) as stream, contextlib.closing(tarfile.open(fileobj=stream, mode="r|")) as tar:
            yield tar
    else:
        with contextlib.closing(tarfile.open(path)) as tar:
            yield tar


@contextlib.contextmanager
def _xz_output(path):
    """The output of `xz -dc path` as a stream. StackError if xz is missing or fails."""
    try:
        process = subprocess.Popen(["xz", "-dc", path], stdout=subprocess.PIPE)
    except OSError:
        raise StackError(
            "it is compressed with xz, but this host has neither a Python that can read it nor the program xz. "
            "Pack it again as .tgz (xz -dc FILE | gzip >FILE.tgz), add that file by `provision mirror add`, then run "
            "the same command again"
        )
    with contextlib.closing(process.stdout):  # type: ignore[type-var]
        yield process.stdout
        while process.stdout.read(BLOCK):  # type: ignore[union-attr]
            pass
    if process.wait() != 0:
        raise StackError("it cannot be unpacked: xz ended with rc %s" % process.returncode)
