# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The command line of the packed supervisor: supervise runs (also as a Slurm job), prepare data, or inspect data.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from ..host.errors import StackError
from ..host.files import read_native, write_json
from ..programs import data
from ..rules import layout
from ..rules import run as rules
from . import launch
from .admission import admit
from .files import Run
from .leases import taken
from .starts import LONGEST, lock_for_start
from .summary import succeeded
from .supervisor import Supervisor


def slurm_card(plan):
    """The card that Slurm assigned to this job, or None if the job runs on the CPU. StackError if there is no card."""
    if plan.get("gpu", "none") == "none":
        return None
    names = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if not names:
        raise StackError("Slurm gave this job no card: CUDA_VISIBLE_DEVICES is empty. Are GPUs in its gres.conf?")
    return launch.take_card(names[0], plan.get("memory", 0), taken(plan["root"]), plan["generation"])[0]


def run_as_job(plan):
    """Supervise the runs of a plan in a Slurm job; return the exit code. Creates the directories of the runs first."""
    root = plan["root"]
    directory = Run(root, plan["runs"][0]["id"]).path
    os.umask(0o077)
    # A job that has waited in the queue for days does not fail because the stack is being changed: it waits.
    with lock_for_start(root, patience=LONGEST):
        plan = dict(plan, generation=os.path.realpath(layout.current(root)))
        if not os.path.isdir(plan["generation"]):
            raise StackError("nothing is installed at %s/current of this node: run `provision site` first" % root)
        admit(root, plan, directory)
        try:
            plan["card"] = slurm_card(plan)
        except StackError as error:
            for request in plan["runs"]:
                write_json(Run(root, request["id"]).ended, {"by": "refused", "evidence": str(error)})
            raise
        supervisor = Supervisor(root, plan, directory)
        supervisor.begin()
    supervisor.supervise_all()
    return 0 if succeeded(Run(root, plan["runs"][-1]["id"])) else 1


def main(args):
    """Run one of these command lines; return the exit code.

    `DIRECTORY [UNIT]`: supervise the runs of the plan in this directory. `job FILE`: supervise the runs of the plan in
    this file, in a Slurm job. `data REQUEST`: prepare or inspect data; this is the program of such a run.
    """
    if args[0] == data.COMMAND:
        return data.main(args[1:])
    if args[0] == "job":
        try:
            return run_as_job(read_native(args[1]))
        except (StackError, ValueError) as error:
            print("neuraltalk-provision: %s" % error)
            return 1
    os.umask(0o077)
    plan = read_native(os.path.join(args[0], rules.PLAN))
    Supervisor(plan["root"], plan, args[0], args[1] if len(args) > 1 else "").supervise_all()
    return 0
