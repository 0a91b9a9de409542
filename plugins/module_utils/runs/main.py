# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The command line of what is packed into a run's directory: supervise runs, as a job of Slurm's too, or prepare data.

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
from .leases import Leases, taken
from .supervisor import Supervisor


def given_card(plan):
    """The card that Slurm gave this job; None for one on the processor. StackError where it gave none."""
    if plan.get("gpu", "none") == "none":
        return None
    names = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if not names:
        raise StackError("Slurm gave this job no card: CUDA_VISIBLE_DEVICES is empty. Are GPUs in its gres.conf?")
    return launch.take_card(names[0], plan.get("memory", 0), taken(plan["root"]))


def as_job(plan):
    """Lead the runs of a plan as a job of Slurm's: their directories are made here, on the node that it chose."""
    root = plan["root"]
    plan = dict(plan, generation=os.path.realpath(layout.current(root)))
    directory = Run(root, plan["runs"][0]["id"]).path
    if not os.path.isdir(plan["generation"]):
        raise StackError("nothing is installed at %s/current of this node: run `provision site` first" % root)
    os.umask(0o077)
    with Leases(root):
        admit(root, plan, directory)
    try:
        plan["card"] = given_card(plan)
    except StackError as error:
        for asked in plan["runs"]:
            write_json(Run(root, asked["id"]).ended, {"by": "refused", "evidence": str(error)})
        raise
    Supervisor(root, plan, directory).lead()
    return 0 if rules.ended_well(Run(root, plan["runs"][-1]["id"]).status()) else 1


def main(words):
    """`DIRECTORY [UNIT]`: lead the plan that stands there; `job FILE`: lead a plan as a job of Slurm's.

    `data REQUEST`: be the program that prepares or inspects data, as a run that was begun here.
    """
    if words[0] == data.WORD:
        return data.main(words[1:])
    if words[0] == "job":
        try:
            return as_job(read_native(words[1]))
        except (StackError, ValueError) as error:
            print("neuraltalk-provision: %s" % error)
            return 1
    os.umask(0o077)
    plan = read_native(os.path.join(words[0], rules.PLAN))
    Supervisor(plan["root"], plan, words[0], words[1] if len(words) > 1 else "").lead()
    return 0
