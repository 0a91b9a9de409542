# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What is returned about runs: rows for a list, the details of a run, the next part of its log, and its files.

A host may have thousands of runs, and logs of hundreds of megabytes. So a row needs only a few small reads, and the
size of each result is limited. Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import codecs
import os
import time

from ..pictures.headers import LOADED, Unusable
from ..rules.log import EXPLODING, Reader
from ..pictures.files import look
from ..rules import clock, run as rules
from .files import LARGEST_LIST, Run, checkpoints, names, read_object, report_of, sampled
from ..host.errors import StackError
from ..host.files import end_of, file_size, open_regular, read_native
from ..host.texts import as_text, text_of

CHUNK = 32 << 20
"""Bytes of a log that are returned at once, at most. The start of each playbook takes longer than so many bytes do."""
MOST_LOG = 64 << 20
"""Bytes at the end of a log that are read for the details of a run, at most; and its first `HEAD` bytes."""
HEAD = 1 << 16
ROW_TAIL = 1 << 16
"""Bytes at the end of a log from which a row of a list is made."""
ERROR_TAIL = 1 << 13
"""How many of them are searched for errors, line by line."""
LONGEST_WAIT, LOOK_AGAIN = 60, 0.2
"""Seconds for which the end of a run is waited for, at most, and between two looks."""
LOSS = "\niter "
TAIL = 8192
READ_SIZE = 1 << 20


def rows(root):
    """Return a row for every run of a host. If the files of a run are damaged, its row is {id, unreadable}."""
    return [or_unreadable(root, name, row) for name in names(root)]


def details(root, ids, points, samples):
    """Return the details of those of the runs `ids` that this host has."""
    return [
        or_unreadable(root, name, details_of, points, samples) for name in ids if os.path.exists(Run(root, name).record)
    ]


def or_unreadable(root, name, describe, *args):
    """Return `describe(run, *args)`, or {id, unreadable: the reason} if that fails."""
    try:
        return describe(Run(root, name), *args)
    except StackError as error:
        message = as_text(str(error))
    except Exception as error:  # whatever its files contain, the other runs are still returned
        message = "%s: %s" % (type(error).__name__, text_of(error))
    return {"id": name, "unreadable": message}


def common(run):
    """Return the fields that rows and details have in common."""
    record = run.read_request()
    result = run.status(record)
    log = run.log if file_size(run.log) else run.record
    result.update((key, record.get(key)) for key in ("program", "generation", "started", "requested"))
    result.update(silent=max(0.0, time.time() - os.path.getmtime(log)))
    return result


def row(run):
    """Return a run as a row of a list: its status, and its progress by the end of its log."""
    result = common(run)
    result.pop("requested")
    samples = sampled(run, 4096)[-3:] if result["card"] and result["running"] else []
    result["samples"] = [dict((key, entry[key]) for key in ("time", "on") if key in entry) for entry in samples]
    result["progress"] = progress_at_end(run, result)
    return result


def progress_at_end(run, result):
    """Return the progress of a run by the end of its log: the last loss, validation and scores, and errors."""
    text = end_of(run.log, ROW_TAIL)
    if len(text) < ROW_TAIL:
        text = "\n" + text  # the text begins with a complete line
    reader, error_reader = Reader(1), Reader(1)
    for line in sorted(last_of_each(text)):
        reader.feed(line[1])
    if result["exit_code"] != 0 or not reader.losses.count:
        error_reader.feed(text[-ERROR_TAIL:])
    found = (reader if reader.losses.count else error_reader).result()
    return dict(
        found,
        losses=found["losses"][-1:],
        error=error_reader.error,
        exploding=EXPLODING in text[-ERROR_TAIL:],
        backwards=None,
    )


def last_of_each(text):
    """Return [(offset, lines)] of a log's last loss, last validation and last scores, each with the loss before it."""
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


def details_of(run, points, samples):
    """Return the details of a run: status, options, progress by its whole log, samples, models and scores.

    About `points` losses and `samples` samples are returned, evenly distributed.
    """
    result, process = common(run), run.read(run.process)
    reader = read_log(run.log, points)
    result.update(
        progress=reader.result(),
        tail=end_of(run.log, TAIL),
        samples=thinned(sampled(run), samples),
        effective=process.get("effective"),
        begins=process.get("begins", 0),
        checkpoints=checkpoints(run),
        models=models(run, reader),
        scorer=scorer(run),
    )
    return result


def read_log(log, points):
    """Return a Reader that has read a log: all of it, or of a very large log the first and the last part."""
    reader = Reader(points)
    size = file_size(log)
    if not size:
        return reader
    with open_regular(log) as file:
        if size > MOST_LOG:
            reader.feed(file.read(HEAD).decode("utf-8", "replace"))
            reader.feed("\n")
            file.seek(size - MOST_LOG)
            file.readline(READ_SIZE)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for _piece in range(MOST_LOG // READ_SIZE + 1):  # the log may grow as fast as it is read
            reader.feed(decoder.decode(file.read(READ_SIZE)))
    return reader


def succeeded(run):
    """Return whether a run ended well. train.lua ends with 0 also if the loss explodes or is not a number."""
    if not rules.ended_well(run.status()):
        return False
    if run.read(run.record).get("program", "train.lua") != "train.lua":
        return True
    log = read_log(run.log, 1)
    return not log.exploding and log.not_finite is None


def thinned(entries, most):
    """Return about `most` of the entries, evenly distributed, with the last one."""
    step = max(1, -(-len(entries) // max(1, most)))
    return entries[::-1][::step][::-1]


def models(run, log=None):
    """Return [{file, bytes, modified, iteration}] of the models of a run. The iteration is counted from its own start.

    The iteration comes from its log, or else from the report beside the model. A run that was killed may have renamed
    a model without printing that. The report is written before the model, so the model is then not older than it.
    """
    beside = checkpoints(run)
    left = [entry for entry in beside if entry["file"].endswith(".t7")]
    if not left:
        return []
    log = log or read_log(run.log, 1)
    validated = log.validations.last[0] if log.validations.last else 0
    cut_off = validated > max([0] + list(log.written.values()))
    report_time = max([entry["modified"] for entry in beside if entry["file"].endswith(".json")] or [float("inf")])
    found = []
    for entry in left:
        iteration = log.written.get(as_text(entry["file"]))
        if iteration is None or (cut_off and entry["modified"] >= report_time):
            reported_iteration = (report_of(run) or {}).get("iter")
            iteration = reported_iteration if isinstance(reported_iteration, int) else iteration or 0
        found.append(dict(entry, iteration=iteration))
    return found


def scorer(run):
    """Return {given, scored}: the times when the scorer last got captions and last wrote scores; None if never."""
    given = os.path.join(run.work, "coco-caption", "val%s.json" % run.name)
    times = [os.path.getmtime(path) if os.path.exists(path) else None for path in (given, given + "_out.json")]
    return {"given": times[0], "scored": times[1]}


def results(run):
    """Return {checkpoints, captions, set_aside}; the captions have the original names of the images."""
    known = read_object(run.images, LARGEST_LIST)
    images = known.get("images") if isinstance(known.get("images"), dict) else {}
    entries = read_native(os.path.join(run.work, "vis", "vis.json"), LARGEST_LIST)
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


def follow(run, offset, wait):
    """Return the status with the log from `offset` on, at most CHUNK bytes; after the end also `wrote`, its results.

    With a negative `offset`, no log is returned. A run that has not ended is waited for, `wait` seconds at most.
    """
    run.read_request()
    status, until = run.status(), clock.seconds() + min(wait, LONGEST_WAIT)
    while (status["running"] or status["waiting"]) and clock.seconds() < until:
        time.sleep(LOOK_AGAIN)
        status = run.status()
    text, end = "", max(0, offset)
    if offset >= 0 and os.path.exists(run.log):
        with open_regular(run.log) as log:
            log.seek(offset)
            chunk = log.read(CHUNK)
        # A character that is cut at the end of a full chunk is left for the next one.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(chunk, len(chunk) < CHUNK)
        end = offset + len(chunk) - len(decoder.getstate()[0])
        status["more"] = end < os.path.getsize(run.log)
    status.update(text=text, offset=end)
    if not status["running"] and not status["waiting"] and not status.get("more"):
        status["wrote"] = results(run)
    return status


def read_files(run, wanted, most):
    """Return {files: {name: base64}, later: [name]}: files of a run up to `most` bytes, and the names that did not fit.

    A file behind a link out of the run's directory is returned only if it is a picture, so that a link to another file
    cannot be used to read that file.
    """
    run.read_request()
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
            # A file that is larger than a whole result is left out.
            later += [name] if size <= most and found else []
            continue
        with open_regular(path) as file:
            data = file.read(left)
        left -= len(data)
        found[name] = base64.b64encode(data).decode("ascii")
    return {"files": found, "later": later}


def is_picture(path):
    """Return whether a file is a picture that image.load can read."""
    try:
        return look(path)[0] in LOADED
    except Unusable:
        return False


def is_elsewhere(run, path):
    """Return whether a path leads by a link out of the run's directory, and is not that of its report."""
    real = os.path.realpath(path)
    return not real.startswith(os.path.realpath(run.path) + os.sep) and os.path.basename(path) != run.report()
