# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The CUDA toolkits of a host, and its compiler.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import os
import re

from ..cudnn.inspection import ELSEWHERE, Tree, inspect
from ..host.commands import output_of
from ..host.environment import path_of
from ..host.places import unsafe_path
from ..rules.gpu import DEBIAN, RELEASE, TREES

PARTS = {"cublas": "cublas_v2.h", "curand": "curand.h", "cusparse": "cusparse.h", "cudart": "cuda_runtime.h"}
"""The CUDA libraries that cutorch needs, each with one of its headers."""
OTHER_COMPILER = "name another compiler (gpu_stack_gcc)"
USED = ("bin/nvcc", "nvvm/bin", "include", "lib64")
"""What is executed, read or loaded in a CUDA directory, with the privileges of whoever builds."""


def header_of(root, name):
    """The path of a header in a CUDA directory; None if it is missing."""
    for folder in ("include", "targets/x86_64-linux/include"):
        path = os.path.join(root, folder, name)
        if os.path.isfile(path):
            return path
    return None


def nvcc_of(root):
    """The path of nvcc in a CUDA directory; None if it is missing."""
    path = os.path.join(root, "bin", "nvcc")
    return path if os.path.isfile(path) and os.access(path, os.X_OK) else None


def toolkit(root):
    """{path, link, version, lacks, cudnn, apart, problem} of a CUDA directory; None if `root` is not one.

    `path` has its links resolved. `link` is the path by which it was found, if that is a link. `lacks` are the parts
    that cutorch needs and that are missing. `cudnn` has the versions in the header and the library of its cuDNN, and
    when the library was written or replaced (`changed`, in seconds since 1970; None without a library).
    `apart` is true if its headers and libraries are in other directories, as in Debian's packages. `problem` is why
    another user could replace what is in it, and how to change that: then nothing of it is executed or loaded, so that
    the versions of nvcc and of the library are empty.
    """
    nvcc = nvcc_of(root)
    headers = "/usr" if os.path.realpath(root) == DEBIAN else root
    if not nvcc or not header_of(headers, "cuda_runtime.h"):
        return None
    path, problem = os.path.realpath(root), problem_of(root)
    release = None if problem else RELEASE.search(output_of([nvcc, "--version"])[0])
    cudnn, library = inspect(Tree(path)), Tree(path).library()
    changed = int(os.stat(library).st_ctime) if library and os.path.exists(library) else None
    return {
        "path": path,
        "cudnn": dict([(key, cudnn[key]) for key in ("state", "header", "library", "phase")], changed=changed),
        "apart": not all(os.path.isdir(os.path.join(path, part)) for part in ("include", "lib64")),
        "link": root if os.path.islink(root) else "",
        "version": release.group(1) if release else "",
        "lacks": sorted(part for part, header in PARTS.items() if not header_of(headers, header)),
        "problem": problem,
    }


def problem_of(root):
    """Why another user could replace nvcc, the headers or the libraries in a CUDA directory; empty if none could."""
    library = Tree(root).library()
    paths = [os.path.join(root, part) for part in USED] + [library] * bool(library)
    problems = [problem for path in paths for problem in unsafe_path(path, ELSEWHERE)]
    return problems[0] if problems else ""


def toolkits(requested=""):
    """Every CUDA directory of the host, each once. If `requested` is a path, only that one."""
    found = []  # type: list[dict[str, object]]
    for pattern in (requested,) if requested else TREES:
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
    """Whether two CUDA directories are the same: by path, or by their compiler (Debian's /usr)."""
    return one == other or os.path.realpath(nvcc_of(one)) == os.path.realpath(nvcc_of(other))


def compiler(path=""):
    """A pair: the version of gcc, or of the compiler `path`, and its problem. With a problem it is not executed."""
    problem = problem_of_compiler(path)
    return ("", problem) if problem else (version_of(path or "gcc"), "")


def version_of(program):
    """The version of a compiler; empty if it is not installed."""
    text, rc = output_of([program, "-dumpfullversion", "-dumpversion"])
    version = re.search(r"^\d+(\.\d+)*", text.strip())
    return version.group(0) if rc == 0 and version else ""


def problem_of_compiler(path):
    """Why another user could replace the compiler that the inventory names; empty if none could, or if it names none.

    The role gpu_stack also executes the g++ beside it.
    """
    names = (path, re.sub("gcc(?=[^/]*$)", "g++", path)) if path else ()
    paths = [path_of(name) or name for name in names if path_of(name) or os.sep in name]
    problems = [problem for one in paths for problem in unsafe_path(one, OTHER_COMPILER)]
    return problems[0] if problems else ""
