# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The supervisor of runs packed into one file, which runs on any host that it is copied to.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..programs import data
from ..programs.packed import imported
from ..programs.packed import packed as pack
from . import main  # noqa: F401 - what it imports is packed

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
    return pack(imported(), MAIN)
