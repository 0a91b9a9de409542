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
  - Images that do not load (C(._) files of a Mac, empty files, anything that is not an image) are set
    aside, because one of them ends eval.lua without naming the file.
options:
  stack_root:
    description: The directory that holds C(current) and C(runs).
    type: path
    required: true
  id:
    description: The run's id, the name of its directory; for V(followed), V(stopped), V(cancelled), V(told), V(read).
    type: str
    default: ""
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
    description: From which byte of the log on to read, for V(followed).
    type: int
    default: 0
  points:
    description: How many losses to tell of each run at most, for V(listed) and V(told).
    type: int
    default: 300
  samples:
    description: How many samples to tell of each run at most, for V(listed) and V(told).
    type: int
    default: 20
  files:
    description: Files below the run's directory that are wanted, for V(read).
    type: list
    elements: str
    default: []
  most:
    description: Bytes of files that are read at most in all, for V(read).
    type: int
    default: 33554432
  state:
    description:
      - V(started) starts them, V(submitted) gives them to Slurm.
      - V(followed) reads on in a log, V(stopped) ends a run with all its processes, V(cancelled) takes its job back.
      - V(listed) tells of every run of the host, V(told) of one, V(probed) opens its models, V(read) reads files of it.
    type: str
    choices: [started, submitted, followed, stopped, cancelled, listed, told, probed, read]
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
  description: The same of every run, with its arguments, its age, its log without noise and the end of it.
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

import base64
import io
import os
import shutil
import subprocess
import sys
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.neuraltalk_conductor import admit, pack
from ansible.module_utils.neuraltalk_gpu import cards, free_cards, misleading, output_of, processes
from ansible.module_utils.neuraltalk_launch import found, needs_card, refuse, take_card, weights_of
from ansible.module_utils.neuraltalk_runs import Leases, Run, checkpoints, follow, listed, stop, told
from ansible.module_utils.neuraltalk_slurm import cancel, queued, submit
from ansible.module_utils.neuraltalk_stack import (
    StackError,
    as_text,
    fail_with,
    lines_since,
    log_tail,
    read_json,
    remove,
    run_logged,
    with_stack,
    write_json,
)

STATES = ["started", "submitted", "followed", "stopped", "cancelled", "listed", "told", "probed", "read"]
OF_ONE = ["followed", "stopped", "cancelled", "told", "probed", "read"]
PATIENCE = 30.0
"""Seconds that a conductor gets to say that it has begun."""
SYSTEMD = "/run/systemd/system"
"""There where systemd runs the host."""
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


def start(root, runs, gpu, memory):
    """Start the runs; the status of the first, with what was set aside."""
    generation = os.path.realpath(os.path.join(root, "current"))
    if not os.path.isdir(generation):
        raise StackError("nothing is installed at %s/current: run `provision site` first" % root)
    first = Run(root, runs[0]["id"])
    with Leases(root) as leases:
        card = take_card(gpu, memory, leases) if prepared(root, runs, gpu, generation) else None
        plan = {"root": root, "generation": generation, "card": card, "runs": runs}
        admit(root, plan, first.path)
        try:
            write_json(os.path.join(first.path, "plan.json"), plan)
            pack(os.path.join(first.path, "conductor.zip"))
            remark = begin(first)
            await_file(first, os.path.join(first.path, "state.json"))
        except Exception:
            forget(root, runs)
            raise
    await_file(first, first.process, first.ended)
    reason = read_json(first.ended) or {}
    if reason.get("by") == "refused":
        forget(root, runs)
        raise StackError(reason["evidence"])
    process = read_json(first.process) or {}
    return dict(
        first.status(),
        arguments=process.get("arguments", {}),
        set_aside=process.get("set_aside", []),
        images=len(process.get("images", {})),
        remarks=[remark] * bool(remark) + (misleading() if card else []),
    )


def prepared(root, runs, gpu, generation):
    """True, once all is there that can be seen before a start. StackError where something is not."""
    planned = [asked["id"] for asked in runs]
    for asked in runs:
        arguments = needs_card(generation, asked["arguments"]) if gpu != "none" else asked["arguments"]
        if asked.get("parent") and asked["parent"]["id"] not in planned:
            weights_of(root, asked["parent"])
        refuse(Run(root, asked["id"]), asked["program"], arguments, asked.get("files", []), generation)
    return True


def begin(run):
    """Start the conductor of the plan in a run's directory, such that it outlives us; a remark, or nothing."""
    said = ""
    words = [sys.executable, os.path.join(run.path, "conductor.zip"), run.path]
    log = os.path.join(run.path, "conductor.log")
    shell = ["/bin/sh", "-c", 'log=$1; shift; exec "$@" >> "$log" 2>&1 < /dev/null', "provision-run", log] + words
    if os.path.isdir(SYSTEMD) and os.geteuid() == 0 and found("systemd-run"):
        unit = "neuraltalk-%s" % run.name
        kept = ["--setenv=%s=%s" % (name, os.environ[name]) for name in ("PATH", "HOME", "LANG") if name in os.environ]
        # One that was killed under this name, and never began a run, still has it.
        output_of(["systemctl", "reset-failed", unit])
        about = ["--description=neuraltalk-provision run %s" % run.name, "--property=KillMode=mixed"]
        argv = ["systemd-run", "--unit=" + unit] + about + kept + shell + [unit]
        said, code = output_of(argv)
        if code == 0:
            return ""
        said = "it is no unit of systemd's, but a session of its own: systemd-run said %s" % said.strip()
    subprocess.Popen(shell, preexec_fn=os.setsid, close_fds=True, cwd="/")
    return said


def await_file(run, *paths):
    """Wait until one of the files is there. StackError with the conductor's words where none comes."""
    deadline = time.time() + PATIENCE
    while not any(os.path.exists(path) for path in paths):
        if time.time() > deadline:
            log = os.path.join(run.path, "conductor.log")
            said = " | ".join(log_tail(log)) if os.path.exists(log) else "it left no log"
            raise StackError("run %s did not begin within %d s: %s" % (run.name, PATIENCE, said))
        time.sleep(0.05)


def free_now(root, memory):
    """The cards that a run which needs so much memory (MiB) could have now."""
    try:
        with Leases(root) as leases:
            return free_cards(memory, cards(), processes(), leases.taken())
    except ValueError:
        return []


def forget(root, runs):
    """Remove the directories of runs that never began."""
    for asked in runs:
        shutil.rmtree(Run(root, asked["id"]).path, ignore_errors=True)


def probe(run):
    """[{file, bytes, iteration, words, loss, cider}] of a run's models, each opened; `problem` where one does not."""
    generation = os.path.join(run.root, "generations", run.asked()["generation"])
    process = read_json(run.process) or {}
    card = process.get("card")
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


def read_files(run, names, most):
    """{name: base64} of files below a run's directory, as many as fit into `most` bytes."""
    run.asked()
    place, left, found_files = os.path.realpath(run.path), most, {}
    for name in names:
        path = os.path.join(place, name)
        inside = os.path.normpath(path).startswith(place + os.sep)
        if not inside or not os.path.isfile(path) or os.path.getsize(path) > left:
            continue
        with io.open(path, "rb") as file:
            data = file.read()
        left -= len(data)
        found_files[name] = base64.b64encode(data).decode("ascii")
    return found_files


def answer(wanted, check):
    """(changed, the rest of the answer) for a state."""
    root, state = wanted["stack_root"], wanted["state"]
    if state in ("started", "submitted"):
        if not wanted["runs"]:
            raise StackError("nothing is to be run")
        if check:
            return True, {"run": {}}
        if state == "started":
            return True, {"run": start(root, wanted["runs"], wanted["gpu"], wanted["memory"])}
        plan = {"root": root, "runs": wanted["runs"], "gpu": wanted["gpu"], "memory": wanted["memory"]}
        return True, {"run": submit(plan, wanted["slurm"])}
    if state == "listed":
        free = free_now(root, wanted["memory"]) if wanted["gpu"] == "auto" else []
        return False, {"runs": listed(root, wanted["points"], wanted["samples"]), "queued": queued(root), "free": free}
    run = Run(root, wanted["id"])
    if state == "stopped":
        changed, status = stop(run, check)
        return changed, {"run": status}
    if state == "cancelled":
        return cancel(root, wanted["id"], check), {"run": {"id": wanted["id"]}}
    if state == "followed":
        return False, {"run": follow(run, wanted["offset"])}
    if state == "told":
        return False, {"run": told(root, wanted["id"], wanted["points"], wanted["samples"])}
    if state == "probed":
        return False, {"run": {"id": run.name, "models": probe(run)}}
    return False, {"run": {"id": run.name, "files": read_files(run, wanted["files"], wanted["most"])}}


def main():
    module = AnsibleModule(
        argument_spec={
            "stack_root": {"type": "path", "required": True},
            "id": {"type": "str", "default": ""},
            "runs": {"type": "list", "elements": "dict", "default": []},
            "gpu": {"type": "str", "default": "none"},
            "memory": {"type": "int", "default": 0},
            "slurm": {"type": "list", "elements": "str", "default": []},
            "offset": {"type": "int", "default": 0},
            "points": {"type": "int", "default": 300},
            "samples": {"type": "int", "default": 20},
            "files": {"type": "list", "elements": "str", "default": []},
            "most": {"type": "int", "default": 33554432},
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
