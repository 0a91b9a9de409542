#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: cuda_toolkit
short_description: Combine a CUDA toolkit in one directory and compile a test program with it
description:
  - Creates a directory with C(bin), C(include), C(lib64) and C(nvvm). They contain links into the host's CUDA
    directory, into the content of NVIDIA's wheels, or into both if parts of the host's toolkit are missing. Names of
    libraries without a version, which wheels leave out, are added.
  - Compiles a program for every architecture and links it with cuBLAS, cuRAND and cuSPARSE. So a compiler or an
    architecture that nvcc does not accept is known before anything is built.
options:
  toolkit:
    description: The host's CUDA directory; empty if everything comes from wheels.
    type: str
    default: ""
  wheels:
    description: A directory of wheels; empty if there are none.
    type: str
    default: ""
  destination:
    description: The directory to create. Its previous content is removed.
    type: path
    required: true
  release:
    description: The release that nvcc must have, such as V(13.0).
    type: str
    required: true
  archs:
    description: Compute capabilities to compile for, as in E(TORCH_CUDA_ARCH_LIST).
    type: str
    required: true
  gcc:
    description: The compiler for nvcc to use; empty for its own choice.
    type: str
    default: ""
  log:
    description: The file for the compiler's output.
    type: path
    required: true
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
    details: A change is always reported. Nothing is compiled in check mode.
  diff_mode:
    support: none
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Combine CUDA 13 of the host with cuBLAS from wheels
  neuraltalk.provision.cuda_toolkit:
    toolkit: /usr/local/cuda-13.0
    wheels: /opt/neuraltalk/build/0a1b/cuda-wheels
    destination: /opt/neuraltalk/generations/0a1b/cuda
    release: "13.0"
    archs: "9.0"
    log: /opt/neuraltalk/generations/0a1b/logs/cuda.log
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
evidence:
  description: What was combined and compiled, in words.
  returned: success
  type: str
"""

import glob
import io
import os
import re
import shutil
import zipfile

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.gpu.toolkits import problem_of, problem_of_compiler
from ..module_utils.host.commands import log_tail, output_of, run_logged
from ..module_utils.host.errors import StackError
from ..module_utils.host.files import make_directory, remove_any
from ..module_utils.host.outcome import run_module
from ..module_utils.host.texts import as_text
from ..module_utils.rules.gpu import RELEASE, architectures, compute_capability

FOLDERS = ("bin", "include", "lib64", "nvvm")
# {part: its places}. Debian's packages put the parts of NVIDIA's directory in several places.
PLACES = {
    "bin": ("bin",),
    "include": ("include", "../../include"),
    "lib64": ("lib64", "lib/x86_64-linux-gnu", "../x86_64-linux-gnu"),
    "nvvm": ("nvvm", "lib/nvidia-cuda-toolkit/nvvm", "../nvidia-cuda-toolkit"),
}
IN_WHEEL = re.compile(r"^nvidia/[^/]+/(bin|include|lib|lib64|nvvm)/(.+)$")
LINKED = ("cublas", "curand", "cusparse")
TRIAL = """#include <cuda_runtime.h>
#include <cublas_v2.h>
#include <curand.h>
#include <cusparse.h>
__global__ void add(float *x) { *x += 1; }
int main() {
  cublasHandle_t blas; curandGenerator_t random; cusparseHandle_t sparse;
  return cublasCreate(&blas) + curandCreateGenerator(&random, CURAND_RNG_PSEUDO_DEFAULT) + cusparseCreate(&sparse);
}
"""


def unpack(wheels, destination):
    """Unpack the wheels in the layout of a CUDA directory. Returns the names of the wheels."""
    names = sorted(glob.glob(os.path.join(wheels, "*.whl")))
    for name in names:
        try:
            with zipfile.ZipFile(name) as wheel:
                for member in wheel.infolist():
                    _unpack_member(wheel, member, destination)
        except (zipfile.BadZipfile, EOFError, RuntimeError) as error:
            raise StackError("%s is not a complete wheel: %s" % (name, error))
    return [os.path.basename(name) for name in names]


def _unpack_member(wheel, member, destination):
    found = IN_WHEEL.match(member.filename)
    if not found or member.filename.endswith("/") or ".." in member.filename.split("/"):
        return
    folder = "lib64" if found.group(1) == "lib" else found.group(1)
    path = os.path.join(destination, folder, found.group(2))
    make_directory(os.path.dirname(path))
    with wheel.open(member) as source, io.open(path, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    # A wheel may have lost the modes. All files in a directory `bin` are programs.
    os.chmod(path, 0o755 if "bin" in os.path.dirname(path).split("/") else 0o644)


def part_of(toolkit, folder):
    """The path of a part of a CUDA directory, NVIDIA's or Debian's; None if it is missing."""
    places = [os.path.join(toolkit, place) for place in PLACES[folder]]
    return next((os.path.realpath(place) for place in places if os.path.isdir(place)), None)


def link(toolkit, destination, merge):
    """Create links into the host's CUDA directory: one for each part; with `merge`, one for each missing entry."""
    for folder in FOLDERS:
        source, target = part_of(toolkit, folder), os.path.join(destination, folder)
        if source is None:
            continue
        if not merge:
            os.symlink(source, target)
            continue
        make_directory(target)
        for name in os.listdir(source):
            if not os.path.lexists(os.path.join(target, name)):
                os.symlink(os.path.join(source, name), os.path.join(target, name))


def name_libraries(destination):
    """Create names without a version, such as libcublas.so for libcublas.so.13. Wheels do not contain them."""
    for path in sorted(glob.glob(os.path.join(destination, "lib64", "lib*.so.*"))):
        plain = path[: path.index(".so.") + 3]
        if not os.path.lexists(plain):
            os.symlink(os.path.basename(path), plain)


def trial(destination, archs, gcc, log):
    """Compile and link a test program for all architectures. Returns the duration in seconds."""
    place = os.path.join(os.path.dirname(log), "cuda-trial")
    make_directory(place)
    source = os.path.join(place, "trial.cu")
    with io.open(source, "w") as file:
        file.write(as_text(TRIAL))
    argv = [os.path.join(destination, "bin", "nvcc"), "-o", os.path.join(place, "trial"), source]
    for arch in architectures(archs):
        number = compute_capability(arch).replace(".", "")
        argv += ["-gencode", "arch=compute_%s,code=sm_%s" % (number, number)]
    argv += ["-I" + os.path.join(destination, "include"), "-L" + os.path.join(destination, "lib64")]
    argv += ["-l" + name for name in LINKED] + (["-ccbin", gcc] if gcc else [])
    outcome = run_logged(argv, log, environment={"LD_LIBRARY_PATH": os.path.join(destination, "lib64")}, timeout=900)
    if outcome["rc"] != 0:
        raise StackError("nvcc does not compile a trial for %s" % archs, log=log, tail=log_tail(log))
    shutil.rmtree(place)
    return outcome["seconds"]


def combine(toolkit, wheels, destination, release, archs, gcc, log):
    """Create the toolkit in `destination` and test it. Returns the evidence as text."""
    remove_any(destination)
    make_directory(destination)
    names = unpack(wheels, destination) if wheels else []
    problem = problem_of_compiler(gcc) or (problem_of(toolkit) if toolkit else "")
    if problem:
        raise StackError(problem)
    if toolkit:
        link(toolkit, destination, bool(names))
    if names:
        name_libraries(destination)
        # The nvcc of a wheel searches for its own libraries in lib/.
        os.symlink("lib64", os.path.join(destination, "lib"))
    nvcc = os.path.join(destination, "bin", "nvcc")
    if not os.path.exists(nvcc):
        raise StackError("neither %s nor the wheels contain nvcc" % (toolkit or "a directory of the host"))
    text = output_of([nvcc, "--version"])[0]
    version = RELEASE.search(text)
    if not version or version.group(1) != release:
        raise StackError("%s is not of release %s: it prints %s" % (nvcc, release, text.strip()[-80:] or "nothing"))
    seconds = trial(destination, archs, gcc, log)
    sources = " and ".join(filter(None, [toolkit, "%d wheels" % len(names) if names else ""]))
    return "nvcc %s from %s compiled a trial for %s in %s s" % (version.group(2), sources, archs, seconds)


def work(module):
    """The result of the module: the evidence."""
    return {"changed": True, "evidence": "" if module.check_mode else combine(**module.params)}


def main():
    module = AnsibleModule(
        argument_spec={
            "toolkit": {"type": "str", "default": ""},
            "wheels": {"type": "str", "default": ""},
            "destination": {"type": "path", "required": True},
            "release": {"type": "str", "required": True},
            "archs": {"type": "str", "required": True},
            "gcc": {"type": "str", "default": ""},
            "log": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
