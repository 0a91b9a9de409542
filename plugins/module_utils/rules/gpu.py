# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What is known of cards and CUDA toolkits: answers, where toolkits lie, and what a user can do without a card.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

CARD, NONE, UNKNOWN = "card", "none", "unknown"
"""The answers to the question whether a host has a card; `unknown` where that cannot be told."""
CURE = (
    "Repair its driver until nvidia-smi answers, or, where its cards are not to be used, set gpu_stack_profile: cpu in "
    "its inventory"
)
"""What to do where it cannot be told whether a host has a card."""
DEBIAN = "/usr/lib/nvidia-cuda-toolkit"
"""Where Debian's packages put the compiler of CUDA; the headers are in /usr/include."""
TREES = ("/usr/local/cuda", "/usr/local/cuda-*", "/opt/cuda", "/opt/cuda-*", DEBIAN, "/usr")
"""The directories in which a CUDA toolkit is looked for, as patterns."""
SEARCHED = "/usr/local/cuda*, /opt/cuda* and /usr/bin"
"""The same for people: where the compiler of a toolkit (nvcc) was looked for."""
ARCHITECTURE = re.compile(r"\d+\.\d(\+PTX)?\Z")
"""An entry of a TORCH_CUDA_ARCH_LIST: a compute capability such as 3.7 or 9.0+PTX."""
RELEASE = re.compile(r"release (\d+\.\d+), V(\S+)")
"""The release and the version of a toolkit, in the output of `nvcc --version`."""


def architectures(arch_list):
    # type: (str) -> list[str]
    """The entries of a TORCH_CUDA_ARCH_LIST; people separate them by spaces, commas or semicolons."""
    return [word for word in re.split(r"[\s;,]+", arch_list) if word]


def compute_capability(architecture):
    # type: (str) -> str
    """`9.0` of `9.0+PTX`."""
    return architecture.split("+")[0]
