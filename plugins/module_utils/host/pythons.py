# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The Python of a host that the stack uses. It needs pip, and it is not always the one that Ansible found.

Ansible takes the newest Python on the PATH of the login. The wheels of the mirror and the OS package of pip belong to
the Python of the distribution. Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import platform
import re
import sys

try:
    from importlib.util import find_spec as find_module
except ImportError:  # Python 2.7
    from pkgutil import find_loader as find_module  # type: ignore[assignment]

from .commands import output_of

DISTRIBUTION = ("/usr/bin/python3", "/usr/libexec/platform-python", "/usr/bin/python2.7", "/usr/bin/python")
"""Where a distribution has its own Python; the first one that exists counts."""
SYSTEM = ("/usr/bin", "/usr/libexec")
MODES = ("auto", "auto_silent", "auto_legacy", "auto_legacy_silent")
"""Values of ansible_python_interpreter that leave the choice to Ansible."""
INSPECT = """
import sys
try:
    from importlib.util import find_spec as find
except ImportError:
    from pkgutil import find_loader as find
try:
    pip = find("pip.__main__")
except Exception:
    pip = None
print("%d.%d.%d %s" % (sys.version_info[:3] + (getattr(pip, "origin", "") or getattr(pip, "filename", ""),)))
"""


def choose(requested):
    """{executable, python, pip}: the Python of the stack, its version, and a file of its pip; empty if it has none.

    `requested` is the inventory's ansible_python_interpreter; empty, or one of MODES, if Ansible was to choose. A
    Python that the inventory requests is used if it has pip, and so is a Python 2.7 of the distribution: its releases
    have pip for it. Otherwise the distribution's Python 3 is preferred: its pip is an OS package, which is installed
    with the others.
    """
    own = dict({"executable": sys.executable, "python": platform.python_version()}, **this_python())
    path = next((path for path in DISTRIBUTION if os.path.exists(path)), "")
    distribution = own if not path or _is_same(path, sys.executable) else {"executable": path}
    if distribution is not own:
        distribution.update(inspect(distribution["executable"]))
    is_system = os.path.dirname(sys.executable) in SYSTEM
    kept = requested not in ("",) + MODES or (is_system and own["python"].startswith("2."))
    newer = distribution.get("python", "").startswith("3.")
    for candidate in (own, distribution) if kept or not newer else (distribution, own):
        if candidate.get("pip"):
            return candidate
    if "python" in distribution and not (is_system and kept):
        return distribution
    return dict(own, pip="")


def this_python():
    """Like `inspect`, for the Python that runs this, without starting it again where that is not needed."""
    if os.environ.get("PYTHONPATH"):
        return inspect(sys.executable)
    try:
        pip = find_module("pip.__main__")  # the package alone can be what was left of a removed pip
    except Exception:
        pip = None
    file = getattr(pip, "origin", "") or getattr(pip, "filename", "")
    return {"python": "%d.%d.%d" % sys.version_info[:3], "pip": file}


def inspect(path):
    """{python, pip}: the version of a Python, and a file of its pip, if any; empty if it does not start."""
    text, code = output_of([path, "-c", INSPECT], errors=False)
    match = re.search(r"^(\d+\.\d+\.\d+) ((?:/.*)?)$", text, re.M)  # its sitecustomize.py may print other lines
    return {"python": match.group(1), "pip": match.group(2)} if code == 0 and match else {}


def _is_same(path, other):
    """Whether both are the distribution's Python under two names, such as python3 and python3.11.

    A virtual environment links to the distribution's Python, and is another one.
    """
    return os.path.dirname(other) == os.path.dirname(path) and os.path.realpath(path) == os.path.realpath(other)
