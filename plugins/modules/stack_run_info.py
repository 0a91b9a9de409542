#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: stack_run_info
short_description: Tell of the runs of a host, read on in their logs, open their models and read their files
description:
  - Changes nothing that a run has left.
  - Where Ansible is root, files of a run are read as the account that it belongs to.
attributes:
  check_mode:
    support: full
    description: Changes nothing, so there is no difference.
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
    description: The run's id, the name of its directory; for V(followed), V(probed) and V(read).
    type: str
    default: ""
  ids:
    description: For V(listed), the ids of the runs of which all is told. Without any a row is told of every run.
    type: list
    elements: str
    default: []
  gpu:
    description: With V(auto), V(listed) also tells which cards are free.
    type: str
    default: none
  memory:
    description: MiB that have to be free on a card, so that it counts as free.
    type: int
    default: 0
  offset:
    description: From which byte of the log on to read, for V(followed). Negative for nothing of it.
    type: int
    default: 0
  points:
    description: How many losses to tell of each run at most, for V(listed) with O(ids).
    type: int
    default: 300
  samples:
    description: How many samples to tell of each run at most, for V(listed) with O(ids).
    type: int
    default: 20
  files:
    description: Files of the run that are wanted, for V(read), below its directory or its report by name.
    type: list
    elements: str
    default: []
  most:
    description: Bytes of files that are read at most in all, for V(read).
    type: int
    default: 33554432
  state:
    description:
      - V(listed) tells of every run of the host, V(followed) reads on in the log of one.
      - V(probed) opens the models of one, V(read) reads files of it.
    type: str
    choices: [listed, followed, probed, read]
    required: true
seealso:
  - module: neuraltalk.provision.stack_run
author: the neuraltalk-provision authors
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
run:
  description: What is told of one run.
  returned: for V(followed), V(probed) and V(read)
  type: dict
  contains:
    id:
      description: The run's id.
      returned: always
      type: str
    running:
      description: Whether its program runs.
      returned: for V(followed)
      type: bool
    exit_code:
      description: The program's exit code, minus the signal that ended it; none before its end.
      returned: for V(followed)
      type: int
    text:
      description: The next piece of its log.
      returned: for V(followed)
      type: str
    offset:
      description: The byte of the log after that piece.
      returned: for V(followed)
      type: int
    wrote:
      description: Models and captions that it has left.
      returned: for V(followed), once it has ended
      type: dict
    models:
      description: Each model with C(file), C(bytes), and what it says of itself or C(problem).
      returned: for V(probed)
      type: list
      elements: dict
    files:
      description: The content of files by their names, in base64.
      returned: for V(read)
      type: dict
    later:
      description: Names of files that did not fit into this answer.
      returned: for V(read)
      type: list
      elements: str
runs:
  description: The state of every run and how far it got; with O(ids) all that is known of these.
  returned: for V(listed)
  type: list
  elements: dict
  contains:
    id:
      description: The run's id.
      returned: always
      type: str
    unreadable:
      description: Why nothing else can be told of it.
      returned: where its files are damaged
      type: str
free:
  description: The cards that a run could have now, for V(listed) with O(gpu=auto).
  returned: for V(listed)
  type: list
  elements: dict
  contains:
    uuid:
      description: The card's UUID.
      returned: always
      type: str
queued:
  description: Runs that were given to Slurm on this host, with the states of their jobs.
  returned: for V(listed)
  type: list
  elements: dict
  contains:
    job:
      description: The number of Slurm's job.
      returned: always
      type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host.outcome import run_module
from ..module_utils.runs.account import account_for, as_account, owner_of
from ..module_utils.runs.files import Run
from ..module_utils.runs.leases import free_now
from ..module_utils.runs.probe import probe
from ..module_utils.runs.slurm import queued
from ..module_utils.runs.summary import follow, read_files, rows, told

OF_ONE = ["followed", "probed", "read"]


def answer(wanted):
    """What is told for a state, read as the account that the runs belong to."""
    root = wanted["stack_root"]
    account = account_for(root, wanted["user"])
    if wanted["state"] == "listed":
        return as_account(account, listed, wanted)
    return {"run": as_account(owner_of(Run(root, wanted["id"]).path, account), of_one, wanted)}


def listed(wanted):
    """Every run of the host, or all of some; what was given to Slurm, and which cards are free."""
    root = wanted["stack_root"]
    if wanted["ids"]:
        return {"runs": told(root, wanted["ids"], wanted["points"], wanted["samples"]), "queued": [], "free": []}
    free = free_now(root, wanted["memory"]) if wanted["gpu"] == "auto" else []
    return {"runs": rows(root), "queued": queued(root), "free": free}


def of_one(wanted):
    """What is told of one run."""
    run = Run(wanted["stack_root"], wanted["id"])
    if wanted["state"] == "followed":
        return follow(run, wanted["offset"])
    if wanted["state"] == "probed":
        return {"id": run.name, "models": probe(run)}
    return dict(read_files(run, wanted["files"], wanted["most"]), id=run.name)


def look(module):
    """The result of the module: what was asked of the runs."""
    return dict(answer(module.params), changed=False)


def main():
    module = AnsibleModule(
        argument_spec={
            "stack_root": {"type": "path", "required": True},
            "user": {"type": "str", "default": ""},
            "id": {"type": "str", "default": ""},
            "ids": {"type": "list", "elements": "str", "default": []},
            "gpu": {"type": "str", "default": "none"},
            "memory": {"type": "int", "default": 0},
            "offset": {"type": "int", "default": 0},
            "points": {"type": "int", "default": 300},
            "samples": {"type": "int", "default": 20},
            "files": {"type": "list", "elements": "str", "default": []},
            "most": {"type": "int", "default": 33554432},
            "state": {"type": "str", "choices": ["listed"] + OF_ONE, "required": True},
        },
        required_if=[("state", state, ("id",)) for state in OF_ONE],
        supports_check_mode=True,
    )
    run_module(module, look)


if __name__ == "__main__":
    main()
