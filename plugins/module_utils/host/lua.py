# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Tests of a built component: its libraries, its Lua modules, and small test programs.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from .commands import log_tail, run_logged, with_stack
from .limits import ending
from .errors import StackError
from .files import file_size, lines_since
from .temporary import temporary_directory

LIMIT = 600
"""Seconds for one program."""


def try_part(generation, part, log, card=True, environment=None):
    """Test a part of the recipe. Returns the evidence, [{module, seconds, version}]. StackError if a test fails.

    All symbols of its libraries must be found, its modules must load, and its test programs must run. If `card` is
    False, this host has no card: then it is only checked that the modules are installed.
    """
    evidence = resolve_libraries(generation, part.get("libraries") or [], log, environment)
    if not card:
        return evidence + find_modules(generation, part["loads"], log)
    evidence += load_modules(generation, part["loads"], log, environment)
    return evidence + try_programs(generation, part["loads"], part.get("tries") or [], log, environment)


def run_lua(generation, program, log, environment):
    """Run a Lua program with luajit of the stack. Returns {'rc', 'seconds'}, and the lines that it printed."""
    start = file_size(log)
    argv = with_stack(generation, ["luajit", "-e", program])
    outcome = run_logged(argv, log, timeout=LIMIT, append=True, environment=environment)
    return outcome, lines_since(log, start)


def resolve_libraries(generation, libraries, log, environment=None):
    """Open each library and resolve all its symbols at once. Returns the evidence."""
    evidence = []
    for library in libraries:
        path = os.path.join(generation, library)
        program = "local ok, why = package.loadlib([[%s]], '*'); if not ok then error(why) end print('resolved')" % path
        outcome, printed = run_lua(generation, program, log, environment)
        if outcome["rc"] != 0 or "resolved" not in printed:
            raise StackError("%s was built, but cannot be opened" % path, log=log, tail=log_tail(log))
        version = "%d bytes, all symbols found" % os.path.getsize(path)
        evidence.append({"module": os.path.basename(library), "seconds": outcome["seconds"], "version": version})
    return evidence


def find_modules(generation, modules, log):
    """Check that `require` would find each Lua module and that it can be parsed; it is not run."""
    evidence = []
    for module in modules:
        program = (
            "local file, why = package.searchpath('%s', package.path); if not file then error(why) end "
            "assert(loadfile(file)); print('found ' .. file)" % module
        )
        outcome, printed = run_lua(generation, program, log, None)
        if outcome["rc"] != 0 or not any(line.startswith("found ") for line in printed):
            raise StackError("%s was installed, but is not found" % module, log=log, tail=log_tail(log))
        evidence.append(
            {"module": module, "seconds": outcome["seconds"], "version": "not loaded: no card on this host"}
        )
    return evidence


def try_programs(generation, modules, programs, log, environment=None):
    """Run each Lua test program after loading the modules. Returns the evidence.

    TMPDIR is a temporary directory that only these programs use.
    """
    if not programs:
        return []
    evidence = []
    requires = "".join("require '%s'; " % module for module in modules)
    with temporary_directory(log) as private:
        for number, program in enumerate(programs, 1):
            source = "%sdo %s end; print('\\ntried program %d')" % (requires, program, number)
            outcome, printed = run_lua(generation, source, log, dict(environment or {}, TMPDIR=private))
            if outcome["rc"] != 0 or "tried program %d" % number not in printed:
                raise StackError(
                    "%s loads, but does not work: its trial failed (%s)" % (modules[-1], ending(outcome["rc"])),
                    log=log,
                    tail=log_tail(log),
                )
            evidence.append({"module": "a trial", "seconds": outcome["seconds"], "version": "-"})
    return evidence


def load_modules(generation, modules, log, environment=None):
    """Load each Lua module in its own process. Returns the evidence, [{module, seconds, version}].

    `th -e` returns 0 even if it fails. So this runs luajit, and checks that the program printed its last line. The last
    line starts with a line break because some modules (cudnn) print an unfinished line.
    """
    evidence = []
    for module in modules:
        program = (
            "local m = require '%s'; local v = type(m) == 'table' and (m._VERSION or m.version) or nil; "
            "print('\\nloaded %s ' .. (type(v) == 'string' and v or '-'))" % (module, module)
        )
        outcome, printed = run_lua(generation, program, log, environment)
        loaded = [line for line in printed if line.startswith("loaded %s " % module)]
        if outcome["rc"] != 0 or not loaded:
            raise StackError(
                "%s was installed, but `require '%s'` fails (%s)" % (module, module, ending(outcome["rc"])),
                log=log,
                tail=log_tail(log),
            )
        version = loaded[-1].split(" ", 2)[2]
        evidence.append({"module": module, "seconds": outcome["seconds"], "version": version})
    return evidence
