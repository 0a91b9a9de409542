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


def run_lua(generation, program, mark, problem, log, environment=None):
    """Run a Lua program with luajit of the stack. Returns (the last line that it printed and that begins with `mark`,
    the seconds that it took).

    StackError with `problem`, how the program ended, and the end of the log, if it failed or printed no such line.
    """
    start = file_size(log)
    argv = with_stack(generation, ["luajit", "-e", program])
    outcome = run_logged(argv, log, timeout=LIMIT, append=True, environment=environment)
    marked = [line for line in lines_since(log, start) if line.startswith(mark)]
    if outcome["rc"] != 0 or not marked:
        raise StackError("%s (%s)" % (problem, ending(outcome["rc"])), log=log, tail=log_tail(log))
    return marked[-1], outcome["seconds"]


def resolve_libraries(generation, libraries, log, environment=None):
    """Open each library and resolve all its symbols at once. Returns the evidence."""
    evidence = []
    for library in libraries:
        path = os.path.join(generation, library)
        program = "local ok, why = package.loadlib([[%s]], '*'); if not ok then error(why) end print('resolved')" % path
        problem = "%s was built, but cannot be opened" % path
        seconds = run_lua(generation, program, "resolved", problem, log, environment)[1]
        version = "%d bytes, all symbols found" % os.path.getsize(path)
        evidence.append({"module": os.path.basename(library), "seconds": seconds, "version": version})
    return evidence


def find_modules(generation, modules, log):
    """Check that `require` would find each Lua module and that it can be parsed; it is not run."""
    evidence = []
    for module in modules:
        program = (
            "local file, why = package.searchpath('%s', package.path); if not file then error(why) end "
            "assert(loadfile(file)); print('found ' .. file)" % module
        )
        seconds = run_lua(generation, program, "found ", "%s was installed, but is not found" % module, log)[1]
        evidence.append({"module": module, "seconds": seconds, "version": "not loaded: no card on this host"})
    return evidence


def try_programs(generation, modules, programs, log, environment=None):
    """Run each Lua test program after loading the modules. Returns the evidence.

    TMPDIR is a temporary directory that only these programs use.
    """
    if not programs:
        return []
    evidence = []
    requires = "".join("require '%s'; " % module for module in modules)
    problem = "%s loads, but does not work: its trial failed" % modules[-1]
    with temporary_directory(log) as private:
        for number, program in enumerate(programs, 1):
            mark = "tried program %d" % number
            source = "%sdo %s end; print('\\n%s')" % (requires, program, mark)
            given = dict(environment or {}, TMPDIR=private)
            seconds = run_lua(generation, source, mark, problem, log, given)[1]
            evidence.append({"module": "a trial", "seconds": seconds, "version": "-"})
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
        problem = "%s was installed, but `require '%s'` fails" % (module, module)
        loaded, seconds = run_lua(generation, program, "loaded %s " % module, problem, log, environment)
        evidence.append({"module": module, "seconds": seconds, "version": loaded.split(" ", 2)[2]})
    return evidence
