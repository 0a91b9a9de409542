# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Runs as jobs of a site's Slurm: submitted with sbatch, listed with squeue, cancelled with scancel.

A job contains the packed supervisor (see supervisor.py), so a node needs only the stack. Runs under
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
from ..host.files import make_directory, naming, read_json, remove, write_json
from ..host.texts import as_text
from ..rules.slurm import ACTIVE, GONE, SILENT
from ..rules import codes, layout
from ..rules.texts import UTF8
from ..slurm.nodes import program

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
        %(utf8)s "$python" "$place/supervisor.zip" job "$place/plan.json"
        exit $?
    fi
done
echo "neuraltalk-provision: there is no Python on this node"
exit 1
"""
UNKNOWN = {"state": GONE, "node": "", "reason": ""}


def run_slurm(argv):
    """Return (output, exit code) of a program of Slurm. StackError if it is not found.

    It has the environment of the login, which a job inherits.
    """
    path = program(argv[0])
    if not path:
        raise StackError("%s: there is no such program. Is Slurm's client installed on this host?" % argv[0])
    output, code = output_of([path] + argv[1:], timeout=None, login=True)
    return output.strip(), code


def script(plan, code):
    """Return the batch script of a plan, which contains the code of the supervisor."""
    text = as_text(json.dumps(plan, sort_keys=True)).encode("utf-8")
    names = ", ".join(request["id"] for request in plan["runs"])
    utf8 = " ".join("%s=%s" % (name, UTF8[name]) for name in sorted(UTF8))
    return SCRIPT % {"names": names, "utf8": utf8, "code": base64_lines(code), "plan": base64_lines(text)}


def base64_lines(data):
    """Return bytes as lines of base64."""
    text = base64.b64encode(data).decode("ascii")
    return "\n".join(text[place : place + 76] for place in range(0, len(text), 76))


def record_path(root, name):
    """Return the path of the file that records the job of a run."""
    return os.path.join(layout.queue(root), name + ".json")


def output_of_job(root, job):
    """Return the path of a job's own output. It is below the stack root, so that no other user can create it first."""
    return os.path.join(layout.runs(root), ".job-%s.out" % job)


def submit(plan, options, code):
    """Submit a plan with the supervisor's code; {job, id, submitted}. StackError with Slurm's message if refused."""
    root, first = plan["root"], plan["runs"][0]["id"]
    for request in plan["runs"]:
        known = read_json(record_path(root, request["id"]))
        if known and state_of(known["job"])["state"] in ACTIVE:
            raise StackError("%s is already the Slurm job %s: choose another id" % (request["id"], known["job"]))
    make_directory(layout.queue(root))
    file = os.path.join(layout.queue(root), first + ".sh")
    with naming(file), io.open(file, "w") as batch:
        batch.write(as_text(script(plan, code)))
    gres = [] if plan.get("gpu", "none") == "none" else ["--gres=gpu:1"]
    argv = ["sbatch", "--parsable", "--job-name=neuraltalk-%s" % first, "--nodes=1", "--no-requeue", "--chdir=/"]
    argv += ["--output=%s" % output_of_job(root, "%j")] + gres + list(options) + [file]
    output, code = run_slurm(argv)
    job = re.search(r"^(\d+)(;\S+)?$", output, re.M)
    if code or not job:
        raise StackError("sbatch did not accept the job: %s" % (output or "code %s" % code))
    record = {"job": job.group(1), "submitted": int(time.time()), "runs": plan["runs"]}
    try:
        for request in plan["runs"]:
            write_json(record_path(root, request["id"]), dict(record, id=request["id"], program=request["program"]))
    except (IOError, OSError) as error:
        raise StackError(_not_recorded(root, plan, job.group(1), error), code=codes.of_errno(error.errno))
    return dict(record, id=first)


def _not_recorded(root, plan, job, error):
    """Cancel a job that could not be recorded, because nobody would know of it; what happened, in words."""
    for request in plan["runs"]:
        remove(record_path(root, request["id"]))
    output, code = run_slurm(["scancel", job])
    done = "was cancelled" if not code else "could not be cancelled (%s): run `scancel %s` on this host" % (output, job)
    return "%s: %s. So the job %s, which Slurm had accepted, %s" % (error.filename, error.strerror, job, done)


def states():
    """Return {job: {state, node, reason}} of all jobs that Slurm knows. StackError if it does not answer."""
    output, code = run_slurm(["squeue", "--noheader", "--states=all", "--format=%i|%T|%N|%r"])
    if code:
        raise StackError("squeue: %s" % (output or "code %s" % code))
    rows = (line.strip().split("|") for line in output.splitlines())
    return dict((row[0], {"state": row[1], "node": row[2], "reason": row[3]}) for row in rows if len(row) == 4)


def state_of(job):
    """Return {state, node, reason} of a job. The state is GONE if Slurm no longer knows the job."""
    return states().get(job, UNKNOWN)


def queued(root):
    """Return all runs submitted to Slurm on this host, with their jobs' states: SILENT if Slurm does not answer."""
    folder = layout.queue(root)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    records = [read_json(os.path.join(folder, name)) for name in names if name.endswith(".json")]
    records = [record for record in records if is_complete(record)]
    if not records:
        return []
    try:
        known, absent = states(), UNKNOWN
    except StackError as error:
        known, absent = {}, {"state": SILENT, "node": "", "reason": str(error)}
    found = []
    for record in records:
        requests = [request for request in record["runs"] if request["id"] == record["id"]]
        state = known.get(record["job"], absent)
        job_output = output_of_job(root, record["job"])
        request = dict((key, requests[0].get(key)) for key in ("requested", "sweep", "parent"))
        found.append(dict(record, runs=None, output=job_output, **dict(request, **state)))
    return found


def is_complete(record):
    """Return whether the record of a job has all fields that are needed. Damaged records are ignored."""
    try:
        return any(
            request["id"] == record["id"] and request.get("requested") is not None for request in record["runs"]
        ) and bool(record["job"] and record["program"] and record["submitted"])
    except (KeyError, TypeError):
        return False


def cancel(root, name, dry):
    """Cancel the job of a run; return whether it was active. StackError with Slurm's message if that fails."""
    record = read_json(record_path(root, name))
    if not is_complete(record):
        raise StackError("run %s was not submitted to Slurm on this host" % name)
    active = state_of(record["job"])["state"] in ACTIVE
    if active and not dry:
        output, code = run_slurm(["scancel", record["job"]])
        if code:
            raise StackError("scancel %s: %s" % (record["job"], output))
    return active
