# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The GPU part of a host's state: cards, driver, processes, CUDA toolkits and compiler.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from .cards import detect, driver, processes
from .toolkits import compiler, toolkits
from ..host.texts import text_of


def gpu_facts(cuda="", gcc=""):
    """All GPU facts. `problem` is the reason why it is unknown whether there is a card; `evidence` what was found."""
    facts = dict(detect(), driver=driver(), processes=[])
    if facts["cards"]:
        facts["driver"] = facts["cards"][0]["driver"] or facts["driver"]
        try:
            facts["processes"] = processes()
        except ValueError as error:
            facts["problem"] = "nvidia-smi lists cards, but not the processes on them: %s" % text_of(error)
    facts["toolkits"] = toolkits(cuda)
    facts["gcc"], facts["gcc_problem"] = compiler(gcc)
    return facts
