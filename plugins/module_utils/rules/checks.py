# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The names of checks of a generation that the controller looks for. Pure.

Read by modules on hosts and by the controller. Runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

STAMPS, FILES = "stamps", "files"
"""Whether all components are built as the recipe says, and whether all files are as the manifest says."""
PLAN, GENERATION, CARDS = "plan", "generation", "cards"
"""The checks that the controller adds: whether `provision site` would refuse the host, which generation is current, and
the evidence whether there are cards."""
IN_DETAIL = (STAMPS, FILES, PLAN, GENERATION, CARDS)
"""The checks whose subject `provision drift` compares itself."""
