# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The scorer of captions (coco-caption) for one run: what it lacks on this host, its annotations, its own folder.

A generation has it in one of two ways: made from wheels (pycocoevalcap, Python 3), or from the archive coco-caption.tgz
(Python 2.7). Where its myeval.py is ours, scorer.json names the Python that the packages were installed for, or none
where any Python 2.7 will do. Without scorer.json it is neuraltalk2's own myeval.py.

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
LEFT = ("val*.json*", "tmp.json", "*.pyc", NOTE, PROGRAM)
"""What of coco-caption a run gets no link to: leftovers of scoring by hand, and what it gets otherwise."""
ORIGINALS = ("info", "type", "licenses")
"""What the archive's scorer asks of an annotations file, beside its images and captions."""
ORIGINALS_CURE = '"info": {}, "type": "captions", "licenses": []'
SHOWN = 5
"""How many ids are told."""
WHOLE = (int, type(1 << 70))
CURE = "`provision data prepare` writes annotations of own images; MS COCO's are captions_val2014.json in the mirror"


def installed(generation):
    """Where a generation has the scorer, whether it is there or not."""
    return os.path.join(generation, "neuraltalk2", SCORER)


def noted(generation):
    """{python, packages} as the role noted them where the script is ours; empty where it is neuraltalk2's own."""
    told = as_native(read_json(os.path.join(installed(generation), NOTE)))
    return told if isinstance(told, dict) and isinstance(told.get("python"), str) else {}


def found(program):
    """Where a program is on the PATH; None where it is not."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder, program)
        if folder and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def scorers_python(generation):
    """The Python for the scorer: that of the wheels, else a Python 2.7 or what a system has instead; None without one.

    For neuraltalk2's own script it is `python`, which that calls.
    """
    told = noted(generation)
    if told.get("python"):
        return told["python"] if os.access(told["python"], os.X_OK) else None
    return next((path for path in map(found, (OLD if told else ()) + PYTHONS) if path), None)


def annotations_of(generation, arguments):
    """The annotations that a program's captions are compared with: -coco_json, else those beside -input_json that
    `provision data prepare` writes, else the stack's own. They need not be there."""
    if arguments.get("coco_json"):
        return arguments["coco_json"]
    told = arguments.get("input_json") or ""
    beside = (told[: -len(".json")] if told.endswith(".json") else told) + ".annotations.json"
    return beside if told and os.path.lexists(beside) else os.path.join(installed(generation), ANNOTATIONS)


def lay_out_scorer(generation, work, annotations):
    """Give a run its own coco-caption in `work`, and `work`/bin/python where the scorer needs another than the PATH's.

    Directories are the run's own and files are links: the tokenizer writes beside its own program, METEOR is started
    there, and two runs never meet. The script is a copy, for Python looks for packages where a script really lies.
    """
    source, target = os.path.realpath(installed(generation)), os.path.join(work, SCORER)
    if not os.path.isdir(source):
        return
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if name != "__pycache__"]
        place = os.path.normpath(os.path.join(target, os.path.relpath(folder, source)))
        make_directory(place)
        for name in files + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in LEFT):
                os.symlink(os.path.realpath(os.path.join(folder, name)), os.path.join(place, name))
    if os.path.exists(os.path.join(source, PROGRAM)):
        shutil.copyfile(os.path.join(source, PROGRAM), os.path.join(target, PROGRAM))
    own = os.path.join(target, ANNOTATIONS)
    make_directory(os.path.dirname(own))
    if os.path.lexists(own):
        os.unlink(own)
    os.symlink(os.path.realpath(annotations), own)
    python = scorers_python(generation)
    if python and (noted(generation) or not found("python")):
        text = "#!/bin/sh\nexec '%s' -B \"$@\"\n" % python.replace("'", "'\\''")
        write_whole(os.path.join(work, "bin", "python"), text, 0o755)


def refuse_unscored(generation, program, arguments):
    """StackError where -language_eval 1 could give no scores on this host, which is known before the start."""
    annotations = annotations_of(generation, arguments)
    lacks = scorer_lacks(generation, annotations)
    if lacks:
        raise StackError("-language_eval 1 cannot be had on this host. It lacks " + "; it lacks ".join(lacks))
    known = annotated(annotations, generation)
    split, wanted = asked(program, arguments)
    if wanted is None:
        return
    place = "image of split %s (-input_json %s)" % (split, arguments["input_json"])
    if not wanted:
        raise StackError("-language_eval 1: there is no %s that has an `id`, so nothing can be scored" % place)
    if not known & wanted:
        words = "-language_eval 1: the annotations %s know no %s. These %d images have ids like %s; the %d annotated "
        words += "images have %s. %s"
        first_of = (len(wanted), first(wanted), len(known), first(known))
        raise StackError(words % ((annotations, place) + first_of + (CURE,)))


def scorer_lacks(generation, annotations):
    """What scoring would miss on this host, in words; empty where the scorer can be called."""
    folder = installed(generation)
    if not os.path.isdir(os.path.join(folder, "pycocoevalcap")):
        brought = "provision mirror add score-wheels.tar, or coco-caption.tgz for Python 2.7; then provision site"
        return ["the scorer: coco-caption is not installed (%s)" % brought]
    lacks = []
    if not os.path.exists(annotations):
        lacks.append("the annotations: %s (%s)" % (annotations, CURE))
    elif not os.access(annotations, os.R_OK) or not os.path.isfile(annotations):
        lacks.append("annotations that can be read: %s is no file, or not for this account" % annotations)
    python = scorers_python(generation)
    if noted(generation):
        if not python:
            return lacks + ["a Python that may be run here: %s" % (noted(generation)["python"] or "Python 2.7")]
        said = tried(generation, [python, "-B", PROGRAM, "--check"], folder)
        told = [line[len("lacks: ") :] for line in said if line.startswith("lacks: ")]
        return lacks + (told or ["a scorer that %s can run: %s" % (python, line) for line in said[-1:]])
    for part in ("tokenizer", "meteor"):
        path = os.path.join(folder, "pycocoevalcap", part)
        if os.path.isdir(path) and not glob.glob(os.path.join(path, "*.jar")):
            lacks.append("the jars of %s" % path)
    if not found("java"):
        lacks.append("java")
    if not python:
        return lacks + ["a Python"]
    said = tried(generation, [python, "-B", "-c", "import pycocotools.coco, pycocoevalcap.eval"], folder)
    return lacks + ["a scorer that %s can load: %s" % (python, line) for line in said[-1:]]


def tried(generation, argv, folder):
    """The lines that a command prints in a folder where it fails, at least one; none where it ends well."""
    said, code = output_of(with_stack(generation, argv), None, chdir=folder, environment={"MPLBACKEND": "Agg"})
    return (as_native(said.strip()).splitlines() or ["code %s" % code]) if code else []


def annotated(path, generation):
    """The ids of all images that have a caption in an annotations file. StackError where it is not like MS COCO's."""
    whole = parsed(path, "annotations")
    for name in ("images", "annotations"):
        if not isinstance(whole, dict) or not isinstance(whole.get(name), list):
            raise StackError("%s: it has no list `%s`, so it is no annotations file like MS COCO's" % (path, name))
    absent = [name for name in ORIGINALS if name not in whole]
    if absent and not noted(generation):
        words = "%s: it has no `%s`, without which coco-caption ends under Python 2.7 with a KeyError. Add %s"
        raise StackError(words % (path, "`, no `".join(absent), ORIGINALS_CURE))
    for number, entry in enumerate(whole["annotations"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("caption"), TEXT):
            raise StackError("%s: annotations[%d] has no text as its `caption`" % (path, number))
    return ids(whole["images"], "id") & ids(whole["annotations"], "image_id")


def asked(program, arguments):
    """[split, the ids of its images] that a program will caption; None for the ids where they cannot be told."""
    split = rules.split(program, arguments)
    if not arguments.get("input_json") or arguments.get("image_folder"):
        return [split, None]
    try:
        whole = parsed(arguments["input_json"], "images")
    except StackError:
        return [split, None]  # who checks that file has better words for it
    images = whole.get("images") if isinstance(whole, dict) else None
    if not isinstance(images, list):
        return [split, None]
    return [split, ids([image for image in images if isinstance(image, dict) and image.get("split") == split], "id")]


def ids(entries, key):
    """The ids of images in a list of objects: whole numbers or text."""
    told = [entry.get(key) for entry in entries if isinstance(entry, dict)]
    return set(value for value in told if isinstance(value, WHOLE + (TEXT,)) and not isinstance(value, bool))


def parsed(path, what):
    """The content of a JSON file. StackError where it cannot be read, or is not JSON."""
    try:
        text = read_text(path)
        if text is None:
            raise StackError("%s: there is no such file, and it would hold the %s" % (path, what))
        return json.loads(text)
    except (IOError, OSError) as error:
        raise StackError("%s cannot be read: %s" % (path, error.strerror))
    except (ValueError, RuntimeError) as error:  # too deep for the parser is a RuntimeError
        raise StackError("%s is not JSON: %s" % (path, str(error)[:200]))


def first(known):
    """A few ids as JSON has them: text in quotation marks, numbers without."""
    told = sorted(known, key=lambda value: (isinstance(value, TEXT), value))[:SHOWN]
    return as_native(", ".join(json.dumps(value)[:80] for value in told)) + (" and more" if len(known) > SHOWN else "")
