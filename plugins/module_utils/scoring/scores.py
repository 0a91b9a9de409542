# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Scores of what a run has captioned, given again or for the first time after its end.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import re
import shutil
import tempfile
import time

from ..rules import run as rules
from ..runs.launch import readable
from .scorer import (
    PROGRAM,
    SCORER,
    annotated,
    annotations_of,
    lay_out_scorer,
    parsed,
    scorer_lacks,
    scorers_python,
)
from ..host.commands import run_logged, with_stack
from ..host.errors import StackError
from ..host.files import lines_since, read_json, write_json, write_whole
from ..host.processes import is_alive, start_of
from ..host.texts import TEXT, as_native
from ..rules import layout

PRIVATE = ".score-"
LIMIT = 4 * 3600.0
"""Seconds that the scorer may take: 40,504 images of MS COCO take minutes."""
MOST = 1000000
"""How many captions of a run are scored at most."""
LONGEST = 10000
"""Characters of a caption."""
WHOLE = (int, type(1 << 70))
USED = re.compile(r"using (\d{1,12})/(\d{1,12}) predictions$")
WORDS = "ScorerError: "


def score(run, annotations=""):
    """{scores, used, of, annotations, generation, source, remarks, file} of what a run captioned; kept in scores.json.

    `annotations` is a file on this host in the form of MS COCO's; by default those that the run itself would take.
    StackError where the run still goes on, has no captions, or cannot be scored, with the scorer's own words.
    """
    asked = run.read_request()
    status = run.status(asked)
    if status["running"] or status["waiting"]:
        raise StackError("run %s is still running: wait until it has ended, or end it (provision runs stop)" % run.name)
    given = rules.effective(run.read(run.process))
    given = given if isinstance(given, dict) else rules.requested(asked) or {}
    source, captions = captioned(run, asked.get("program"), given)
    generation, remarks = generation_of(run, asked)
    if annotations:
        readable("-annotations", annotations, False)
    known = annotations or annotations_of(generation, given)
    lacks = scorer_lacks(generation, known)
    if lacks:
        raise StackError("run %s cannot be scored on this host. It lacks %s" % (run.name, "; it lacks ".join(lacks)))
    annotated(known, generation)
    try:
        told = scored(run, generation, known, captions)
        told.update(
            annotations=known, generation=os.path.basename(generation), source=source, time=int(time.time()),
            file=os.path.join(run.path, "scores.json"),
        )  # fmt: skip
        write_json(told["file"], told)
    except (IOError, OSError) as error:
        words = "run %s could not be scored: %s cannot be written: %s. Make room, then run the same command again"
        raise StackError(words % (run.name, error.filename or run.path, error.strerror))
    return dict(told, remarks=remarks)


def captioned(run, program, given):
    """(the file, [{image_id, caption}]) of the last captions of a run. StackError where there are none to be scored."""
    last = os.path.join(run.work, SCORER, "val%s.json" % run.name)  # what its own scorer was given
    if program == "train.lua":
        places = [(os.path.join(run.folder(), run.report()), "val_predictions"), (last, "val_predictions")]
    elif given.get("image_folder") and not given.get("coco_json"):
        words = "run %s captioned a folder: eval.lua numbers such pictures itself, so no annotations belong to them. "
        words += "Caption a data set (-input_h5, -input_json), or give -coco_json"
        raise StackError(words % run.name)
    else:
        places = [(os.path.join(run.work, "vis", "vis.json"), ""), (last, "val_predictions")]
    for path, key in places:
        if os.path.lexists(path):
            return path, checked(path, parsed(path, "captions"), key)
    words = "run %s has no captions: there is neither %s nor %s"
    raise StackError(words % ((run.name,) + tuple(path for path, _key in places)))


def checked(path, told, key):
    """[{image_id, caption}] of what stands in a file. StackError naming file and entry where that is something else."""
    if key:
        told = told.get(key) if isinstance(told, dict) else None
    if not isinstance(told, list) or not told:
        raise StackError("%s: there is no list of captions in it" % path)
    if len(told) > MOST:
        raise StackError("%s has %d captions, and at most %d can be scored" % (path, len(told), MOST))
    found = []
    for number, entry in enumerate(told):
        image, caption = (entry.get("image_id"), entry.get("caption")) if isinstance(entry, dict) else (None, None)
        if isinstance(image, float) and image == image and abs(image) < 1e16:
            image = int(image) if image == int(image) else None
        if not isinstance(image, WHOLE + (TEXT,)) or isinstance(image, bool):
            raise StackError("%s: entry %d has no `image_id` that is a whole number or text" % (path, number))
        if not isinstance(caption, TEXT) or len(caption) > LONGEST:
            raise StackError("%s: entry %d has no `caption` of at most %d characters" % (path, number, LONGEST))
        found.append({"image_id": image, "caption": caption})
    return found


def generation_of(run, asked):
    """(the generation to score with, remarks): the one that the run used, else the current one."""
    used = layout.generation(run.root, os.path.basename(asked["generation"]))
    if os.path.isdir(used):
        return used, []
    current = os.path.realpath(layout.current(run.root))
    if not os.path.isdir(current):
        words = "neither generation %s, which run %s used, nor a current one is on this host: run `provision site`"
        raise StackError(words % (os.path.basename(used), run.name))
    words = "generation %s, which %s used, is no longer on this host: scored with the current one, %s"
    return current, [words % (os.path.basename(used), run.name, os.path.basename(current))]


def scored(run, generation, annotations, captions):
    """{scores, used, of} as the scorer says, called in a private directory of the run's that goes afterwards."""
    sweep(run)
    private = tempfile.mkdtemp(prefix="%s%d-%s-" % (PRIVATE, os.getpid(), start_of(os.getpid())), dir=run.path)
    try:
        lay_out_scorer(generation, private, annotations)
        folder, name = os.path.join(private, SCORER), "val%s.json" % run.name
        write_whole(os.path.join(folder, name), json.dumps({"val_predictions": captions}))
        log = os.path.join(private, "log")
        outcome = run_logged(
            with_stack(generation, [scorers_python(generation), "-B", PROGRAM, name]),
            log,
            chdir=folder,
            environment={"MPLBACKEND": "Agg", "HOME": private, "TMPDIR": private},
            timeout=LIMIT,
        )
        found = told_by(os.path.join(folder, name + "_out.json"))
        said = lines_since(log, 0)[1:]
        # Written and renamed: what lies there may be a pipe, for which a writer would wait.
        kept = os.path.join(run.path, "score.log")
        write_whole(kept, "\n".join(said) + "\n")
    finally:
        shutil.rmtree(private, ignore_errors=True)
    if outcome["rc"] or not found:
        why = [line[len(WORDS) :] for line in said if line.startswith(WORDS)] or said[-1:] or ["it printed nothing"]
        if outcome["rc"] == 124:
            why = ["the scorer did not end within %d s" % LIMIT]
        raise StackError("run %s could not be scored: %s" % (run.name, as_native(why[-1])), log=kept)
    used = [USED.match(line.strip()) for line in said]
    counts = [(int(match.group(1)), int(match.group(2))) for match in used if match]
    how_many, of = counts[-1] if counts else (None, len(captions))
    return {"scores": found, "used": how_many, "of": of}


def sweep(run):
    """Remove what scorings left that were killed."""
    for name in sorted(os.listdir(run.path)):
        words = name[len(PRIVATE) :].split("-") if name.startswith(PRIVATE) else []
        if len(words) > 2 and not (words[0].isdigit() and is_alive(words[0], words[1])):
            shutil.rmtree(os.path.join(run.path, name), ignore_errors=True)


def told_by(path):
    """{name: score} of what the scorer wrote; empty where it wrote nothing, or something else."""
    found = read_json(path)
    pairs = found.items() if isinstance(found, dict) else []
    return dict((name, float(value)) for name, value in pairs if isinstance(value, (int, float)) and value - value == 0)
