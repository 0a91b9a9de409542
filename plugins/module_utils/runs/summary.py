# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What is told of runs: a row of each for a list, all of one, the next piece of its log, and files that it wrote.

A host may have thousands of runs and logs of hundreds of megabytes: a row costs a few small reads, and whatever is
told has a bound. Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import codecs
import io
import os
import time

from ..pictures.headers import LOADED, Unusable
from ..rules.log import EXPLODING, Reader
from ..rules import run as rules
from ..pictures.files import look
from .files import Run, checkpoints, end_of, names, report_of, sampled
from ..host.errors import StackError
from ..host.files import file_size, read_native
from ..host.texts import as_text

CHUNK = 16 << 20
"""Bytes of a log that are told at once."""
WHOLE = 64 << 20
"""Bytes of a log that are read at most for what is told of a run, from its end; its first `HEAD` bytes besides."""
HEAD = 1 << 16
GLANCE = 1 << 16
"""Bytes of a log's end that a row of a list is made from."""
CLOSER = 1 << 13
"""Of these, how many are read line by line."""
LOSS = "\niter "
TAIL = 8192
PIECE = 1 << 20


def rows(root):
    """A row of every run of a host. A run whose files are damaged has a row that says so."""
    return [guarded(root, name, row) for name in names(root)]


def told(root, wanted, points, samples):
    """All that is said of the runs of these ids that this host has."""
    return [guarded(root, name, whole, points, samples) for name in wanted if os.path.exists(Run(root, name).record)]


def guarded(root, name, tell, *more):
    """What `tell` says of a run, or in words why nothing can be said: {id, unreadable}."""
    try:
        return tell(Run(root, name), *more)
    except StackError as error:
        words = as_text(str(error))
    except Exception as error:  # whatever stands in its files: the list of the others is not lost by it
        words = "%s: %s" % (type(error).__name__, error)
    return {"id": name, "unreadable": words}


def base(run):
    """What rows and whole accounts have in common."""
    record = run.asked()
    said = run.status(record)
    log = run.log if file_size(run.log) else run.record
    said.update((key, record.get(key)) for key in ("program", "generation", "started"))
    said["requested"] = rules.requested(record)
    said.update(silent=max(0.0, time.time() - os.path.getmtime(log)))
    return said


def row(run):
    """A run in a list: its state, and how far it got by the end of its log."""
    said = base(run)
    said.pop("requested")
    seen = sampled(run, 4096)[-3:] if said["card"] and said["running"] else []
    said["samples"] = [dict((key, entry[key]) for key in ("time", "on") if key in entry) for entry in seen]
    said["progress"] = glance(run, said)
    return said


def glance(run, said):
    """How far a run got, by the end of its log: its last loss, validation and scores, and what went wrong."""
    text = end_of(run.log, GLANCE)
    if len(text) < GLANCE:
        text = "\n" + text  # its first line is whole
    reader, closer = Reader(1), Reader(1)
    for line in sorted(last_of_each(text)):
        reader.feed(line[1])
    if said["exit_code"] != 0 or not reader.losses.count:
        closer.feed(text[-CLOSER:])
    seen = (reader if reader.losses.count else closer).result()
    return dict(
        seen,
        losses=seen["losses"][-1:],
        error=closer.error,
        exploding=EXPLODING in text[-CLOSER:],
        backwards=None,
    )


def last_of_each(text):
    """[(where, lines)] of a log's last loss, last validation and last scores, each with the loss before it."""
    found = []
    for mark, end in ((LOSS, "\n"), ("\nvalidation loss:", "\n"), ("\n{\n", "\n}\n")):
        place = text.rfind(mark, 0, max(0, text.rfind(end)))
        if place < 0:
            continue
        found.append((place, text[place + 1 : place + 4096].partition(end)[0] + end))
        before = text.rfind(LOSS, 0, place) if mark != LOSS else -1
        if before >= 0:
            found.append((before, text[before + 1 : before + 4096].partition("\n")[0] + "\n"))
    return found


def whole(run, points, samples):
    """All of a run: its row, what was asked and given, its log read, its end, its samples, models and scores.

    Of its losses about `points` are told, evenly, of what was sampled `samples`.
    """
    said, process = base(run), run.told(run.process)
    reader = read_log(run.log, points)
    said.update(
        progress=reader.result(),
        tail=end_of(run.log, TAIL),
        samples=thinned(sampled(run), samples),
        effective=rules.effective(process),
        begins=process.get("begins", 0),
        checkpoints=checkpoints(run),
        models=models(run, reader),
        scorer=scorer(run),
    )
    return said


def read_log(log, points):
    """A log as a Reader leaves it: its beginning, and of a very large one the last part."""
    reader = Reader(points)
    size = file_size(log)
    if not size:
        return reader
    with io.open(log, "rb") as file:
        if size > WHOLE:
            reader.feed(file.read(HEAD).decode("utf-8", "replace"))
            reader.feed("\n")
            file.seek(size - WHOLE)
            file.readline(PIECE)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for piece in iter(lambda: file.read(PIECE), b""):
            reader.feed(decoder.decode(piece))
    return reader


def thinned(entries, most):
    """About `most` of the entries, evenly, the last ones among them."""
    step = max(1, -(-len(entries) // max(1, most)))
    return entries[::-1][::step][::-1]


def models(run, log=None):
    """[{file, bytes, modified, iteration}] of the models that a run has left, the iteration in its own count.

    The iteration is by its log; where that does not tell it, by the report that lies beside the model. A run that was
    killed may have renamed a model and not have said so: the report, which is written before, is then not younger.
    """
    beside = checkpoints(run)
    left = [entry for entry in beside if entry["file"].endswith(".t7")]
    if not left:
        return []
    log = log or read_log(run.log, 1)
    validated = log.validations.last[0] if log.validations.last else 0
    cut_off = validated > max([0] + list(log.written.values()))
    reported = max([entry["modified"] for entry in beside if entry["file"].endswith(".json")] or [float("inf")])
    found = []
    for entry in left:
        iteration = log.written.get(as_text(entry["file"]))
        if iteration is None or (cut_off and entry["modified"] >= reported):
            told_by = (report_of(run) or {}).get("iter")
            iteration = told_by if isinstance(told_by, int) else iteration or 0
        found.append(dict(entry, iteration=iteration))
    return found


def scorer(run):
    """{given, scored}: when captions were last given to the scorer and when it last wrote scores; None without."""
    given = os.path.join(run.work, "coco-caption", "val%s.json" % run.name)
    times = [os.path.getmtime(path) if os.path.exists(path) else None for path in (given, given + "_out.json")]
    return {"given": times[0], "scored": times[1]}


def wrote(run):
    """Checkpoints with their bytes, and captions under the names that the images came with."""
    known = run.told(run.images)
    images = known.get("images") if isinstance(known.get("images"), dict) else {}
    entries = read_native(os.path.join(run.work, "vis", "vis.json"))
    captions = []
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict):
            continue
        name = os.path.basename(str(entry.get("file_name", "")))
        captions.append({
            "file": images.get(name, name), "caption": str(entry.get("caption", "")), "image_id": entry.get("image_id"),
            "place": os.path.join("images", name) if name in images else "",
        })  # fmt: skip
    return {"checkpoints": checkpoints(run), "captions": captions, "set_aside": known.get("set_aside", [])}


def follow(run, offset):
    """The log from `offset` on, up to a bound, the status, and once it ended, what it wrote.

    With a negative `offset` nothing of the log, for who wants to know what it wrote.
    """
    run.asked()
    status = run.status()
    text, end = "", max(0, offset)
    if offset >= 0 and os.path.exists(run.log):
        with io.open(run.log, "rb") as log:
            log.seek(offset)
            chunk = log.read(CHUNK)
        # What a full chunk cuts in two is left for the next one.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(chunk, len(chunk) < CHUNK)
        end = offset + len(chunk) - len(decoder.getstate()[0])
        status["more"] = end < os.path.getsize(run.log)
    status.update(text=text, offset=end)
    if not status["running"] and not status["waiting"] and not status.get("more"):
        status["wrote"] = wrote(run)
    return status


def read_files(run, wanted, most):
    """{name: base64} of files of a run, as many as fit into `most` bytes, and of these the names that were left.

    Of what it links to, only pictures are told: whoever exchanged one for something else gains nothing.
    """
    run.asked()
    found = {}  # type: dict[str, str]
    later = []  # type: list[str]
    left = most
    for name in wanted:
        path = run.place(name)
        if later:
            later.append(name)
            continue
        if path is None or not os.path.isfile(path) or (is_elsewhere(run, path) and not is_picture(path)):
            continue
        size = os.path.getsize(path)
        if size > left:
            # What does not fit into an answer of its own is not told at all.
            later += [name] if size <= most and found else []
            continue
        with io.open(path, "rb") as file:
            data = file.read(left)
        left -= len(data)
        found[name] = base64.b64encode(data).decode("ascii")
    return {"files": found, "later": later}


def is_picture(path):
    """Whether a file is a picture of a kind that can have been captioned."""
    try:
        return look(path)[0] in LOADED
    except Unusable:
        return False


def is_elsewhere(run, path):
    """Whether a file is reached by a link that leads out of the run's directory, and is not its report."""
    real = os.path.realpath(path)
    return not real.startswith(os.path.realpath(run.path) + os.sep) and os.path.basename(path) != run.report()
