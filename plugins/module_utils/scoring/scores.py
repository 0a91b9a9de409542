# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Computes scores for the captions of a run after its end, again or for the first time.

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

from ..runs.launch import readable
from .scorer import (
    PROGRAM,
    SCORER,
    WHOLE,
    annotated,
    annotations_of,
    lay_out_scorer,
    parsed,
    scorer_lacks,
    scorers_python,
)
from ..host.commands import run_logged, with_stack
from ..host.errors import StackError
from ..host.files import lines_since, read_json, remove_remains, write_json, write_whole
from ..host.origin import origin
from ..host.processes import is_alive, start_of
from ..host.texts import TEXT, as_native
from ..rules import codes, layout

PRIVATE = ".score-"
LIMIT = 4 * 3600.0
"""Seconds that the scorer may take. The 40,504 images of MS COCO take minutes."""
MOST = 1000000
"""Captions of a run that are scored, at most."""
LONGEST = 10000
"""Characters of a caption."""
USED = re.compile(r"using (\d{1,12})/(\d{1,12}) predictions$")
ERROR_PREFIX = "ScorerError: "


def score(run, annotations=""):
    """Return {scores, used, of, annotations, generation, source, remarks, file} of a run, and write scores.json.

    `annotations` is a file on this host in the form of MS COCO's; by default the one that the run itself would use.
    StackError if the run has not ended, has no captions, or cannot be scored; then with the scorer's message.
    """
    request = run.read_request()
    status = run.status(request)
    if status["running"] or status["waiting"]:
        raise StackError("run %s is still running: wait until it has ended, or end it (provision runs stop)" % run.name)
    given = run.read(run.process).get("effective")
    given = given if isinstance(given, dict) else request.get("requested") or {}
    source, captions = captioned(run, request.get("program"), given)
    generation, remarks = generation_of(run, request)
    if annotations:
        readable("-annotations", annotations, False)
    known = annotations or annotations_of(generation, given)
    lacks = scorer_lacks(generation, known)
    if lacks:
        raise StackError("run %s cannot be scored on this host. It lacks %s" % (run.name, "; it lacks ".join(lacks)))
    annotated(known, generation)
    try:
        result = scored(run, generation, known, captions)
        result.update(
            annotations=known, generation=os.path.basename(generation), source=source, time=int(time.time()),
            file=os.path.join(run.path, "scores.json"),
        )  # fmt: skip
        write_json(result["file"], result)
    except (IOError, OSError) as error:
        message = "run %s could not be scored: %s: %s" % (run.name, error.filename or run.path, error.strerror)
        raise StackError(message, code=codes.of_errno(error.errno))
    return dict(result, remarks=remarks)


def captioned(run, program, given):
    """Return (path, [{image_id, caption}]) of the last captions of a run. StackError if there are none to score."""
    last = os.path.join(run.work, SCORER, "val%s.json" % run.name)  # what its own scorer was given
    if program == "train.lua":
        places = [(os.path.join(run.folder(), run.report()), "val_predictions"), (last, "val_predictions")]
    elif given.get("image_folder") and not given.get("coco_json"):
        message = "run %s captioned a folder: eval.lua numbers such pictures itself, so no annotations belong to them. "
        message += "Caption a data set (-input_h5, -input_json), or give -coco_json"
        raise StackError(message % run.name)
    else:
        places = [(os.path.join(run.work, "vis", "vis.json"), ""), (last, "val_predictions")]
    for path, key in places:
        if os.path.lexists(path):
            return path, checked(path, parsed(path, "captions"), key)
    message = "run %s has no captions: there is neither %s nor %s"
    raise StackError(message % ((run.name,) + tuple(path for path, _key in places)))


def checked(path, content, key):
    """Return the [{image_id, caption}] in the content of a file. StackError with file and entry if it is invalid."""
    if key:
        content = content.get(key) if isinstance(content, dict) else None
    if not isinstance(content, list) or not content:
        raise StackError("%s: there is no list of captions in it" % path)
    if len(content) > MOST:
        raise StackError("%s has %d captions, and at most %d can be scored" % (path, len(content), MOST))
    found = []
    for number, entry in enumerate(content):
        image, caption = (entry.get("image_id"), entry.get("caption")) if isinstance(entry, dict) else (None, None)
        if isinstance(image, float) and image == image and abs(image) < 1e16:
            image = int(image) if image == int(image) else None
        if not isinstance(image, WHOLE + (TEXT,)) or isinstance(image, bool):
            raise StackError("%s: entry %d has no `image_id` that is a whole number or text" % (path, number))
        if not isinstance(caption, TEXT) or len(caption) > LONGEST:
            raise StackError("%s: entry %d has no `caption` of at most %d characters" % (path, number, LONGEST))
        found.append({"image_id": image, "caption": caption})
    return found


def generation_of(run, request):
    """Return (generation to score with, remarks): the generation that the run used, else the current one."""
    used = layout.generation(run.root, os.path.basename(request["generation"]))
    if os.path.isdir(used):
        return used, []
    current = os.path.realpath(layout.current(run.root))
    if not os.path.isdir(current):
        message = "neither generation %s, which run %s used, nor a current one is on this host: run `provision site`"
        raise StackError(message % (os.path.basename(used), run.name))
    message = "generation %s, which %s used, is no longer on this host: scored with the current one, %s"
    return current, [message % (os.path.basename(used), run.name, os.path.basename(current))]


def scored(run, generation, annotations, captions):
    """Return {scores, used, of} from the scorer, which is called in a temporary directory of the run."""
    remove_leftovers(run)
    parts = (PRIVATE, os.getpid(), start_of(os.getpid()), boot())
    private = tempfile.mkdtemp(prefix="%s%d-%s-%s-" % parts, dir=run.path)
    try:
        lay_out_scorer(generation, private, annotations)
        folder, name = os.path.join(private, SCORER), "val%s.json" % run.name
        write_whole(os.path.join(folder, name), json.dumps({"val_predictions": captions}))
        log = os.path.join(private, "log")
        # Java can be anywhere on the PATH of the login.
        path = os.environ.get("PATH", os.defpath)
        outcome = run_logged(
            with_stack(generation, [scorers_python(generation), "-B", PROGRAM, name]),
            log,
            chdir=folder,
            environment={"MPLBACKEND": "Agg", "HOME": private, "TMPDIR": private, "PATH": path},
            timeout=LIMIT,
        )
        found = read_scores(os.path.join(folder, name + "_out.json"))
        output = lines_since(log, 0)[1:]
        # Written and renamed, because an existing file of this name could be a pipe, which would block the writer.
        kept = os.path.join(run.path, "score.log")
        write_whole(kept, "\n".join(output) + "\n")
    finally:
        shutil.rmtree(private, ignore_errors=True)
    if outcome["rc"] or not found:
        why = (
            [line[len(ERROR_PREFIX) :] for line in output if line.startswith(ERROR_PREFIX)]
            or output[-1:]
            or ["it printed nothing"]
        )
        if outcome["rc"] == 124:
            why = ["the scorer did not end within %d s" % LIMIT]
        raise StackError("run %s could not be scored: %s" % (run.name, as_native(why[-1])), log=kept)
    used = [USED.match(line.strip()) for line in output]
    counts = [(int(match.group(1)), int(match.group(2))) for match in used if match]
    how_many, of = counts[-1] if counts else (None, len(captions))
    return {"scores": found, "used": how_many, "of": of}


def remove_leftovers(run):
    """Remove the temporary directories and files of scorings that were killed.

    Whether one of another host that shares the disk, or of an earlier boot, was killed is known only after LIMIT.
    """
    remove_remains(run.path, LIMIT)
    for name in sorted(os.listdir(run.path)):
        path = os.path.join(run.path, name)
        message = name[len(PRIVATE) :].split("-") if name.startswith(PRIVATE) else []
        if len(message) < 3 or message[0].isdigit() and is_alive(message[0], message[1]):
            continue
        if len(message) > 3 and message[2] != boot() and time.time() - os.lstat(path).st_mtime < LIMIT:
            continue
        shutil.rmtree(path, ignore_errors=True)


def boot():
    """Return the beginning of the id of this boot: no other machine that shares the disk has the same."""
    return origin()["boot"][:8].strip("-")


def read_scores(path):
    """Return {name: score} from the file that the scorer wrote, or {} if it wrote none, or something else."""
    found = read_json(path)
    pairs = found.items() if isinstance(found, dict) else []
    return dict((name, float(value)) for name, value in pairs if isinstance(value, (int, float)) and value - value == 0)
