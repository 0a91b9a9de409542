# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Programs for builds that an administrator installed beside the distribution's.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from .commands import output_of

LOCAL = "/usr/local/"
"""Its programs come first on the PATH of builds; see environment.py."""


def own_programs(cmake):
    """{program: version} of what builds use instead of OS packages. `cmake` is the path of the one on PATH, or None."""
    text = output_of([cmake, "--version"], 30, errors=False)[0] if (cmake or "").startswith(LOCAL) else ""
    version = re.match(r"cmake version (\d{1,9}(?:\.\d{1,9}){1,3})", text)
    return {"cmake": version.group(1)} if version else {}
