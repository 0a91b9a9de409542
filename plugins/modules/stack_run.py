#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: stack_run
short_description: Start train.lua or eval.lua in directories of their own, follow them, and tell of them
description:
  - Each run gets a working directory of links to neuraltalk2, so that nothing that it writes (vis/,
    C(prototxt).lua, checkpoints, scores) meets another run's.
  - A conductor leads the runs that are started together, one after the other on one card. It belongs to
    systemd (a transient unit) where that runs and Ansible is root, else to a session of its own, and outlives
    the connection. Exit codes are written beside the logs.
  - Where Ansible is root, all that touches a run's directory is done as the account O(user), and so is the run itself,
    in a unit of systemd's that can write nowhere but there, or with setuid where systemd does not run.
  - Pictures to caption are read by the stack's own C(image.load) before the program starts. What it cannot read
    (C(._) files of a Mac, truncated ones, other formats) is set aside by name and reason, because one of them ends
    eval.lua without naming the file.
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
    description:
      - The run's id, the name of its directory; for V(followed), V(stopped), V(cancelled), V(probed), V(read), and
        V(scored).
    type: str
    default: ""
  ids:
    description: For V(listed), the ids of the runs of which all is told. Without any a row is told of every run.
    type: list
    elements: str
    default: []
  runs:
    description:
      - What to start, in order, for V(started) and V(submitted). Of each C(id), C(program), C(arguments) (option and
        value), C(files) (names of arguments that have to be there), C(stage), C(until) (C(iterations), C(plateau)),
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
  annotations:
    description:
      - For V(scored), a file on the host with the sentences to compare with, in the form of MS COCO's. By default those
        that the run itself would take.
    type: str
    default: ""
  state:
    description:
      - V(started) starts them, V(submitted) gives them to Slurm.
      - V(followed) reads on in a log, V(stopped) ends a run with all its processes, V(cancelled) takes its job back.
      - V(listed) tells of every run of the host, V(probed) opens the models of one, V(read) reads files of it.
      - V(scored) scores the captions that one has left, and keeps the scores in its directory.
    type: str
    choices: [started, submitted, followed, stopped, cancelled, listed, probed, read, scored]
    required: true
author: the neuraltalk-provision authors
"""

EXAMPLES = r"""
- name: Caption a folder
  stack_run:
    stack_root: /opt/neuraltalk
    runs:
      - id: captions-1
        program: eval.lua
        arguments: {model: /data/model.t7, image_folder: /data/images}
        files: [model, image_folder]
    state: started
"""

RETURN = r"""
run:
  description: The run's directory, log, whether it runs, its exit code, and what it wrote.
  returned: for all states of one run
  type: dict
runs:
  description: The state of every run and how far it got; with O(ids) all that is known of these.
  returned: for V(listed)
  type: list
free:
  description: The cards that a run could have now, for V(listed) with O(gpu=auto).
  returned: for V(listed)
  type: list
queued:
  description: Runs that were given to Slurm on this host, with the states of their jobs.
  returned: for V(listed)
  type: list
"""

import io
import os
import shutil
import time

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.runs.account import as_account, find, make_places, owner_of
from ..module_utils.runs.supervisor import admit, packed
from ..module_utils.gpu.cards import cards, free_cards, has_card, misleading, processes
from ..module_utils.runs.launch import interpreter, needs_card, take_card, weights_of
from ..module_utils.runs.summary import follow, models, read_files, rows, told
from ..module_utils.programs.dispatch import CODE, refuse
from ..module_utils.runs.files import Leases, Run, checkpoints, stop, taken
from ..module_utils.scoring.scores import score
from ..module_utils.runs.slurm import cancel, queued, submit
from ..module_utils.host.commands import log_tail, run_logged, with_stack
from ..module_utils.host.errors import StackError, fail_with
from ..module_utils.host.files import lines_since, remove, write_json
from ..module_utils.host.processes import is_alive
from ..module_utils.host.texts import as_text
from ..module_utils.runs.unit import begin, writable

STATES = ["started", "submitted", "followed", "stopped", "cancelled", "listed", "probed", "read", "scored"]
OF_ONE = ["followed", "stopped", "cancelled", "probed", "read", "scored"]
PATIENCE = 30.0
"""Seconds that a conductor gets to say that it has begun."""
LOOKED = 5.0
"""Seconds after which it is told of a run that it looks at its pictures still."""
PROBE = """
require 'torch' require 'nn' require 'nngraph' require 'misc.LanguageModel'
%(card)s
local checkpoint = torch.load(arg[1])
local iter, stats = checkpoint.iter, checkpoint.val_lang_stats_history
local words = 0
for _ in pairs(checkpoint.vocab) do words = words + 1 end
assert(checkpoint.protos.lm and checkpoint.protos.cnn, 'it has no model in it')
print('')
print(string.format('probed %%d %%d %%s %%s', iter, words, tostring(checkpoint.val_loss_history[iter]),
  tostring(stats and stats[iter] and stats[iter].CIDEr)))
"""


def start(root, runs, gpu, memory, account):
    """Start the runs; the status of the first, with what was set aside."""
    generation = os.path.realpath(os.path.join(root, "current"))
    if not os.path.isdir(generation):
        raise StackError("nothing is installed at %s/current: run `provision site` first" % root)
    make_places(root, account)
    first = Run(root, runs[0]["id"])
    with Leases(root, account):
        plan = as_account(account, prepare, root, runs, gpu, memory, generation, packed())
        try:
            remark, process = begin(first, account, writable(root, runs), plan)
            await_file(account, process, first, os.path.join(first.path, "state.json"))
        except Exception:
            as_account(account, forget, root, runs)
            raise
    await_file(account, process, first, first.process, first.ended, meanwhile=first.log)
    said = as_account(account, begun, root, runs)
    return dict(said, remarks=[remark] * bool(remark) + (misleading() if plan["card"] else []))


def prepare(root, runs, gpu, memory, generation, code):
    """The plan of the runs, once their directories are made. StackError, and nothing made, where it cannot be."""
    check(root, runs, gpu, generation)
    first = Run(root, runs[0]["id"])
    card = take_card(gpu, memory, taken(root))
    plan = {"root": root, "generation": generation, "card": card, "runs": runs, "python": interpreter()}
    admit(root, plan, first.path)
    try:
        write_json(os.path.join(first.path, "plan.json"), plan)
        with io.open(os.path.join(first.path, CODE), "wb") as file:
            file.write(code)
    except (IOError, OSError) as error:
        forget(root, runs)
        raise StackError("%s cannot be written: %s. Nothing was started" % (first.path, error.strerror))
    return plan


def check(root, runs, gpu, generation):
    """StackError where something is not there that can be seen before a start."""
    planned = [asked["id"] for asked in runs]
    for asked in runs:
        arguments = needs_card(generation, asked["arguments"]) if gpu != "none" else asked["arguments"]
        if asked.get("parent") and asked["parent"]["id"] not in planned:
            weights_of(asked["parent"], models(Run(root, asked["parent"]["id"])))
        refuse(Run(root, asked["id"]), asked["program"], arguments, asked.get("files", []), generation)


def begun(root, runs):
    """What is said of the first run once it has begun. StackError where its conductor refused it."""
    first = Run(root, runs[0]["id"])
    reason = first.told(first.ended)
    if reason.get("by") == "refused":
        forget(root, runs)
        raise StackError(reason["evidence"])
    process, images = first.told(first.process), first.told(first.images)
    return dict(
        first.status(),
        arguments=process.get("arguments", {}),
        set_aside=images.get("set_aside", []),
        images=len(images.get("images", {})),
    )


def await_file(account, process, run, *paths, **also):
    """Wait until one of the files is there. StackError with the conductor's words where none comes.

    One that lives gets its time: to look at tens of thousands of pictures takes minutes. After a few seconds the file
    `meanwhile` will do, the log in which it says how far it is.
    """
    began = due = time.time()
    while not any(os.path.lexists(path) for path in paths):
        if time.time() > began + LOOKED and also.get("meanwhile") and os.path.lexists(also["meanwhile"]):
            return
        gone = process is not None and process.poll() is not None
        if not gone and time.time() > due + PATIENCE:
            due = time.time()
            gone = not as_account(account, is_led, run.root, run.name)
        # Once more: it may have written the file and ended since we looked.
        if gone and not any(os.path.lexists(path) for path in paths):
            said = as_account(account, last_words, run.path)
            raise StackError("run %s did not begin within %d s: %s" % (run.name, time.time() - began + 1, said))
        time.sleep(0.05)


def is_led(root, name):
    """Whether the conductor of a run lives."""
    told = Run(root, name).conductor()
    return is_alive(told.get("pid"), told.get("start"))


def last_words(directory):
    """What a conductor has left."""
    log = os.path.join(directory, "conductor.log")
    return " | ".join(log_tail(log)) if os.path.exists(log) else "it left no log"


def free_now(root, memory):
    """The cards that a run which needs so much memory (MiB) could have now. StackError where that cannot be told."""
    if not has_card():
        return []
    try:
        return free_cards(memory, cards(), processes(), taken(root))
    except ValueError as error:
        raise StackError("it cannot be told which cards are free: %s" % error)


def forget(root, runs):
    """Remove the directories of runs that never began."""
    for asked in runs:
        shutil.rmtree(Run(root, asked["id"]).path, ignore_errors=True)


def probe(run):
    """[{file, bytes, iteration, words, loss, cider}] of a run's models, each opened; `problem` where one does not."""
    generation = os.path.join(run.root, "generations", os.path.basename(run.asked()["generation"]))
    card = run.told(run.process).get("card")
    program = os.path.join(run.path, "probe.lua")
    with io.open(program, "w") as file:
        file.write(as_text(PROBE.lstrip() % {"card": "require 'cutorch' require 'cunn'" if card else ""}))
    opened = []
    for entry in checkpoints(run):
        if not entry["file"].endswith(".t7"):
            continue
        log = os.path.join(run.path, "probe.log")
        outcome = run_logged(
            with_stack(generation, ["luajit", program, entry["file"]]),
            log,
            chdir=run.work,
            environment={"CUDA_VISIBLE_DEVICES": card["uuid"] if card else ""},
            timeout=900,
        )
        words = [line.split() for line in lines_since(log, 0) if line.startswith("probed ")]
        seen = {"file": entry["file"], "bytes": entry["bytes"]}
        if outcome["rc"] or not words:
            seen["problem"] = (log_tail(log) or ["nothing was said"])[-1]
        else:
            iteration, vocabulary, loss, cider = words[-1][1:]
            seen.update(iteration=int(iteration), words=int(vocabulary), loss=number(loss), cider=number(cider))
        opened.append(seen)
    remove(program)
    return opened


def number(word):
    """A number as Lua prints it; None for nil."""
    try:
        return float(word)
    except ValueError:
        return None


def answer(wanted, dry):
    """(changed, the rest of the answer) for a state."""
    root, state = wanted["stack_root"], wanted["state"]
    starts = state in ("started", "submitted")
    account = find(wanted["user"]) if starts or are_an_accounts(root) else None
    if starts:
        if not wanted["runs"]:
            raise StackError("nothing is to be run")
        if dry:
            return True, {"run": {}}
        if state == "started":
            return True, {"run": start(root, wanted["runs"], wanted["gpu"], wanted["memory"], account)}
        make_places(root, account)
        plan = {"root": root, "runs": wanted["runs"], "gpu": wanted["gpu"], "memory": wanted["memory"]}
        return True, {"run": as_account(account, submit, plan, wanted["slurm"], packed())}
    if state == "listed":
        return False, as_account(account, listed, wanted)
    if state == "cancelled":
        return as_account(account, cancel, root, wanted["id"], dry), {"run": {"id": wanted["id"]}}
    run = Run(root, wanted["id"])
    return as_account(owner_of(run.path, account), of_one, wanted, dry)


def are_an_accounts(root):
    """Whether runs of this host belong to an account: then it has to be there also for who only asks."""
    try:
        return os.lstat(os.path.join(root, "runs")).st_gid != 0
    except OSError:
        return False


def listed(wanted):
    """Every run of the host, or all of some; what was given to Slurm, and which cards are free."""
    root = wanted["stack_root"]
    if wanted["ids"]:
        return {"runs": told(root, wanted["ids"], wanted["points"], wanted["samples"]), "queued": [], "free": []}
    free = free_now(root, wanted["memory"]) if wanted["gpu"] == "auto" else []
    return {"runs": rows(root), "queued": queued(root), "free": free}


def of_one(wanted, dry):
    """[changed, the rest of the answer] for a state of one run."""
    run, state = Run(wanted["stack_root"], wanted["id"]), wanted["state"]
    if state == "stopped":
        changed, status = stop(run, dry)
        return [changed, {"run": status}]
    if state == "followed":
        return [False, {"run": follow(run, wanted["offset"])}]
    if state == "scored":
        return [True, {"run": {"id": run.name} if dry else dict(score(run, wanted["annotations"]), id=run.name)}]
    if state == "probed":
        return [False, {"run": {"id": run.name, "models": probe(run)}}]
    return [False, {"run": dict(read_files(run, wanted["files"], wanted["most"]), id=run.name)}]


def main():
    module = AnsibleModule(
        argument_spec={
            "stack_root": {"type": "path", "required": True},
            "user": {"type": "str", "default": ""},
            "id": {"type": "str", "default": ""},
            "ids": {"type": "list", "elements": "str", "default": []},
            "runs": {"type": "list", "elements": "dict", "default": []},
            "gpu": {"type": "str", "default": "none"},
            "memory": {"type": "int", "default": 0},
            "slurm": {"type": "list", "elements": "str", "default": []},
            "offset": {"type": "int", "default": 0},
            "points": {"type": "int", "default": 300},
            "samples": {"type": "int", "default": 20},
            "files": {"type": "list", "elements": "str", "default": []},
            "most": {"type": "int", "default": 33554432},
            "annotations": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": STATES, "required": True},
        },
        required_if=[("state", state, ("id",)) for state in OF_ONE],
        supports_check_mode=True,
    )
    try:
        changed, rest = answer(module.params, module.check_mode)
    except StackError as error:
        fail_with(module, error)
    module.exit_json(changed=changed, **rest)


if __name__ == "__main__":
    main()
