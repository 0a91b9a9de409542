#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: stack_run
short_description: Start train.lua, eval.lua or a program for data on a host, end them, and score what they captioned
description:
  - Each run gets a working directory of links to neuraltalk2, so that nothing that it writes (vis/,
    C(prototxt).lua, checkpoints, scores) meets another run's.
  - A supervisor leads the runs that are started together, one after the other on one card. It belongs to
    systemd (a transient unit) where that runs and Ansible is root, else to a session of its own, and outlives
    the connection. Exit codes are written beside the logs.
  - Where Ansible is root, all that touches a run's directory is done as the account O(user), and so is the run itself,
    in a unit of systemd's that can write nowhere but there, or with setuid where systemd does not run.
  - Pictures to caption are read by the stack's own C(image.load) before the program starts. What it cannot read
    (C(._) files of a Mac, truncated ones, other formats) is set aside by name and reason, because one of them ends
    eval.lua without naming the file.
attributes:
  check_mode:
    support: full
    description: Nothing is started, ended or scored; the result says whether something would be.
  diff_mode:
    support: none
    description: There are no files to compare.
options:
  stack_root:
    description: The directory that holds C(current) and C(runs).
    type: path
    required: true
  user:
    description: The account that runs belong to, where Ansible is root. Empty or V(root) for root itself.
    type: str
    default: ""
  id:
    description: The run's id, the name of its directory; for V(stopped), V(cancelled) and V(scored).
    type: str
    default: ""
  runs:
    description:
      - What to start, in order, for V(started) and V(submitted). Of each C(id), C(program), C(requested) (option and
        value), C(files) (names of options that have to be there), C(stage), C(until) (C(iterations), C(plateau)),
        C(needs) (the id of a run before it that has to have ended well) and C(parent) (C(id) and C(choose), best or
        last, of the run whose model it starts from).
    type: list
    elements: dict
    default: []
  gpu:
    description:
      - The one card that the runs see. V(auto) is one that is free, else an index or a UUID; V(none) is for runs on
        the processor. No two runs get the same one at a time.
    type: str
    default: none
  memory:
    description: MiB that have to be free on the card.
    type: int
    default: 0
  slurm:
    description: More words for sbatch, for V(submitted).
    type: list
    elements: str
    default: []
  annotations:
    description:
      - For V(scored), a file on the host with the sentences to compare with, in the form of MS COCO's. By default those
        that the run itself would take.
    type: str
    default: ""
  state:
    description:
      - V(started) starts them, V(submitted) gives them to Slurm.
      - V(stopped) ends a run with all its processes, V(cancelled) takes its job back from Slurm.
      - V(scored) scores the captions that one has left, and keeps the scores in its directory.
    type: str
    choices: [started, submitted, stopped, cancelled, scored]
    required: true
seealso:
  - module: neuraltalk.provision.stack_run_info
author: the neuraltalk-provision authors
"""

EXAMPLES = r"""
- name: Caption a folder
  neuraltalk.provision.stack_run:
    stack_root: /opt/neuraltalk
    runs:
      - id: captions-1
        program: eval.lua
        requested: {model: /data/model.t7, image_folder: /data/images}
        files: [model, image_folder]
    state: started

- name: End it
  neuraltalk.provision.stack_run:
    stack_root: /opt/neuraltalk
    id: captions-1
    state: stopped
"""

RETURN = r"""
run:
  description: What was started, ended or scored.
  returned: success
  type: dict
  contains:
    id:
      description: The run's id; of several that were started together, the first one's.
      returned: always
      type: str
    log:
      description: The file on the host that the program's output goes to.
      returned: for V(started) and V(stopped)
      type: str
    running:
      description: Whether its program runs.
      returned: for V(started) and V(stopped)
      type: bool
    exit_code:
      description: The program's exit code, minus the signal that ended it; none before its end.
      returned: for V(started) and V(stopped)
      type: int
    effective:
      description: The options that the program was given, with what was added for it.
      returned: for V(started)
      type: dict
    set_aside:
      description: Pictures that are not captioned, each with C(file) and C(reason).
      returned: for V(started)
      type: list
      elements: dict
    remarks:
      description: What did not hinder the start, and should be known.
      returned: for V(started)
      type: list
      elements: str
    job:
      description: The number of Slurm's job.
      returned: for V(submitted)
      type: str
    scores:
      description: Scores by name.
      returned: for V(scored)
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host.errors import StackError
from ..module_utils.host.outcome import run_module
from ..module_utils.runs.account import account_for, as_account, find, make_places, owner_of
from ..module_utils.runs.control import stop
from ..module_utils.runs.files import Run
from ..module_utils.runs.packaging import packed
from ..module_utils.runs.slurm import cancel, submit
from ..module_utils.runs.start import start
from ..module_utils.scoring.scores import score

STARTS = ["started", "submitted"]
OF_ONE = ["stopped", "cancelled", "scored"]


def change(wanted, dry):
    """(changed, the run) for a state."""
    root, state = wanted["stack_root"], wanted["state"]
    if state in STARTS:
        if not wanted["runs"]:
            raise StackError("no run is named that is to start")
        return True, {} if dry else begin(wanted, find(wanted["user"]))
    account = account_for(root, wanted["user"])
    if state == "cancelled":
        return as_account(account, cancel, root, wanted["id"], dry), {"id": wanted["id"]}
    run = Run(root, wanted["id"])
    return as_account(owner_of(run.path, account), end_or_score, wanted, dry)


def begin(wanted, account):
    """Start the runs on this host, or give them to Slurm; what is said of the first."""
    root, runs = wanted["stack_root"], wanted["runs"]
    if wanted["state"] == "started":
        return start(root, runs, wanted["gpu"], wanted["memory"], account)
    make_places(root, account)
    plan = {"root": root, "runs": runs, "gpu": wanted["gpu"], "memory": wanted["memory"]}
    return as_account(account, submit, plan, wanted["slurm"], packed())


def end_or_score(wanted, dry):
    """[changed, the run], as the account that it belongs to."""
    run = Run(wanted["stack_root"], wanted["id"])
    if wanted["state"] == "stopped":
        return list(stop(run, dry))
    return [True, {"id": run.name} if dry else dict(score(run, wanted["annotations"]), id=run.name)]


def work(module):
    """The result of the module: the run that was asked for, as it is now."""
    changed, run = change(module.params, module.check_mode)
    return {"changed": changed, "run": run}


def main():
    module = AnsibleModule(
        argument_spec={
            "stack_root": {"type": "path", "required": True},
            "user": {"type": "str", "default": ""},
            "id": {"type": "str", "default": ""},
            "runs": {"type": "list", "elements": "dict", "default": []},
            "gpu": {"type": "str", "default": "none"},
            "memory": {"type": "int", "default": 0},
            "slurm": {"type": "list", "elements": "str", "default": []},
            "annotations": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": STARTS + OF_ONE, "required": True},
        },
        required_if=[("state", state, ("id",)) for state in OF_ONE],
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
