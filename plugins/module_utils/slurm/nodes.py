# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The nodes of Slurm that a host is: their states, the reasons of drains, and the jobs on them.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

from ..host import process_info
from ..host.commands import output_of
from ..host.environment import path_of
from ..host.errors import StackError
from ..rules import slurm as rules

PLACES = ("/usr/bin", "/usr/local/bin", "/opt/slurm/bin", "/opt/slurm/current/bin", "/usr/local/slurm/bin",
          "/cm/shared/apps/slurm/current/bin")  # fmt: skip
"""Where Slurm's programs are searched if they are not on the PATH, which sudo may reset."""
DAEMONS = ("slurmd", "slurmstepd")
"""The programs that run on a node. Without them no job runs on this host."""
TIMEOUT = 60
"""Seconds. A program of Slurm waits long for a controller that does not answer."""
MOST_JOBS = 1000
SPECIAL = "*~#!%$@^+-"
"""Marks that Slurm appends to words of a state."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}\Z")
REASON = re.compile(r"^\s*Reason=(.*?)(?: \[([^\]@]*)@([^\]]*)\])?\s*$", re.M)
FIELDS = "%i|%T|%u|%S|%j"


class SilentError(Exception):
    """Slurm does not answer, so nothing is known about its nodes; the message says why."""


def own_names():
    """The names of this host: as the kernel knows it, and without its domain."""
    name = os.uname()[1]
    return sorted(set([name, name.split(".")[0]]))


def program(name):
    """The path of a program of Slurm; empty if it is not found."""
    return path_of(name, os.pathsep.join((os.environ.get("PATH", os.defpath),) + PLACES)) or ""


def daemon():
    """The daemon of a node, or of a job, that this host runs, in words; empty if there is none.

    Those in containers on this host do not count. Any user can give a program this name, so its user is said.
    """
    for pid in process_info.pids():
        name = process_info.name_of(pid)
        if name in DAEMONS and not process_info.is_in_container(pid):
            return "%s (pid %d of %s)" % (name, pid, process_info.user_of(pid))
    return ""


def is_used():
    """Whether this host can have to do with Slurm: its programs are installed, or a daemon of a node runs."""
    return bool(program("scontrol") or daemon())


def ask(argv):
    """The output of a program of Slurm. SilentError with its message if it fails."""
    path = program(argv[0])
    if not path:
        raise SilentError("%s was not found on this host, neither on the PATH nor in %s" % (argv[0], ", ".join(PLACES)))
    output, code = output_of([path] + list(argv[1:]), timeout=TIMEOUT, login=True)
    if code:
        raise SilentError("%s: %s" % (" ".join(argv[:3]), _first_line(output) or "code %s" % code))
    return output


def _first_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:500] if lines else ""


class Host(object):
    """The host whose nodes are meant.

    `names` are its names, by default those of the host on which this runs; `elsewhere` says that it is another one.
    `node` is the name of its only node, if that cannot be found by the names of the host.
    """

    def __init__(self, names=(), elsewhere=False, node=""):
        if elsewhere and not names and not node:
            raise StackError("for a host elsewhere, its names or the name of its node are needed")
        self.names = [name for name in names or own_names() if NAME.match(name)]
        self.elsewhere, self.node = elsewhere, node


def read(host):
    """{used, nodes, problem}: the nodes that a host is, or why that is not known.

    A host that is no node has no nodes and no problem.
    """
    running = "" if host.elsewhere else daemon()
    if not host.elsewhere and not running and not program("scontrol"):
        return {"used": False, "nodes": [], "problem": ""}
    try:
        texts = [_text_of(host.node)] if host.node else _texts_of(host.names)
        jobs = jobs_on([text_field(text, "NodeName") for text in texts]) if texts else []
    except SilentError as error:
        # If it has no daemon of a node, no job can run here, whether Slurm answers or not.
        is_known = not host.elsewhere and not running and not host.node
        problem = "%s%s" % (error, "; %s runs on this host" % running if running else "")
        return {"used": not is_known, "nodes": [], "problem": "" if is_known else problem}
    if not texts and running:
        problem = "%s runs on this host, but Slurm knows no node with the name %s: set slurm_node_name for this host"
        return {"used": True, "nodes": [], "problem": problem % (running, " or ".join(host.names))}
    return {"used": bool(texts), "nodes": [described(text, jobs) for text in texts], "problem": ""}


def _text_of(node):
    """The description of the node with that name. SilentError if there is none."""
    if not NAME.match(node):
        raise SilentError("%r is not the name of a node" % node)
    return ask(["scontrol", "show", "node", node])


def _texts_of(names):
    """The descriptions that scontrol prints of the nodes of the host with these names. SilentError.

    Slurm is asked for these nodes alone if its configuration on this host names them, because a cluster can have
    thousands. A controller that does not answer costs 10 s for each question.
    """
    short = set(name.split(".")[0].lower() for name in names)
    known = sorted(set(node for name in names for node in _aliases(name))) or sorted(names, key=len)[:1]
    try:
        found = [ask(["scontrol", "show", "node", node]) for node in known]
    except SilentError:
        found = []  # there is no such node, or Slurm does not answer: the next question tells which
    return [text for text in found if _is_of(text, short)] or [
        text for text in ask(["scontrol", "show", "node"]).split("\n\n") if text.strip() and _is_of(text, short)
    ]


def _aliases(name):
    """The names of the nodes whose NodeHostname is `name`, as the configuration on this host says."""
    try:
        words = ask(["scontrol", "show", "aliases", name]).split()
    except SilentError:
        return []
    return [word for word in words if NAME.match(word)][:100]


def _is_of(text, short):
    """Whether a node is on the host with one of these short names. A node can have the name of another host."""
    host = text_field(text, "NodeHostName") or text_field(text, "NodeName")
    return host.split(".")[0].lower() in short


def text_field(text, name):
    """The value of a field without spaces in a description by scontrol; empty if it is missing."""
    found = re.search(r"(?:^|\s)%s=(\S*)" % name, text)
    return found.group(1) if found else ""


def described(text, jobs):
    """A node {name, state, drained, down, idle, reason, by, since, rollout, jobs, more}.

    `drained` and `down` say that no new job is started on it, `idle` that none is on it now. `rollout` is the id in the
    reason of a drain of ours, else empty.
    """
    state = text_field(text, "State")
    words = set(word.strip(SPECIAL) for word in state.split("+"))
    found = REASON.search(text)
    reason, by, since = (found.group(1), found.group(2) or "", found.group(3) or "") if found else ("", "", "")
    drained = rules.DRAIN in words or bool(words & set(["DRAINED", "DRAINING"]))
    rests = bool(words & set(rules.RESTS + ("DRAINED",))) and not words & set(rules.WORKS + ("DRAINING",))
    return {
        "name": text_field(text, "NodeName"), "state": state[:200], "drained": drained, "down": rules.DOWN in words,
        "idle": rests and not jobs, "reason": reason[:1000], "by": by[:100], "since": since[:100],
        "rollout": rules.rollout_of(reason) if drained else "", "jobs": jobs[:MOST_JOBS],
        "more": max(0, len(jobs) - MOST_JOBS),
    }  # fmt: skip


def jobs_on(nodes):
    """[{id, state, user, since, name}] of the jobs that use these nodes now. SilentError."""
    argv = ["squeue", "--noheader", "--states=all", "--nodelist=%s" % ",".join(nodes), "--format=" + FIELDS]
    found = []
    for line in ask(argv).splitlines():
        fields = line.strip().split("|", 4)
        if len(fields) == 5 and fields[1] not in rules.OVER:
            cut = [field[:200] for field in fields]
            found.append(dict(zip(("id", "state", "user", "since", "name"), cut)))
    return found
