# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""How a file of a generation can differ from the manifest, and how many differences a host lists. Pure.

Read by modules on hosts and by the controller. Runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

ADDED, MISSING, CONTENT, MODE, TARGET, TYPE, OWNER = "added", "missing", "content", "mode", "target", "type", "owner"
KINDS = (ADDED, MISSING, CONTENT, MODE, TARGET, TYPE, OWNER)
LOST = (MISSING, CONTENT, TARGET, TYPE)
"""The differences after which the generation has to be built again: something that was built is no longer there."""
MOST_LISTED = 100
"""How many files a host lists; of the others it returns the number."""
MOST_CHARACTERS = 100000
"""How long their list may be in JSON: paths can have 4,096 characters each."""
