#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: stack_run
short_description: Start train.lua, eval.lua or a program for data on a host, end runs, and score captions
description:
  - Each run gets a working directory of links to neuraltalk2, so that the files that it writes (C(vis/),
    C(prototxt).lua, checkpoints, scores) are apart from those of other runs.
  - A supervisor starts the runs that were given together, one after the other, on one GPU. It continues when the
    connection ends. It runs in a transient unit of systemd if systemd runs and Ansible is root, else in its own
    session. Exit codes are written beside the logs.
  - If Ansible is root, the account O(user) runs the program and does everything in the run's directory. With systemd
    the unit can write only there.
  - Before the program starts, the stack's own C(image.load) reads the pictures to caption. Files that it cannot read
    (C(._) files of macOS, truncated files, other formats) are set aside and listed with the reason, because one of them
    would end eval.lua without naming the file.
options:
  stack_root:
    description: The directory that contains C(current) and C(runs).
    type: path
    required: true
  user:
    description: The account that runs belong to if Ansible is root. Empty or V(root) for root itself.
    type: str
    default: ""
  id:
    description: The run's id, the name of its directory; for V(stopped), V(cancelled) and V(scored).
    type: str
    default: ""
  runs:
    description:
      - The runs to start, in order, for V(started) and V(submitted). Each has C(id), C(program), C(requested) (option
        and value), C(files) (names of options whose files must exist), C(stage), C(until) (C(iterations),
        C(plateau)), C(needs) (the id of an earlier run that must have succeeded) and C(parent) (C(id) and C(choose),
        best or last, of the run whose model it starts from).
    type: list
    elements: dict
    default: []
  gpu:
    description:
      - The one GPU that the runs see; V(auto) for a free one, an index or a UUID, or V(none) for runs on the CPU. Two
        runs never get the same GPU at the same time. With V(auto:UUID) it is that GPU, if nothing else computes on it.
    type: str
    default: none
  memory:
    description: MiB that must be free on the GPU.
    type: int
    default: 0
  slurm:
    description: More options for sbatch, for V(submitted).
    type: list
    elements: str
    default: []
  annotations:
    description:
      - For V(scored), a file on the host with the reference sentences, in the format of MS COCO. By default those that
        the run itself would use.
    type: str
    default: ""
  state:
    description:
      - V(started) starts O(runs), V(submitted) submits them to Slurm.
      - V(stopped) ends a run with all its processes, V(cancelled) cancels its job in Slurm.
      - V(scored) scores the captions of a run, and keeps the scores in its directory.
    type: str
    choices: [started, submitted, stopped, cancelled, scored]
    required: true
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
    details: Nothing is started, ended or scored; the result says whether something would be.
  diff_mode:
    support: none
  platform:
    platforms: posix
seealso:
  - module: neuraltalk.provision.stack_run_info
author: the neuraltalk-provision authors (!UNKNOWN)
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
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
run:
  description: What was started, ended or scored.
  returned: success
  type: dict
  contains:
    id:
      description: The run's id; if several were started together, the id of the first.
      returned: always
      type: str
    path: {description: "The run's directory.", type: str, returned: for V(started) and V(stopped)}
    log:
      description: The file on the host with the program's output.
      type: str
      returned: for V(started) and V(stopped)
    pid:
      description: The process id of its program; null before it starts.
      type: int
      returned: for V(started) and V(stopped)
    begun: {description: Whether its program was started., type: bool, returned: for V(started) and V(stopped)}
    running: {description: Whether its program is running., type: bool, returned: for V(started) and V(stopped)}
    waiting:
      description: Whether its supervisor will start it later.
      type: bool
      returned: for V(started) and V(stopped)
    stopped: {description: Whether somebody stopped it., type: bool, returned: for V(started) and V(stopped)}
    exit_code:
      description:
        - The program's exit code, or the negative number of the signal that ended it; null while it runs. A run that
          was begun, does not run and has no exit code was killed.
      type: int
      returned: for V(started) and V(stopped)
    ended: {description: Why it was ended or not started., type: dict, returned: for V(started) and V(stopped)}
    card: {description: "The GPU that it got; null without.", type: dict, returned: for V(started) and V(stopped)}
    elsewhere:
      description: The host that computes, if it shares this disk and is another one.
      type: str
      returned: for V(started) and V(stopped)
    unit: {description: The unit of systemd., type: str, returned: for V(started) and V(stopped)}
    job:
      description: The number of the job in Slurm.
      type: str
      returned: for V(started), V(stopped) and V(submitted)
    parent: {description: The run whose model it starts from., type: dict, returned: for V(started) and V(stopped)}
    stage: {description: The stage of the training., type: str, returned: for V(started) and V(stopped)}
    until: {description: When the stage ends., type: dict, returned: for V(started) and V(stopped)}
    needs: {description: The run that must have succeeded before., type: str, returned: for V(started) and V(stopped)}
    sweep: {description: The sweep that it belongs to., type: str, returned: for V(started) and V(stopped)}
    supervisor: {description: The directory of its supervisor., type: str, returned: for V(started) and V(stopped)}
    damaged:
      description: The names of its files that exist and cannot be read.
      type: list
      elements: str
      returned: for V(started) and V(stopped)
    effective:
      description: The options that the program was started with, including those that were added.
      returned: for V(started)
      type: dict
    set_aside:
      description: Pictures that are not captioned, each with C(file) and C(reason).
      returned: for V(started)
      type: list
      elements: dict
    remarks:
      description: Remarks that did not prevent the start or the scoring.
      returned: for V(started) and V(scored)
      type: list
      elements: str
    images: {description: How many pictures are captioned., returned: for V(started), type: int}
    submitted:
      description: When the runs were submitted, in seconds since 1970.
      returned: for V(submitted)
      type: int
    runs:
      description: The runs that were submitted, as in O(runs).
      returned: for V(submitted)
      type: list
      elements: dict
    scores: {description: Scores by name., returned: for V(scored), type: dict}
    used: {description: How many captions were scored., returned: for V(scored), type: int}
    of: {description: How many captions the run has., returned: for V(scored), type: int}
    annotations: {description: The file with the reference sentences., returned: for V(scored), type: str}
    generation: {description: The generation whose scorer was used., returned: for V(scored), type: str}
    source: {description: The file with the captions., returned: for V(scored), type: str}
    time: {description: "When they were scored, in seconds since 1970.", returned: for V(scored), type: int}
    file: {description: The file that keeps the scores., returned: for V(scored), type: str}
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


def change(options, dry):
    """(changed, the result for the run) for the state in `options`."""
    root, state = options["stack_root"], options["state"]
    if state in STARTS:
        if not options["runs"]:
            raise StackError("no run to start is named")
        return True, {} if dry else begin(options, find(options["user"]))
    account = account_for(root, options["user"])
    if state == "cancelled":
        return as_account(account, cancel, root, options["id"], dry), {"id": options["id"]}
    run = Run(root, options["id"])
    return as_account(owner_of(run.path, account), end_or_score, options, dry)


def begin(options, account):
    """Start the runs on this host, or submit them to Slurm. Returns the result for the first run."""
    root, runs = options["stack_root"], options["runs"]
    if options["state"] == "started":
        return start(root, runs, options["gpu"], options["memory"], account)
    make_places(root, account)
    plan = {"root": root, "runs": runs, "gpu": options["gpu"], "memory": options["memory"]}
    return as_account(account, submit, plan, options["slurm"], packed())


def end_or_score(options, dry):
    """[changed, the result for the run]. Called as the account that the run belongs to."""
    run = Run(options["stack_root"], options["id"])
    if options["state"] == "stopped":
        return list(stop(run, dry))
    return [True, {"id": run.name} if dry else dict(score(run, options["annotations"]), id=run.name)]


def work(module):
    """The result of the module: the run afterwards."""
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
