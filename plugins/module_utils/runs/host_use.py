# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What uses a host now: runs, other programs of the stack, and processes on cards.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..gpu.uses import on_cards
from ..host import process_info
from ..host.errors import StackError
from ..rules.texts import moment, some
from ..slurm.nodes import daemon, is_used, own_names
from .uses import active_runs, hidden_programs, programs, sessions_of

MOST = 1000
"""Entries of a list that are returned."""

_HIDDEN = (
    "programs: root may not see whether these processes of Lua belong to the stack, because it lacks CAP_SYS_PTRACE, "
    "as in a container: %s. Wait until they end, or end them"
)


def use_of_host(root, user):
    """{names, slurm, runs, programs, processes, hidden, more, problems}. A problem counts as a use."""
    problems = []
    try:
        runs = active_runs(root, user)
    except (StackError, IOError, OSError) as error:
        runs = []
        problems.append("runs: %s" % error)
    cards = on_cards()
    if cards["problem"]:
        problems.append("cards: %s" % cards["problem"])
    sessions = sessions_of(runs)
    hidden = hidden_programs(sessions)
    if hidden:
        problems.append(_HIDDEN % some(["pid %d of %s" % (pid, process_info.user_of(pid)) for pid in hidden], 5))
    lists = {
        "runs": runs,
        "programs": [entry for entry in programs(root) if not _is_of(entry, sessions)],
        "processes": [entry for entry in cards["processes"] if not _is_of(entry, sessions)],
    }
    more = sum(max(0, len(entries) - MOST) for entries in lists.values())
    cut = dict((name, entries[:MOST]) for name, entries in lists.items())
    return dict(
        cut,
        names=own_names(),
        slurm=is_used(),
        node=bool(daemon()),
        hidden=cards["hidden"],
        more=more,
        problems=[p[:2000] for p in problems],
    )


def _is_of(process, sessions):
    return process["pid"] in sessions or process_info.session_of(process["pid"]) in sessions


def described(use):
    """What uses a host, in words; empty if nothing does."""
    found = ["run %s%s" % (run["id"], _of(run)) for run in use["runs"]]
    found += ["%s of the stack%s" % (entry["name"], _of(entry)) for entry in use["programs"]]
    found += ["%s on a card%s" % (entry["name"], _of(entry)) for entry in use["processes"]]
    if use["hidden"]:
        found.append("%d processes on cards that cannot be seen from here" % use["hidden"])
    if use["more"]:
        found.append("%d more" % use["more"])
    return "; ".join(found + use["problems"])


def _of(entry):
    """The pid, the user and the start of a process, in brackets."""
    known = ["pid %d" % entry["pid"]] if entry["pid"] else []
    known += ["of %s" % entry["user"]] if entry["user"] else []
    known += ["since %s" % moment(entry["since"])] if entry["since"] else []
    return " (%s)" % ", ".join(known) if known else ""
