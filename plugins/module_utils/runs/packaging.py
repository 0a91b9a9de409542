# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The supervisor of runs packed into one file, which it leads runs with on whatever host it is brought to.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import sys

from ..programs import data
from ..programs.packed import packed as pack
from . import main as command_line

OURS = command_line.__name__[: -len("runs.main")]
"""How the names of the modules begin that are packed: all that were imported by then."""
MAIN = """import sys
from module_utils.runs.main import main
sys.exit(main(sys.argv[1:]))
"""


def packed():
    """The supervisor with all that it imports, as the bytes of one file that Python runs.

    Read before root is given up: Ansible's own modules may be for root alone.
    """
    for name in data.PROGRAMS:
        data.program_of(name)
    return pack([module for name, module in sorted(sys.modules.items()) if name.startswith(OURS) and module], MAIN)
