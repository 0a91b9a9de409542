# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The supervisor of runs packed into one file, which runs on any host that it is copied to.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import sys

from ..programs import data
from ..programs.packed import packed as pack
from . import main as command_line

OURS = command_line.__name__[: -len("runs.main")]
"""The common prefix of the names of the modules that are packed: all that are imported by then."""
MAIN = """import sys
from module_utils.runs.main import main
sys.exit(main(sys.argv[1:]))
"""


def packed():
    """Return the supervisor with all modules that it imports, as the bytes of one file that Python runs.

    Call this before root is given up: it may be that only root can read the modules that Ansible copied.
    """
    for name in data.PROGRAMS:
        data.program_of(name)
    return pack([module for name, module in sorted(sys.modules.items()) if name.startswith(OURS) and module], MAIN)
