# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Everything that a host says about its GPU half: cards, driver, processes, CUDA toolkits and compiler.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from .cards import driver, look, processes
from .toolkits import compiler, toolkits


def gpu_facts(cuda="", gcc=""):
    """All of it; `problem` says why it cannot be told whether there is a card, `evidence` what tells it."""
    facts = dict(look(), driver=driver(), processes=[])
    if facts["cards"]:
        facts["driver"] = facts["cards"][0]["driver"] or facts["driver"]
        try:
            facts["processes"] = processes()
        except ValueError as error:
            facts["problem"] = "nvidia-smi lists cards, but not the processes on them: %s" % error
    facts["toolkits"] = toolkits(cuda)
    facts["gcc"] = compiler(gcc)
    return facts
