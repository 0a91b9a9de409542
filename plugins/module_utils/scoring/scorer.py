# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The scorer of captions (coco-caption) for one run: what it lacks on this host, its annotations, its own folder.

A generation contains it in one of two forms: from wheels (pycocoevalcap, Python 3), or from the archive
coco-caption.tgz (Python 2.7). If myeval.py is ours, scorer.json names the Python for which the packages were installed,
or no Python if any Python 2.7 can be used. Without scorer.json, myeval.py is neuraltalk2's own.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fnmatch
import glob
import json
import os
import shutil

from ..host.commands import output_of, with_stack
from ..host.environment import login_path_of
from ..host.errors import StackError
from ..host.files import make_directory, read_json, read_text, write_whole
from ..host.texts import TEXT, as_native
from ..rules import run as rules
from ..rules.data import COCO_VAL as ANNOTATIONS

SCORER = "coco-caption"
NOTE = "scorer.json"
PROGRAM = "myeval.py"
PYTHONS = ("python", "python2", "python2.7", "python3")
OLD = ("python2.7", "python2")
NOT_LINKED = ("val*.json*", "tmp.json", "*.pyc", NOTE, PROGRAM)
"""Files of coco-caption to which a run gets no link: results of manual scoring, and files that it gets as copies."""
ORIGINALS = ("info", "type", "licenses")
"""Keys that the archive's scorer needs in an annotations file, besides images and captions."""
ORIGINALS_CURE = '"info": {}, "type": "captions", "licenses": []'
MOST_NAMED = 5
"""Ids that are named in a message, at most."""
WHOLE = (int, type(1 << 70))
CURE = "`provision data prepare` writes annotations of own images; MS COCO's are captions_val2014.json in the mirror"


def installed(generation):
    """Return the directory of a generation's scorer, whether it exists or not."""
    return os.path.join(generation, "neuraltalk2", SCORER)


def read_note(generation):
    """Return {python, packages} from scorer.json if the script is ours, or {} if it is neuraltalk2's own."""
    note = as_native(read_json(os.path.join(installed(generation), NOTE)))
    return note if isinstance(note, dict) and isinstance(note.get("python"), str) else {}


def scorers_python(generation):
    """Return the Python for the scorer: that of the wheels, else a Python 2.7, else any other; None if there is none.

    For neuraltalk2's own script it is `python`, if that exists, because neuraltalk2 calls it by that name.
    """
    note = read_note(generation)
    if note.get("python"):
        return note["python"] if os.access(note["python"], os.X_OK) else None
    return next((path for path in map(login_path_of, (OLD if note else ()) + PYTHONS) if path), None)


def annotations_of(generation, arguments):
    """Return the path of the annotations with which captions are compared: -coco_json, else the file beside -input_json
    that `provision data prepare` writes, else the stack's own. The file may be missing."""
    if arguments.get("coco_json"):
        return arguments["coco_json"]
    input_json = arguments.get("input_json") or ""
    beside = (input_json[: -len(".json")] if input_json.endswith(".json") else input_json) + ".annotations.json"
    return beside if input_json and os.path.lexists(beside) else os.path.join(installed(generation), ANNOTATIONS)


def lay_out_scorer(generation, work, annotations):
    """Create a run's own coco-caption in `work`, and `work`/bin/python if the scorer needs another one than the PATH's.

    Directories are created and files are links. The tokenizer writes beside its own program, and METEOR is started
    there, so runs do not affect each other. The script is a copy, because Python imports packages from the directory of
    the real file.
    """
    source, target = os.path.realpath(installed(generation)), os.path.join(work, SCORER)
    if not os.path.isdir(source):
        return
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if name != "__pycache__"]
        place = os.path.normpath(os.path.join(target, os.path.relpath(folder, source)))
        make_directory(place)
        for name in files + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in NOT_LINKED):
                os.symlink(os.path.realpath(os.path.join(folder, name)), os.path.join(place, name))
    if os.path.exists(os.path.join(source, PROGRAM)):
        shutil.copyfile(os.path.join(source, PROGRAM), os.path.join(target, PROGRAM))
    own = os.path.join(target, ANNOTATIONS)
    make_directory(os.path.dirname(own))
    if os.path.lexists(own):
        os.unlink(own)
    os.symlink(os.path.realpath(annotations), own)
    python = scorers_python(generation)
    if python and (read_note(generation) or not login_path_of("python")):
        text = "#!/bin/sh\nexec '%s' -B \"$@\"\n" % python.replace("'", "'\\''")
        write_whole(os.path.join(work, "bin", "python"), text, 0o755)


def refuse_unscored(generation, program, arguments):
    """StackError if it is known before the start that -language_eval 1 cannot give scores on this host."""
    annotations = annotations_of(generation, arguments)
    lacks = scorer_lacks(generation, annotations)
    if lacks:
        raise StackError("-language_eval 1 is not possible on this host. It lacks " + "; it lacks ".join(lacks))
    known = annotated(annotations, generation)
    split, wanted = captioned_images(program, arguments)
    if wanted is None:
        return
    place = "image of split %s (-input_json %s)" % (split, arguments["input_json"])
    if not wanted:
        raise StackError("-language_eval 1: there is no %s that has an `id`, so nothing can be scored" % place)
    if not known & wanted:
        message = (
            "-language_eval 1: the annotations %s contain no %s. These %d images have ids like %s; the %d annotated "
        )
        message += "images have %s. %s"
        first_of = (len(wanted), first_ids(wanted), len(known), first_ids(known))
        raise StackError(message % ((annotations, place) + first_of + (CURE,)))


def scorer_lacks(generation, annotations):
    """Return what the scorer needs and this host lacks, as a list of texts; empty if the scorer can be called."""
    folder = installed(generation)
    if not os.path.isdir(os.path.join(folder, "pycocoevalcap")):
        brought = "provision mirror add score-wheels.tar, or coco-caption.tgz for Python 2.7; then provision site"
        return ["the scorer: coco-caption is not installed (%s)" % brought]
    lacks = []
    if not os.path.exists(annotations):
        lacks.append("the annotations: %s (%s)" % (annotations, CURE))
    elif not os.access(annotations, os.R_OK) or not os.path.isfile(annotations):
        lacks.append("annotations that can be read: %s is not a file, or this account may not read it" % annotations)
    python = scorers_python(generation)
    if read_note(generation):
        if not python:
            return lacks + ["a Python that may be run here: %s" % (read_note(generation)["python"] or "Python 2.7")]
        output = errors_of(generation, [python, "-B", PROGRAM, "--check"], folder)
        problems = [line[len("lacks: ") :] for line in output if line.startswith("lacks: ")]
        return lacks + (problems or ["a scorer that %s can run: %s" % (python, line) for line in output[-1:]])
    for part in ("tokenizer", "meteor"):
        path = os.path.join(folder, "pycocoevalcap", part)
        if os.path.isdir(path) and not glob.glob(os.path.join(path, "*.jar")):
            lacks.append("the jars of %s" % path)
    if not login_path_of("java"):
        lacks.append("java")
    if not python:
        return lacks + ["a Python"]
    output = errors_of(generation, [python, "-B", "-c", "import pycocotools.coco, pycocoevalcap.eval"], folder)
    return lacks + ["a scorer that %s can load: %s" % (python, line) for line in output[-1:]]


def errors_of(generation, argv, folder):
    """Run a command in a folder. Return [] if it succeeds, else the lines of its output, at least one."""
    output, code = output_of(with_stack(generation, argv), None, folder, {"MPLBACKEND": "Agg"}, login=True)
    return (as_native(output.strip()).splitlines() or ["code %s" % code]) if code else []


def annotated(path, generation):
    """Return the ids of all images with a caption in an annotations file. StackError if it is not like MS COCO's."""
    whole = parsed(path, "annotations")
    for name in ("images", "annotations"):
        if not isinstance(whole, dict) or not isinstance(whole.get(name), list):
            raise StackError("%s: it has no list `%s`, so it is no annotations file like MS COCO's" % (path, name))
    absent = [name for name in ORIGINALS if name not in whole]
    if absent and not read_note(generation):
        message = "%s: it has no `%s`, without which coco-caption ends under Python 2.7 with a KeyError. Add %s"
        raise StackError(message % (path, "`, no `".join(absent), ORIGINALS_CURE))
    for number, entry in enumerate(whole["annotations"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("caption"), TEXT):
            raise StackError("%s: annotations[%d] has no text as its `caption`" % (path, number))
    return ids(whole["images"], "id") & ids(whole["annotations"], "image_id")


def captioned_images(program, arguments):
    """Return [split, the ids of its images] that a program will caption; the ids are None if they are unknown."""
    split = rules.split(program, arguments)
    if not arguments.get("input_json") or arguments.get("image_folder"):
        return [split, None]
    try:
        whole = parsed(arguments["input_json"], "images")
    except StackError:
        return [split, None]  # the check of that file gives a better message
    images = whole.get("images") if isinstance(whole, dict) else None
    if not isinstance(images, list):
        return [split, None]
    return [split, ids([image for image in images if isinstance(image, dict) and image.get("split") == split], "id")]


def ids(entries, key):
    """Return the ids in a list of objects: integers or texts."""
    values = [entry.get(key) for entry in entries if isinstance(entry, dict)]
    return set(value for value in values if isinstance(value, WHOLE + (TEXT,)) and not isinstance(value, bool))


def parsed(path, what):
    """Return the content of a JSON file. StackError if it cannot be read, or is not JSON."""
    try:
        text = read_text(path)
        if text is None:
            raise StackError("%s: there is no such file, and it should contain the %s" % (path, what))
        return json.loads(text)
    except (IOError, OSError) as error:
        raise StackError("%s cannot be read: %s" % (path, error.strerror))
    except (ValueError, RuntimeError) as error:  # RuntimeError if it is nested too deeply
        raise StackError("%s is not JSON: %s" % (path, str(error)[:200]))


def first_ids(known):
    """Return the first ids as JSON: texts with quotation marks, numbers without."""
    values = sorted(known, key=lambda value: (isinstance(value, TEXT), value))[:MOST_NAMED]
    return as_native(", ".join(json.dumps(value)[:80] for value in values)) + (
        " and more" if len(known) > MOST_NAMED else ""
    )
