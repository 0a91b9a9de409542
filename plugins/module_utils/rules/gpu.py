# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Facts about cards and CUDA toolkits: results of the detection, places of toolkits, and a message for users.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional  # noqa: F401

CARD, NONE, UNKNOWN = "card", "none", "unknown"
"""The results of the detection of cards: `unknown` if it cannot be determined whether there is one."""
AUTO = "auto"
"""The request for a free card; `auto:UUID` requests that card, if it is free."""
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
CAPABILITIES = {
    "Tesla K10": "3.0",
    "Tesla K20": "3.5",
    "Tesla K40": "3.5",
    "Tesla K80": "3.7",
    "Tesla M4": "5.2",
    "Tesla M40": "5.2",
    "Tesla M60": "5.2",
    "GeForce GTX TITAN X": "5.2",
    "GeForce GTX 970": "5.2",
    "GeForce GTX 980": "5.2",
    "GeForce GTX 1080": "6.1",
    "TITAN X (Pascal)": "6.1",
    "Tesla P4": "6.1",
    "Tesla P40": "6.1",
    "Tesla P100": "6.0",
    "Tesla V100": "7.0",
    "Tesla T4": "7.5",
    "A100": "8.0",
    "H100": "9.0",
}
"""Compute capabilities by the name that nvidia-smi prints, for drivers before 2021, which do not report them."""
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


def capability_of(name):
    # type: (str) -> str
    """The compute capability of a card, by the name in the table that is in its own; empty if none is."""
    named = (known for known in CAPABILITIES if re.search(r"\b%s(?!\d)" % re.escape(known), name))
    return CAPABILITIES.get(next(named, ""), "")


def runs_on(arch_list, capability):
    # type: (str, str) -> bool
    """Whether code that was built for a TORCH_CUDA_ARCH_LIST runs on a card of this compute capability.

    CUDA's rules: the machine code of an entry runs on cards of its major version, from its minor version on: that of
    8.6 on 8.9, but neither on 8.0 nor on 9.0. The PTX of an entry with +PTX is compiled by the driver for every card
    from that compute capability on.
    """
    card = number(capability)
    entries = [(number(compute_capability(entry)), entry.endswith("+PTX")) for entry in architectures(arch_list)]
    return any(code <= card and (has_ptx or code[0] == card[0]) for code, has_ptx in entries)


def reason_against(index, mode, capability, archs):
    # type: (Optional[int], Optional[str], Optional[str], str) -> str
    """The reason why no program of a stack can compute on a card; empty if there is none.

    `mode` is its compute mode, `archs` what the stack is built for, a TORCH_CUDA_ARCH_LIST; empty if that is not
    known. A compute capability that is not known is no reason: then the inventory says what is built for the card.
    """
    if mode == "Prohibited":
        return "its compute mode is Prohibited. To let processes use it: nvidia-smi -i %s -c DEFAULT" % index
    if archs and capability and not runs_on(archs, capability):
        return "its compute capability is %s, and the stack is built for %s" % (capability, archs)
    return ""


def number(capability):
    # type: (str) -> list[int]
    """A compute capability as numbers, to compare it."""
    return [int(part) for part in re.findall(r"\d+", capability)]
