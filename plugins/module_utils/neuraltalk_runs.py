# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The runs of a host as their directories tell of them: what was asked, whether it runs, what it left.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library. What a run writes of itself:

run.json      what was asked: program, arguments, parent, stage, until, conductor (a directory), generation
process.json  the process that does it, with its start and its card; only there once it began
log           what the program printed
samples       one JSON object a line: what the process took, and where (see neuraltalk_conductor)
exit          its exit code, minus the signal that ended it
ended.json    why the conductor ended it, or never began it
stopped       somebody asked for its end
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import codecs
import errno
import fcntl
import io
import json
import os
import re
import signal
import time

from ansible.module_utils.neuraltalk_stack import (
    StackError,
    file_size,
    is_alive,
    make_directory,
    read_native,
    read_text,
    write_whole,
)

CHUNK = 1 << 20
"""Bytes of a log that are told at once."""
WHOLE = 64 << 20
"""Bytes of a log that are looked through at most, from its end."""
TAIL = 8192
PATIENCE = 20.0
"""Seconds that a conductor gets to end a run before it is killed with it."""
NOISE = re.compile(r"image \S+: |evaluating (validation )?performance\.\.\.|cp \"|handling \d")
LOSS = re.compile(r"^iter (\d+): ", re.M)
ITERATION = re.compile(r"iter \d+: (\S*)")


def node():
    """What this host calls itself."""
    return os.uname()[1]


class Run(object):
    """The files of one run."""

    def __init__(self, root, name):
        self.root = root
        self.name = name
        self.path = os.path.join(root, "runs", name)
        self.work = os.path.join(self.path, "work")
        self.checkpoint = os.path.join(self.path, "checkpoint")
        self.log = os.path.join(self.path, "log")
        self.record = os.path.join(self.path, "run.json")
        self.process = os.path.join(self.path, "process.json")
        self.samples = os.path.join(self.path, "samples")
        self.exit = os.path.join(self.path, "exit")
        self.ended = os.path.join(self.path, "ended.json")
        self.stopped = os.path.join(self.path, "stopped")

    def asked(self):
        """What was asked of it. StackError where there is no such run."""
        record = read_native(self.record)
        if record is None:
            raise StackError("there is no run called %s on this host" % self.name)
        return record

    def conductor(self):
        """{pid, start, card, unit, job} of the process that conducts it, empty before that began."""
        record = read_native(self.record) or {}
        return read_native(os.path.join(record.get("conductor") or self.path, "state.json")) or {}

    def status(self):
        """What can be said of it now. Begun, not running and without an exit code means that it was killed."""
        record, leader = read_native(self.record) or {}, self.conductor()
        process = read_native(self.process) or {}
        # Where hosts share a disk, only the one that computes can tell whether it does.
        elsewhere = leader.get("node", node()) != node()
        # Asked before the code is read: a run that ends in between is not taken for a killed one.
        led = not elsewhere and is_alive(leader.get("pid"), leader.get("start"))
        alive = not elsewhere and is_alive(process.get("pid"), process.get("start"))
        code = (read_text(self.exit) or "").strip()
        over = bool(code) or os.path.exists(self.ended)
        return {
            "id": self.name,
            "path": self.path,
            "log": self.log,
            "pid": process.get("pid"),
            "begun": bool(process),
            "exit_code": int(code) if code else None,
            "running": bool(process) and not over and (led or alive),
            "waiting": not process and not over and led,
            "ended": read_native(self.ended),
            "card": process.get("card") or leader.get("card"),
            "elsewhere": leader["node"] if elsewhere else "",
            "unit": leader.get("unit"),
            "job": leader.get("job"),
            "stopped": os.path.exists(self.stopped),
            "parent": record.get("parent"),
            "stage": record.get("stage"),
            "until": record.get("until"),
            "needs": record.get("needs"),
            "sweep": record.get("sweep"),
            "conductor": record.get("conductor"),
        }

    def idle(self):
        """Whether it never began and never will: its place can be taken."""
        status = self.status()
        told = ("begun", "waiting", "running", "elsewhere")
        return status["exit_code"] is None and not any(status[word] for word in told)


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
        """{uuid: run} of the cards that runs of ours have now, or will have when their turn comes."""
        found, root = {}, os.path.dirname(self.root)
        for status in (Run(root, name).status() for name in names(root)):
            if status["card"] and (status["running"] or status["waiting"]):
                uuid = status["card"]["uuid"]
                found[uuid] = status["id"] if status["running"] else found.get(uuid, status["id"])
        return found


def names(root):
    """The ids of all runs of a host."""
    directory = os.path.join(root, "runs")
    listed = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    return [name for name in listed if os.path.exists(os.path.join(directory, name, "run.json"))]


def active_generations(root):
    """The generations that runs compute with now, or wait for."""
    found = set()
    for name in names(root):
        run = Run(root, name)
        status = run.status()
        if status["running"] or status["waiting"]:
            found.add(run.asked()["generation"])
    return found


def told(root, name, points, samples):
    """All that is said of a run at once: status, what it was asked, its log without noise, its last lines.

    Of its losses about `points` stay, evenly, and every one before something else; of what was sampled `samples`.
    """
    run = Run(root, name)
    record = run.asked()
    size = file_size(run.log)
    since = os.path.getmtime(run.log if size else run.record)
    process = read_native(run.process) or {}
    said = run.status()
    said.update((key, record[key]) for key in ("program", "arguments", "generation", "started") if key in record)
    said.update(
        silent=max(0.0, time.time() - since),
        text=digest(run.log, points),
        tail=end_of(run.log, TAIL),
        samples=thinned(sampled(run), samples),
        arguments_given=process.get("arguments"),
        begins=process.get("begins", 0),
        checkpoints=checkpoints(run),
        models=models(run),
        scorer=scorer(run),
    )
    return said


def listed(root, points, samples):
    """Every run of the host, as `told`."""
    return [told(root, name, points, samples) for name in names(root)]


def digest(log, points):
    """A log without its noise: captions and counters go, and of many losses only so many evenly stay.

    One that stands before another kind of line stays (a checkpoint is told by it), and one that is no number.
    """
    text = end_of(log, WHOLE)
    lines = [line for line in text.splitlines(True) if not NOISE.match(line)]
    losses = sum(1 for line in lines if ITERATION.match(line))
    step = max(1, -(-losses // max(1, points)))
    kept, place = [], -1
    for number, line in enumerate(lines):
        found = ITERATION.match(line)
        if found:
            place += 1
            last = number + 1 == len(lines) or not ITERATION.match(lines[number + 1])
            if not last and place % step and not re.search("nan|inf", found.group(1)):
                continue
        kept.append(line)
    return "".join(kept)


def end_of(log, size):
    """The last bytes of a log as text: what is being written may end in the middle of a line."""
    if not os.path.exists(log):
        return ""
    with io.open(log, "rb") as file:
        file.seek(max(0, os.path.getsize(log) - size))
        return file.read().decode("utf-8", "replace")


def sampled(run):
    """What was sampled of a run; a line that was cut short is left out."""
    found = []
    for line in (read_text(run.samples) or "").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def thinned(entries, most):
    """About `most` of the entries, evenly, the last ones among them."""
    step = max(1, -(-len(entries) // max(1, most)))
    return entries[::-1][::step][::-1]


def checkpoints(run):
    """[{file, bytes, modified}] of what stands where the run writes its models."""
    record = read_native(run.record) or {}
    folder = record.get("arguments", {}).get("checkpoint_path") or run.checkpoint
    mine = re.compile(re.escape("model_id%s." % run.name))
    entries = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    found = []
    for path in [os.path.join(folder, name) for name in entries if mine.match(name) and not name.endswith(".new")]:
        try:
            stat = os.stat(path)
        except OSError:
            continue  # a training replaces its models while one looks
        found.append({"file": path, "bytes": stat.st_size, "modified": stat.st_mtime})
    return found


def report_of(run):
    """What train.lua wrote beside its model; None before it did."""
    process = read_native(run.process) or {}
    folder = process.get("arguments", {}).get("checkpoint_path") or run.checkpoint
    return read_native(os.path.join(folder, "model_id%s.json" % run.name))


def models(run):
    """[{file, bytes, modified, iteration}] of the models that a run has left."""
    left = [entry for entry in checkpoints(run) if entry["file"].endswith(".t7")]
    return [dict(entry, iteration=iteration_of(run, entry["file"])) for entry in left]


def iteration_of(run, file):
    """The iteration, in its run's own count, at which a model was written; from the log, else from its report."""
    found, last = None, 0
    for line in end_of(run.log, WHOLE).splitlines():
        loss = LOSS.match(line)
        if loss:
            last = int(loss.group(1))
        elif line.startswith("wrote checkpoint to ") and line.split(" to ", 1)[1].strip() == file:
            found = last
    if found is None:
        found = (report_of(run) or {}).get("iter", 0)
    return found


def scorer(run):
    """{given, scored}: when captions were last given to the scorer and when it last wrote scores; None without."""
    given = os.path.join(run.work, "coco-caption", "val%s.json" % run.name)
    times = [os.path.getmtime(path) if os.path.exists(path) else None for path in (given, given + "_out.json")]
    return {"given": times[0], "scored": times[1]}


def wrote(run):
    """Checkpoints with their bytes, and captions under the names that the images came with."""
    process = read_native(run.process) or {}
    captions = []
    for entry in read_native(os.path.join(run.work, "vis", "vis.json")) or []:
        name = os.path.basename(entry.get("file_name", ""))
        known = process.get("images", {}).get(name, name)
        captions.append({
            "file": known, "caption": entry["caption"], "image_id": entry.get("image_id"),
            "place": os.path.join("images", name) if name in process.get("images", {}) else "",
        })  # fmt: skip
    return {"checkpoints": checkpoints(run), "captions": captions, "set_aside": process.get("set_aside", [])}


def follow(run, offset):
    """The log from `offset` on, the status, and once it ended, what it wrote."""
    run.asked()
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
    if not status["running"] and not status["waiting"]:
        status["wrote"] = wrote(run)
    return status


def stop(run, dry):
    """End the run and whatever it started; (whether there was something to end, its status).

    Its conductor ends it and goes on with what does not depend on it. One that does not is killed with it. A run
    whose turn has not come is passed over then.
    """
    run.asked()
    status = run.status()
    active = status["running"] or (status["waiting"] and not status["stopped"])
    if not active or dry:
        return active, status
    write_whole(run.stopped, "by provision\n")
    deadline = time.time() + PATIENCE
    while time.time() < deadline:
        if not run.status()["running"]:
            return True, run.status()
        time.sleep(0.1)
    for pid in (run.conductor().get("pid"), status["pid"]):
        if pid:
            signalled(pid, signal.SIGKILL)
    return True, run.status()


def signalled(group, number):
    """Send a signal to a process group; whether there was one to send it to."""
    try:
        os.killpg(group, number)
    except OSError as error:
        return error.errno != errno.ESRCH
    return True
