# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Runs through a site's own queue: given to Slurm by sbatch, asked after by squeue, taken back by scancel.

A job brings the supervisor along (see supervisor.py), so that a node needs nothing but the stack. Runs under
Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import io
import json
import os
import re
import time

from ..host.commands import output_of
from ..host.errors import StackError
from ..host.files import make_directory, read_json, write_json
from ..host.texts import as_text
from ..rules import run as rules
from ..rules.slurm import ACTIVE, GONE, SILENT
from ..rules import layout

SCRIPT = """#!/bin/sh
# Written by neuraltalk-provision: supervises %(names)s on the node that Slurm chose.
place=$(mktemp -d) || exit 1
trap 'rm -rf "$place"' EXIT
trap : TERM
base64 -d > "$place/supervisor.zip" <<'END'
%(code)s
END
base64 -d > "$place/plan.json" <<'END'
%(plan)s
END
for python in python3 python2.7 python2 python; do
    if command -v "$python" > /dev/null; then
        "$python" "$place/supervisor.zip" job "$place/plan.json"
        exit $?
    fi
done
echo "neuraltalk-provision: there is no Python on this node"
exit 1
"""
FORGOTTEN = {"state": GONE, "node": "", "reason": ""}


def answer_of(argv):
    """(what a command of Slurm's printed, its code). StackError where there is no such command."""
    said, code = output_of(argv, timeout=None)
    if code is None:
        raise StackError("%s: there is no such program. Is Slurm's client installed on this host?" % argv[0])
    return said.strip(), code


def script(plan, code):
    """The batch script of a plan, which brings the supervisor's code along."""
    text = as_text(json.dumps(plan, sort_keys=True)).encode("utf-8")
    names = ", ".join(asked["id"] for asked in plan["runs"])
    return SCRIPT % {"names": names, "code": lines_of(code), "plan": lines_of(text)}


def lines_of(data):
    """Bytes as lines of base64."""
    text = base64.b64encode(data).decode("ascii")
    return "\n".join(text[place : place + 76] for place in range(0, len(text), 76))


def record_of(root, name):
    """Where it stands which job a run became."""
    return os.path.join(layout.queue(root), name + ".json")


def output_of_job(root, job):
    """Where a node writes what a job itself prints: below the stack root, where nobody else can make a file first."""
    return os.path.join(layout.runs(root), ".job-%s.out" % job)


def submit(plan, words, code):
    """Give a plan to Slurm with the supervisor's code; {job, id, submitted}. StackError with Slurm's words for a no."""
    root, first = plan["root"], plan["runs"][0]["id"]
    for asked in plan["runs"]:
        known = read_json(record_of(root, asked["id"]))
        if known and state_of(known["job"])["state"] in ACTIVE:
            raise StackError("%s is already the Slurm job %s: choose another id" % (asked["id"], known["job"]))
    make_directory(layout.queue(root))
    file = os.path.join(layout.queue(root), first + ".sh")
    with io.open(file, "w") as written:
        written.write(as_text(script(plan, code)))
    gres = [] if plan.get("gpu", "none") == "none" else ["--gres=gpu:1"]
    argv = ["sbatch", "--parsable", "--job-name=neuraltalk-%s" % first, "--nodes=1", "--no-requeue", "--chdir=/"]
    argv += ["--output=%s" % output_of_job(root, "%j")] + gres + list(words) + [file]
    said, code = answer_of(argv)
    job = re.search(r"^(\d+)(;\S+)?$", said, re.M)
    if code or not job:
        raise StackError("sbatch did not accept the job: %s" % (said or "code %s" % code))
    told = {"job": job.group(1), "submitted": int(time.time()), "runs": plan["runs"]}
    for asked in plan["runs"]:
        write_json(record_of(root, asked["id"]), dict(told, id=asked["id"], program=asked["program"]))
    return dict(told, id=first)


def states():
    """{job: {state, node, reason}} of all jobs that Slurm remembers. StackError where it does not answer."""
    said, code = answer_of(["squeue", "--noheader", "--states=all", "--format=%i|%T|%N|%r"])
    if code:
        raise StackError("squeue: %s" % (said or "code %s" % code))
    rows = (line.strip().split("|") for line in said.splitlines())
    return dict((row[0], {"state": row[1], "node": row[2], "reason": row[3]}) for row in rows if len(row) == 4)


def state_of(job):
    """{state, node, reason} of a job; state GONE where Slurm has forgotten it."""
    return states().get(job, FORGOTTEN)


def queued(root):
    """Every run that was given to Slurm on this host, with the state of its job; SILENT where Slurm does not answer."""
    folder = layout.queue(root)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    records = [read_json(os.path.join(folder, name)) for name in names if name.endswith(".json")]
    records = [told for told in records if whole(told)]
    if not records:
        return []
    try:
        known, absent = states(), FORGOTTEN
    except StackError as error:
        known, absent = {}, {"state": SILENT, "node": "", "reason": str(error)}
    found = []
    for told in records:
        mine = [asked for asked in told["runs"] if asked["id"] == told["id"]]
        its = known.get(told["job"], absent)
        output = output_of_job(root, told["job"])
        found.append(dict(told, runs=None, requested=rules.requested(mine[0]), output=output, **its))
    return found


def whole(told):
    """Whether a record of a job says all that is needed of it; one that was damaged is passed over."""
    try:
        return any(asked["id"] == told["id"] and rules.requested(asked) is not None for asked in told["runs"]) and bool(
            told["job"] and told["program"] and told["submitted"]
        )
    except (KeyError, TypeError):
        return False


def cancel(root, name, dry):
    """Take the job of a run back; whether there was one to take back. StackError with Slurm's words."""
    told = read_json(record_of(root, name))
    if not whole(told):
        raise StackError("run %s was not submitted to Slurm on this host" % name)
    active = state_of(told["job"])["state"] in ACTIVE
    if active and not dry:
        said, code = answer_of(["scancel", told["job"]])
        if code:
            raise StackError("scancel %s: %s" % (told["job"], said))
    return active
