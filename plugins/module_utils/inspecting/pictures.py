# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Checks pictures one by one, with one process per core. With Pillow, each picture is decoded completely.

Runs under Python 2.7 and 3 and needs only the standard library and, to decode pictures, Pillow.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from ..pictures.headers import LOADED, Unusable
from ..pictures.files import look, opened, printed, shown, unescaped
from ..pictures.pixels import FORMATS, loaded, silence, unknown, why
from ..programs.processes import Pool, cores
from ..programs.progress import Progress
from ..host.files import file_sha256
from ..host.limits import signal_name

SUFFIXES = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".ppm": "PPM", ".pgm": "PGM",
    ".pbm": "PBM", ".gif": "GIF", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP", ".heic": "HEIF",
    ".heif": "HEIF", ".avif": "AVIF", ".jp2": "JPEG 2000",
}  # fmt: skip
"""{suffix of a picture: its kind}."""
NETPBM = ("PPM", "PGM", "PBM")
AT_ONCE = 8
"""Number of pictures in one task of a process."""


def suffix_kind(name):
    """Return the kind of picture according to the suffix of a name, or None."""
    return SUFFIXES.get(os.path.splitext(name)[1].lower())


class Inspection(object):
    """Checks the pictures below a root. Problems are added to `found`, and the names of bad pictures to `bad`.

    With `named`, all files are expected to be pictures; without it, a file that is no picture and has no suffix of one
    is only a remark. Without `decode`, only the headers are read.
    """

    def __init__(self, root, found, named, decode):
        self.root, self.found, self.named, self.decode = root, found, named, decode
        self.bad, self.digests = [], {}

    def run(self, sizes, say, jobs=0):
        """Check the pictures {name: size in bytes}, with lines of progress."""
        counts = {}  # type: dict[int, int]
        for size in sizes.values():
            counts[size] = counts.get(size, 0) + 1
        wanted = [[shown(name), counts[size] > 1] for name, size in sizes.items()]
        progress = Progress(say, "checked", len(wanted))

        def done(task, results):
            for (text, _digest), result in zip(task, results):
                self.add(unescaped(text), result)
            progress.add(len(task))

        def crashed(task, number, number_of_signal):
            text = task[max(0, number)][0]
            reason = "it is damaged: its decoder crashes (%s)" % signal_name(number_of_signal)
            self.add(unescaped(text), {"fault": "not decodable", "reason": reason})
            progress.add(1)
            return [entry for entry in task if entry[0] != text]

        pool = Pool(min(jobs or cores(), 1 + len(wanted) // AT_ONCE), self.work)
        try:
            pool.run(tasks(wanted), done, crashed, progress.tick)
        finally:
            pool.end()
        self.remark_duplicates()

    def work(self, task, note):
        """In a child process: return the result of `check` for each picture of a task."""
        results = []
        for number, (text, digest) in enumerate(task):
            note(number)
            results.append(check(os.path.join(self.root, unescaped(text)), digest, self.decode))
        return results

    def add(self, name, result):
        """Add the result for a picture to the findings."""
        fault = result.get("fault")
        expected = suffix_kind(name)
        if fault in ("no picture", "empty") and not (self.named or expected):
            self.found.remark(name, "", fault, result["reason"])
        elif fault:
            self.refuse(name, Unusable(result["reason"], fault))
        else:
            kind = result["kind"]
            if expected and expected != kind and not (expected in NETPBM and kind in NETPBM):
                reason = "it is a %s, but its name has another suffix; programs use its content"
                self.found.remark(name, "", "another type", reason % kind)
            if kind not in LOADED:
                reason = "it is a %s, which `data prepare` reads but eval.lua does not caption"
                self.found.remark(name, "", "other kind", reason % kind)
            if result.get("sha256"):
                self.digests.setdefault(result["sha256"], []).append(name)

    def refuse(self, name, unusable):
        """Record a picture that cannot be used."""
        self.bad.append((name, unusable.reason))
        self.found.fault(name, "", unusable.fault, unusable.reason)

    def remark_duplicates(self):
        """Add a remark for each picture with the same bytes as another one. The first name counts as the original."""
        for names in sorted(sorted(names) for names in self.digests.values() if len(names) > 1):
            for name in names[1:]:
                self.found.remark(name, "", "duplicate", "it has the same bytes as %s" % printed(names[0]))


def tasks(wanted):
    """Yield tasks with up to AT_ONCE pictures; a process gets one at a time."""
    for start in range(0, len(wanted), AT_ONCE):
        yield wanted[start : start + AT_ONCE]


def check(path, digest, decode):
    """Return {kind, sha256} of a picture, or {fault, reason}. Without `digest`, sha256 is empty."""
    try:
        kind = look(path)[0]
        if decode:
            decoded(path, kind)
        return {"kind": kind, "sha256": file_sha256(path) if digest else ""}
    except Unusable as error:
        return {"fault": error.fault, "reason": error.reason}
    except (IOError, OSError) as error:
        return {"fault": "unreadable", "reason": "it cannot be read: %s" % error.strerror}


def decoded(path, kind):
    """Decode a picture completely. Unusable if that fails."""
    if kind not in FORMATS:
        raise unknown(kind)
    with opened(path) as file, silence():
        try:
            loaded(file)
        except Unusable:
            raise
        except Exception as error:  # decoders may raise anything for a damaged file
            raise why(file, error)
