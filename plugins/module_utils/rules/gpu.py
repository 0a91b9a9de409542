# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Facts about cards and CUDA toolkits: results of the detection, places of toolkits, and a message for users.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

CARD, NONE, UNKNOWN = "card", "none", "unknown"
"""The results of the detection of cards: `unknown` if it cannot be determined whether there is one."""
CURE = (
    "Repair its driver until nvidia-smi answers. If its cards must not be used, set gpu_stack_profile: cpu in its "
    "inventory"
)
"""What the user should do if it is unknown whether a host has a card."""
DEBIAN = "/usr/lib/nvidia-cuda-toolkit"
"""The directory of the CUDA compiler in Debian's packages; the headers are in /usr/include."""
TREES = ("/usr/local/cuda", "/usr/local/cuda-*", "/opt/cuda", "/opt/cuda-*", DEBIAN, "/usr")
"""The directories that are searched for CUDA toolkits, as patterns."""
SEARCHED = "/usr/local/cuda*, /opt/cuda* and /usr/bin"
"""The same for messages: where nvcc was searched for."""
ARCHITECTURE = re.compile(r"\d+\.\d(\+PTX)?\Z")
"""An entry of a TORCH_CUDA_ARCH_LIST: a compute capability such as 3.7 or 9.0+PTX."""
RELEASE = re.compile(r"release (\d+\.\d+), V(\S+)")
"""The release and the version of a toolkit, in the output of `nvcc --version`."""


def architectures(arch_list):
    # type: (str) -> list[str]
    """The entries of a TORCH_CUDA_ARCH_LIST, separated by spaces, commas or semicolons."""
    return [word for word in re.split(r"[\s;,]+", arch_list) if word]


def compute_capability(architecture):
    # type: (str) -> str
    """The compute capability of an entry: `9.0` for `9.0+PTX`."""
    return architecture.split("+")[0]
