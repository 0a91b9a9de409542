#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: stack_run
short_description: Start train.lua or eval.lua in a directory of its own, and follow it
description:
  - The run gets a working directory of links to neuraltalk2, so that nothing that it writes (vis/,
    C(prototxt).lua, checkpoints) meets another run's. It has a session of its own and outlives the
    connection; its exit code is written beside its log.
  - Images that do not load (C(._) files of a Mac, empty files, anything that is not an image) are set
    aside, because one of them ends eval.lua without naming the file.
options:
  stack_root:
    description: The directory that holds C(current) and C(runs).
    type: path
    required: true
  id:
    description: The run's id, the name of its directory; needed for all states but V(listed).
    type: str
    default: ""
  program:
    description: Which program, for V(started).
    type: str
    choices: [train.lua, eval.lua]
    default: train.lua
  arguments:
    description: Option and value of the program, for V(started).
    type: dict
    default: {}
  files:
    description: Names of O(arguments) that are files or folders on the host, and have to be there.
    type: list
    elements: str
    default: []
  gpu:
    description:
      - The one card that the run sees. V(auto) is one that is free, else an index or a UUID; V(none) is for a run on
        the processor. No two runs get the same one.
    type: str
    default: none
  memory:
    description: MiB that have to be free on the card.
    type: int
    default: 0
  offset:
    description: From which byte of the log on to read, for V(followed).
    type: int
    default: 0
  state:
    description:
      - V(started) starts it, V(followed) reads on in its log, V(stopped) ends it with all its processes.
      - V(listed) tells of every run of the host, with the end of each log.
    type: str
    choices: [started, followed, stopped, listed]
    required: true
author: the neuraltalk-provision authors
"""

EXAMPLES = r"""
- name: Caption a folder
  stack_run:
    stack_root: /opt/neuraltalk
    id: captions-1
    program: eval.lua
    arguments: {model: /data/model.t7, image_folder: /data/images}
    files: [model, image_folder]
    state: started
"""

RETURN = r"""
run:
  description: The run's directory, log, whether it runs, its exit code, and what it wrote.
  returned: for all states but V(listed)
  type: dict
runs:
  description: The same of every run, with its arguments, its age and the end of its log.
  returned: for V(listed)
  type: list
"""

import codecs
import errno
import fcntl
import glob
import io
import os
import re
import shutil
import signal
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.neuraltalk_gpu import cards, choose_card, misleading, processes
from ansible.module_utils.neuraltalk_stack import (
    StackError,
    fail_with,
    is_alive,
    make_directory,
    read_json,
    read_stamps,
    read_text,
    start_of,
    with_stack,
    write_json,
    write_whole,
)

CHUNK = 65536
PATIENCE = 10.0
"""Seconds that processes get to end by themselves before they are killed."""
STATES = ["started", "followed", "stopped", "listed"]
LINKED = ("train.lua", "eval.lua", "misc", "coco-caption")
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"P6", b"P5")
LOOKS_LIKE_IMAGE = re.compile(r"\.(jpe?g|png|ppm)$", re.I)
# $1 is the run's directory. `exit` is renamed into place, so that it is never half written.
# Nothing runs that is not on record: without one within 10 s whoever started it is gone.
SUPERVISOR = """cd "$1" || exit 1
shift
patience=100
while ! test -f run.json; do
    patience=$((patience - 1))
    test $patience -gt 0 || exit 1
    sleep 0.1
done
(cd work && exec "$@") > log 2>&1 < /dev/null
echo $? > exit.new
mv exit.new exit
"""


class Run(object):
    """The files of one run."""

    def __init__(self, root, name):
        self.name = name
        self.generation = os.path.join(root, "current")
        self.path = os.path.join(root, "runs", name)
        self.work = os.path.join(self.path, "work")
        self.log = os.path.join(self.path, "log")
        self.record = os.path.join(self.path, "run.json")

    def status(self):
        """What can be said of it now; not running without an exit code means that it was killed."""
        record = read_json(self.record) or {}
        # Asked before the code is read: a run that ends in between is not taken for a killed one.
        running = is_alive(record.get("pid"), record.get("start"))
        code = (read_text(os.path.join(self.path, "exit")) or "").strip()
        return {
            "id": self.name,
            "path": self.path,
            "log": self.log,
            "pid": record.get("pid"),
            "exit_code": int(code) if code else None,
            "running": running and not code,
            "card": record.get("card"),
            "stopped": os.path.exists(os.path.join(self.path, "stopped")),
        }


def usable(path):
    """None for a file that image.load reads, else the reason why not."""
    try:
        with io.open(path, "rb") as file:
            head = file.read(8)
    except (IOError, OSError) as error:
        return "it cannot be read: %s" % error.strerror
    if not head:
        return "it is empty"
    if head.startswith((b"\x00\x05\x16\x07", b"\x00\x05\x16\x00")):
        return "it is an AppleDouble file, which a Mac leaves beside the real one"
    if not head.startswith(MAGIC):
        return "it starts with %s, which no JPEG, PNG or PPM does" % " ".join(
            "%02x" % byte for byte in bytearray(head[:4])
        )
    return None


def link_images(folder, target):
    """Link every usable image of `folder` under a plain name; ({name: file}, [{file, reason}])."""
    make_directory(target)
    names, aside = {}, []
    for file in sorted(os.listdir(folder)):
        path = os.path.join(folder, file)
        if not LOOKS_LIKE_IMAGE.search(file) or not os.path.isfile(path):
            continue
        reason = usable(path)
        if reason:
            aside.append({"file": file, "reason": reason})
            continue
        name = "%06d%s" % (len(names) + 1, os.path.splitext(file)[1].lower())
        os.symlink(path, os.path.join(target, name))
        names[name] = file
    if not names:
        raise StackError("%s holds no image that can be read (%d set aside)" % (folder, len(aside)))
    return names, aside


def lay_out(run, arguments, program):
    """Make the run's directory; (arguments as the program gets them, images, set aside)."""
    source = os.path.join(os.path.realpath(run.generation), "neuraltalk2")
    make_directory(os.path.join(run.work, "vis", "imgs"))
    make_directory(os.path.join(run.work, "model"))
    make_directory(os.path.join(run.path, "checkpoint"))
    for name in LINKED:
        if os.path.exists(os.path.join(source, name)):
            os.symlink(os.path.join(source, name), os.path.join(run.work, name))
    given, images, aside = dict(arguments), {}, []
    if program == "train.lua":
        given.setdefault("checkpoint_path", os.path.join(run.path, "checkpoint"))
        model = os.path.join(source, "model")
        given.setdefault("cnn_proto", os.path.join(model, "VGG_ILSVRC_16_layers_deploy.prototxt"))
        given.setdefault("cnn_model", os.path.join(model, "VGG_ILSVRC_16_layers.caffemodel"))
        for option in ("cnn_proto", "cnn_model"):
            if not os.path.isfile(given[option]):
                raise StackError("%s: there is no such file for -%s" % (given[option], option))
        # loadcaffe writes <prototxt>.lua beside the prototxt: that has to be this run's own.
        own = os.path.join(run.work, "model", os.path.basename(given["cnn_proto"]))
        shutil.copyfile(given["cnn_proto"], own)
        given["cnn_proto"] = own
    elif given.get("image_folder"):
        images, aside = link_images(given["image_folder"], os.path.join(run.path, "images"))
        given["image_folder"] = os.path.join(run.path, "images")
        given.setdefault("num_images", len(images))
        given["dump_path"] = 1
    given.setdefault("id", run.name)
    return given, images, aside


class Leases(object):
    """Which run has which card of this host; held while one is chosen and started, so that no two take the same."""

    def __init__(self, root):
        self.root = os.path.join(root, "runs")
        make_directory(self.root)

    def __enter__(self):
        self.file = io.open(os.path.join(self.root, ".leases"), "a")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_error):
        self.file.close()

    def taken(self):
        """{uuid: run} of the cards on which runs of ours compute now."""
        found = {}
        for path in glob.glob(os.path.join(self.root, "*", "run.json")):
            record = read_json(path) or {}
            if record.get("card") and is_alive(record.get("pid"), record.get("start")):
                found[record["card"]["uuid"]] = record["id"]
        return found


def take_card(run, gpu, memory, arguments, leases):
    """(the card or None, the arguments with -gpuid and -backend): one card is made visible, and it is the first."""
    if gpu == "none":
        return None, arguments
    stamps = read_stamps(os.path.realpath(run.generation))
    if "cutorch" not in stamps:
        raise StackError("what is installed here was built without a card: there is no cutorch in it. Use --gpu none")
    backend = arguments.get("backend") or ("cudnn" if "cudnn-rock" in stamps else "nn")
    if backend == "cudnn" and "cudnn-rock" not in stamps:
        raise StackError("-backend cudnn: the cudnn rock is not installed here. Leave it out, or say -backend nn")
    try:
        card = choose_card(gpu, memory, cards(), processes(), leases.taken())
    except ValueError as error:
        raise StackError("no card for this run: %s" % error)
    return card, dict(arguments, gpuid="0", backend=backend)


def start(run, program, arguments, files, gpu, memory):
    """Start the run; its status, with what was set aside."""
    if not os.path.isdir(run.generation):
        raise StackError("nothing is installed at %s: run `provision site` first" % run.generation)
    for option in files:
        if not os.path.exists(arguments[option]):
            raise StackError("-%s %s: there is no such file on this host" % (option, arguments[option]))
    with Leases(os.path.dirname(run.generation)) as leases:
        card, arguments = take_card(run, gpu, memory, arguments, leases)
        return launch(run, program, arguments, card)


def launch(run, program, arguments, card):
    """Lay the run out and start it on that card, or on the processor; its status, with what was set aside."""
    make_directory(os.path.dirname(run.path))
    try:
        os.mkdir(run.path)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
        raise StackError("there is a run called %s on this host already: choose another id" % run.name)
    try:
        given, images, aside = lay_out(run, arguments, program)
    except Exception:
        shutil.rmtree(run.path, ignore_errors=True)
        raise
    argv = with_stack(os.path.realpath(run.generation), ["th", program])
    for option in sorted(given):
        argv += ["-" + option, str(given[option])]
    process = subprocess.Popen(
        ["/bin/sh", "-c", SUPERVISOR, "provision-run", run.path] + argv,
        preexec_fn=os.setsid,
        close_fds=True,
        stdin=io.open(os.devnull, "rb"),
        stdout=io.open(os.devnull, "wb"),
        stderr=subprocess.STDOUT,
        # cutorch opens a context on every card that it sees, whatever -gpuid says.
        env=dict(os.environ, TERM="dumb", CUDA_VISIBLE_DEVICES=card["uuid"] if card else ""),
    )
    try:
        write_json(
            run.record,
            {
                "id": run.name, "program": program, "arguments": given, "pid": process.pid,
                "start": start_of(process.pid), "started": int(time.time()), "images": images, "card": card,
                "set_aside": aside, "generation": os.path.basename(os.path.realpath(run.generation)),
            },
        )  # fmt: skip
    except (IOError, OSError) as error:
        signalled(process.pid, signal.SIGKILL)
        shutil.rmtree(run.path, ignore_errors=True)
        raise StackError("%s cannot be written: %s. Nothing was started" % (run.record, error.strerror))
    remarks = misleading() if card else []
    return dict(run.status(), running=True, arguments=given, set_aside=aside, images=len(images), remarks=remarks)


def follow(run, offset):
    """The log from `offset` on, the status, and once it ended, what it wrote."""
    if not os.path.isdir(run.path):
        raise StackError("there is no run called %s on this host" % run.name)
    status = run.status()
    text, end = "", offset
    if os.path.exists(run.log):
        with io.open(run.log, "rb") as log:
            log.seek(offset)
            chunk = log.read(CHUNK)
        # What a full chunk cuts in two is left for the next one.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(chunk, len(chunk) < CHUNK)
        end = offset + len(chunk) - len(decoder.getstate()[0])
        status["more"] = end < os.path.getsize(run.log)
    status.update(text=text, offset=end)
    if not status["running"]:
        status["wrote"] = wrote(run)
    return status


def listed(root):
    """Every run of the host: its status, what it was asked, how long its log has been silent, and its log's end."""
    directory, runs = os.path.join(root, "runs"), []
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        run = Run(root, name)
        record = read_json(run.record)
        if record is None:
            continue
        size = os.path.getsize(run.log) if os.path.exists(run.log) else 0
        runs.append(
            dict(
                run.status(),
                program=record["program"],
                arguments=record["arguments"],
                started=record.get("started", 0),
                generation=record["generation"],
                silent=max(0.0, time.time() - os.path.getmtime(run.log if size else run.record)),
                tail=end_of(run.log, size),
            )
        )
    return runs


def end_of(log, size):
    """The last of a log as it is: what is being written may end in the middle of a line."""
    if not size:
        return ""
    with io.open(log, "rb") as file:
        file.seek(max(0, size - CHUNK))
        return file.read().decode("utf-8", "replace")


def stop(run, dry):
    """End the run and whatever it started; (whether there was something to end, its status)."""
    status = run.status()
    if status["pid"] is None:
        raise StackError("there is no run called %s on this host" % run.name)
    if not status["running"] or dry:
        return status["running"], status
    write_whole(os.path.join(run.path, "stopped"), "by provision\n")
    for number, patience in ((signal.SIGTERM, PATIENCE), (signal.SIGKILL, PATIENCE)):
        deadline = time.time() + patience
        while signalled(status["pid"], number) and time.time() < deadline:
            time.sleep(0.1)
    return True, run.status()


def signalled(group, number):
    """Send a signal to a process group; whether there was one to send it to."""
    try:
        os.killpg(group, number)
    except OSError as error:
        return error.errno != errno.ESRCH
    return True


def wrote(run):
    """Checkpoints with their bytes, and captions under the names that the images came with."""
    folder = os.path.join(run.path, "checkpoint")
    checkpoints = [
        {"file": os.path.join(folder, name), "bytes": os.path.getsize(os.path.join(folder, name))}
        for name in sorted(os.listdir(folder))
    ]
    record = read_json(run.record) or {}
    captions = []
    for entry in read_json(os.path.join(run.work, "vis", "vis.json")) or []:
        name = os.path.basename(entry.get("file_name", ""))
        captions.append({"file": record.get("images", {}).get(name, name), "caption": entry["caption"]})
    return {"checkpoints": checkpoints, "captions": captions, "set_aside": record.get("set_aside", [])}


def main():
    module = AnsibleModule(
        argument_spec={
            "stack_root": {"type": "path", "required": True},
            "id": {"type": "str", "default": ""},
            "program": {"type": "str", "choices": ["train.lua", "eval.lua"], "default": "train.lua"},
            "arguments": {"type": "dict", "default": {}},
            "files": {"type": "list", "elements": "str", "default": []},
            "gpu": {"type": "str", "default": "none"},
            "memory": {"type": "int", "default": 0},
            "offset": {"type": "int", "default": 0},
            "state": {"type": "str", "choices": STATES, "required": True},
        },
        required_if=[("state", state, ("id",)) for state in STATES if state != "listed"],
        supports_check_mode=True,
    )
    wanted = module.params
    run = Run(wanted["stack_root"], wanted["id"])
    try:
        if wanted["state"] == "listed":
            module.exit_json(changed=False, runs=listed(wanted["stack_root"]))
        if wanted["state"] == "stopped":
            changed, status = stop(run, module.check_mode)
            module.exit_json(changed=changed, run=status)
        if wanted["state"] == "followed":
            module.exit_json(changed=False, run=follow(run, wanted["offset"]))
        if module.check_mode:
            module.exit_json(changed=True, run=run.status())
        started = start(run, wanted["program"], wanted["arguments"], wanted["files"], wanted["gpu"], wanted["memory"])
        module.exit_json(changed=True, run=started)
    except StackError as error:
        fail_with(module, error)


if __name__ == "__main__":
    main()
