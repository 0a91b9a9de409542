# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The CUDA toolkits of a host, and its compiler.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import os
import re

from ..cudnn.inspection import Tree, inspect
from ..host.commands import output_of
from ..rules.gpu import DEBIAN, RELEASE, TREES

PARTS = {"cublas": "cublas_v2.h", "curand": "curand.h", "cusparse": "cusparse.h", "cudart": "cuda_runtime.h"}
"""What cutorch compiles against, by a header of each."""


def header_of(root, name):
    """Where a CUDA tree has a header; None where it has not."""
    for folder in ("include", "targets/x86_64-linux/include"):
        path = os.path.join(root, folder, name)
        if os.path.isfile(path):
            return path
    return None


def nvcc_of(root):
    """A tree's compiler; None where there is none."""
    path = os.path.join(root, "bin", "nvcc")
    return path if os.path.isfile(path) and os.access(path, os.X_OK) else None


def toolkit(root):
    """{path, link, version, lacks, cudnn, apart} of a CUDA tree, None where `root` is none.

    `path` has its links resolved; `link` is the name that it was found by where that is a link; `lacks` are
    the parts that cutorch needs and this tree has not; `cudnn` is what header and library of its cuDNN say;
    `apart` says that its headers and libraries lie elsewhere, as Debian's do.
    """
    nvcc = nvcc_of(root)
    headers = "/usr" if os.path.realpath(root) == DEBIAN else root
    if not nvcc or not header_of(headers, "cuda_runtime.h"):
        return None
    release = RELEASE.search(output_of([nvcc, "--version"])[0])
    path = os.path.realpath(root)
    seen = inspect(Tree(path))
    return {
        "path": path,
        "cudnn": dict((key, seen[key]) for key in ("state", "header", "library", "phase")),
        "apart": not all(os.path.isdir(os.path.join(path, part)) for part in ("include", "lib64")),
        "link": root if os.path.islink(root) else "",
        "version": release.group(1) if release else "",
        "lacks": sorted(part for part, header in PARTS.items() if not header_of(headers, header)),
    }


def toolkits(asked=""):
    """Every CUDA tree of the host, each once; only the one that was asked for where one was."""
    found = []  # type: list[dict[str, object]]
    for pattern in (asked,) if asked else TREES:
        for root in sorted(glob.glob(pattern)):
            tree = toolkit(root)
            if tree is None:
                continue
            same = [other for other in found if _same(other["path"], tree["path"])]
            if not same:
                found.append(tree)
            elif tree["link"]:
                same[0]["link"] = tree["link"]
    return found


def _same(one, other):
    """Whether two trees are one: by their place, or because they have the same compiler (Debian's /usr)."""
    return one == other or os.path.realpath(nvcc_of(one)) == os.path.realpath(nvcc_of(other))


def compiler(path=""):
    """The version of gcc, or of the compiler that was named; empty where there is none yet."""
    text, rc = output_of([path or "gcc", "-dumpfullversion", "-dumpversion"])
    version = re.search(r"^\d+(\.\d+)*", text.strip())
    return version.group(0) if rc == 0 and version else ""
