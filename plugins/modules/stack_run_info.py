#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: stack_run_info
short_description: List the runs of a host, follow their logs, open their models and read their files
description:
  - Changes no file of a run.
  - If Ansible is root, the files of a run are read as the account that it belongs to.
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
    description: The run's id, the name of its directory; for V(followed), V(probed) and V(read).
    type: str
    default: ""
  ids:
    description: For V(listed), the ids of the runs to return in full. Without any, every run is returned, in short.
    type: list
    elements: str
    default: []
  gpu:
    description: With V(auto), V(listed) also returns the free GPUs.
    type: str
    default: none
  memory:
    description: MiB of memory that a GPU must have free to count as free.
    type: int
    default: 0
  backend:
    description: The backend of train.lua that runs request. If the stack does not have it, no GPU counts as free.
    type: str
    default: ""
  offset:
    description: For V(followed), the byte of the log to start from. Negative to read nothing of it.
    type: int
    default: 0
  wait:
    description:
      - For V(followed), the seconds for which to wait until the run has ended, at most 60. The result comes when it has
        ended, or after this time.
    type: int
    default: 0
  points:
    description: For V(listed) with O(ids), the largest number of losses to return for each run.
    type: int
    default: 300
  samples:
    description: For V(listed) with O(ids), the largest number of samples to return for each run.
    type: int
    default: 20
  files:
    description: For V(read), the files of the run to return, below its directory, or its report by name.
    type: list
    elements: str
    default: []
  most:
    description: For V(read), the largest number of bytes to read from all files together.
    type: int
    default: 33554432
  state:
    description:
      - V(listed) returns the runs of the host, V(followed) the next piece of the log of one run.
      - V(probed) opens the models of a run, V(read) returns files of it.
    type: str
    choices: [listed, followed, probed, read]
    required: true
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: Nothing is changed.
  platform:
    platforms: posix
seealso:
  - module: neuraltalk.provision.stack_run
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: List the runs
  neuraltalk.provision.stack_run_info:
    stack_root: /opt/neuraltalk
    state: listed

- name: Read the log of one from its beginning
  neuraltalk.provision.stack_run_info:
    stack_root: /opt/neuraltalk
    id: captions-1
    state: followed
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
run:
  description: The result for one run.
  returned: for V(followed), V(probed) and V(read)
  type: dict
  contains:
    id: {description: "The run's id.", returned: always, type: str}
    path: {description: "The run's directory.", type: str, returned: for V(followed)}
    log: {description: "The file on the host with the program's output.", type: str, returned: for V(followed)}
    pid: {description: "The process id of its program; null before it starts.", type: int, returned: for V(followed)}
    begun: {description: Whether its program was started., type: bool, returned: for V(followed)}
    running: {description: Whether its program is running., type: bool, returned: for V(followed)}
    waiting: {description: Whether its supervisor will start it later., type: bool, returned: for V(followed)}
    stopped: {description: Whether somebody stopped it., type: bool, returned: for V(followed)}
    exit_code:
      description:
        - The program's exit code, or the negative number of the signal that ended it; null while it runs. A run that
          was begun, does not run and has no exit code was killed.
      type: int
      returned: for V(followed)
    ended: {description: Why it was ended or not started., type: dict, returned: for V(followed)}
    card: {description: "The GPU that it got; null without.", type: dict, returned: for V(followed)}
    elsewhere:
      description: The host that computes, if it shares this disk and is another one.
      type: str
      returned: for V(followed)
    unit: {description: The unit of systemd., type: str, returned: for V(followed)}
    job: {description: The number of the job in Slurm., type: str, returned: for V(followed)}
    parent: {description: The run whose model it starts from., type: dict, returned: for V(followed)}
    stage: {description: The stage of the training., type: str, returned: for V(followed)}
    until: {description: When the stage ends., type: dict, returned: for V(followed)}
    needs: {description: The run that must have succeeded before., type: str, returned: for V(followed)}
    sweep: {description: The sweep that it belongs to., type: str, returned: for V(followed)}
    supervisor: {description: The directory of its supervisor., type: str, returned: for V(followed)}
    damaged:
      description: The names of its files that exist and cannot be read.
      type: list
      elements: str
      returned: for V(followed)
    text: {description: The next piece of its log., returned: for V(followed), type: str}
    offset: {description: The byte of the log at which the next piece starts., returned: for V(followed), type: int}
    more: {description: Whether the log has more already., returned: "for V(followed), if the log was read", type: bool}
    wrote: {description: Models and captions that it wrote., returned: "for V(followed), after its end", type: dict}
    models:
      description: Each model with C(file), C(bytes), and its iteration, words and scores, or with C(problem).
      returned: for V(probed)
      type: list
      elements: dict
    files: {description: "The content of the files by name, in base64.", returned: for V(read), type: dict}
    later:
      description: Names of files that did not fit into this result.
      returned: for V(read)
      type: list
      elements: str
runs:
  description: The state and the progress of every run; with O(ids) these runs in full.
  returned: for V(listed)
  type: list
  elements: dict
  contains:
    id: {description: "The run's id.", returned: always, type: str}
    unreadable: {description: Why nothing else of it can be read., returned: if its files are damaged, type: str}
machine:
  description: What is equal for all names of one machine; empty if that is not known.
  returned: for V(listed)
  type: str
free:
  description: The GPUs that a run could get now, with O(gpu=auto).
  returned: for V(listed)
  type: list
  elements: dict
  contains:
    uuid: {description: "The GPU's UUID.", returned: always, type: str}
unusable:
  description: The other GPUs that no run can use as they are, each with the reason.
  returned: for V(listed)
  type: list
  elements: str
busy:
  description: The other GPUs that are in use, each with what uses it.
  returned: for V(listed)
  type: list
  elements: str
queued:
  description: Runs that were submitted to Slurm on this host, with the states of their jobs.
  returned: for V(listed)
  type: list
  elements: dict
  contains:
    job: {description: The number of the job in Slurm., returned: always, type: str}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host.identity import machine
from ..module_utils.host.outcome import run_module
from ..module_utils.rules.gpu import AUTO
from ..module_utils.runs.account import account_for, as_account, owner_of
from ..module_utils.runs.files import Run
from ..module_utils.runs.free_cards import cards_now
from ..module_utils.runs.probe import probe
from ..module_utils.runs.slurm import queued
from ..module_utils.runs.summary import details, follow, read_files, rows

OF_ONE = ["followed", "probed", "read"]


def read(options):
    """The result for the state in `options`, read as the account that the runs belong to."""
    root = options["stack_root"]
    account = account_for(root, options["user"])
    if options["state"] == "listed":
        return as_account(account, listed, options)
    return {"run": as_account(owner_of(Run(root, options["id"]).path, account), of_one, options)}


def listed(options):
    """Every run of the host in short, or some runs in full; the jobs in Slurm, and the free cards."""
    root = options["stack_root"]
    found = {"queued": [], "free": [], "unusable": [], "busy": [], "machine": machine()}
    if options["ids"]:
        return dict(found, runs=details(root, options["ids"], options["points"], options["samples"]))
    if options["gpu"] == AUTO:
        found.update(cards_now(root, options["memory"], options["backend"]))
    return dict(found, runs=rows(root), queued=queued(root))


def of_one(options):
    """The result for one run."""
    run = Run(options["stack_root"], options["id"])
    if options["state"] == "followed":
        return follow(run, options["offset"], options["wait"])
    if options["state"] == "probed":
        return {"id": run.name, "models": probe(run)}
    return dict(read_files(run, options["files"], options["most"]), id=run.name)


def work(module):
    """The result of the module: the requested information about runs."""
    return dict(read(module.params), changed=False)


def main():
    module = AnsibleModule(
        argument_spec={
            "stack_root": {"type": "path", "required": True},
            "user": {"type": "str", "default": ""},
            "id": {"type": "str", "default": ""},
            "ids": {"type": "list", "elements": "str", "default": []},
            "gpu": {"type": "str", "default": "none"},
            "memory": {"type": "int", "default": 0},
            "backend": {"type": "str", "default": ""},
            "offset": {"type": "int", "default": 0},
            "wait": {"type": "int", "default": 0},
            "points": {"type": "int", "default": 300},
            "samples": {"type": "int", "default": 20},
            "files": {"type": "list", "elements": "str", "default": []},
            "most": {"type": "int", "default": 33554432},
            "state": {"type": "str", "choices": ["listed"] + OF_ONE, "required": True},
        },
        required_if=[("state", state, ("id",)) for state in OF_ONE],
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
