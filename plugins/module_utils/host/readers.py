# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Whether another user than the one who installed it can read and run a generation.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import pwd
import stat
import sys

from . import manifest
from .commands import log_tail, run_logged, with_stack
from .errors import StackError
from .files import file_size, lines_since

# The user `nobody` of every Linux.
NOBODY = 65534
AS_NOBODY = "import os, sys; os.setgroups([]); os.setgid(%d); os.setuid(%d); os.execv(sys.argv[1], sys.argv[1:])" % (
    NOBODY,
    NOBODY,
)


def check_readers(generation, parts, log):
    """Check that other users can read the generation. If we are root and have a log, also load a module as `nobody`."""
    closed = private_parent(generation)
    if closed:
        return "other users may not enter %s: this stack is private to its user" % closed
    closed = first_closed(generation)
    if closed:
        raise StackError(
            "other users cannot use this stack: %s is closed to them (mode %04o). Open what lies above the "
            "generation by chmod a+rx. For the generation itself: rm %s/generation.json, then `provision site`"
            % (closed + (generation,))
        )
    if os.geteuid() != 0 or not log:
        return "modes let every user read and run it"
    module = next((part["loads"][0] for part in parts if part["loads"]), "")
    program = "local m = require '%s'; print('\\nloaded %s')" % (module, module)
    start = file_size(log)
    argv = with_stack(generation, ["luajit", "-e", program] if module else ["echo", "loaded"])
    outcome = run_logged([sys.executable, "-c", AS_NOBODY] + argv, log, timeout=600, append=True)
    if outcome["rc"] != 0 or not any(line.startswith("loaded") for line in lines_since(log, start)[1:]):
        raise StackError("a user without rights (%d) cannot use it" % NOBODY, tail=log_tail(log))
    return "user %d %s in %s s" % (NOBODY, "loads " + module if module else "runs it", outcome["seconds"])


def private_parent(generation):
    """Our home directory, if the generation is below it and others may not enter it; else empty."""
    try:
        home = os.path.realpath(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return ""  # a container can be started with any uid, and a directory service can be silent
    inside = home != "/" and (generation + "/").startswith(home + "/")
    return home if inside and not os.stat(home).st_mode & 0o001 else ""


def first_closed(generation):
    """(path, mode) of the first directory or file that others cannot enter, read or run; None if there is none."""
    parent = os.path.dirname(generation)
    while True:
        mode = os.stat(parent).st_mode
        if not mode & 0o001:
            return parent, stat.S_IMODE(mode)
        if parent == os.path.dirname(parent):
            break
        parent = os.path.dirname(parent)
    for path in [generation] + [path for _name, path in manifest.walk(generation)]:
        mode = os.lstat(path).st_mode
        needed = 0o005 if stat.S_ISDIR(mode) or mode & 0o100 else 0o004
        if not stat.S_ISLNK(mode) and mode & needed != needed:
            return path, stat.S_IMODE(mode)
    return None
