# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What a run needs before its program starts: its directory, its images, its card, its scorer, its first weights.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import io
import os
import re
import shutil
import subprocess

from ansible.module_utils.neuraltalk_gpu import cards, choose_card, processes
from ansible.module_utils.neuraltalk_runs import Run, checkpoints, models
from ansible.module_utils.neuraltalk_stack import StackError, make_directory, read_stamps, with_stack

LINKED = ("train.lua", "eval.lua", "misc")
SCORER = "coco-caption"
ANNOTATIONS = "annotations/captions_val2014.json"
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"P6", b"P5")
LOOKS_LIKE_IMAGE = re.compile(r"\.(jpe?g|png|ppm)$", re.I)
PYTHONS = ("python", "python2", "python2.7", "python3")


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


def lay_out(run, arguments, program, generation):
    """Fill the run's directory; (arguments as the program gets them, images, set aside)."""
    source = os.path.join(generation, "neuraltalk2")
    make_directory(os.path.join(run.work, "vis", "imgs"))
    make_directory(os.path.join(run.work, "model"))
    make_directory(run.checkpoint)
    for name in LINKED:
        if os.path.exists(os.path.join(source, name)):
            os.symlink(os.path.join(source, name), os.path.join(run.work, name))
    lay_out_scorer(os.path.join(source, SCORER), os.path.join(run.work, SCORER))
    given, images, aside = dict(arguments), {}, []
    if program == "train.lua":
        given.setdefault("checkpoint_path", run.checkpoint)
        given.update(weights(given, generation))
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


def weights(given, generation):
    """{cnn_proto, cnn_model} of the ConvNet: as given, else the generation's. StackError where one is not there."""
    model = os.path.join(generation, "neuraltalk2", "model")
    found = {
        "cnn_proto": given.get("cnn_proto") or os.path.join(model, "VGG_ILSVRC_16_layers_deploy.prototxt"),
        "cnn_model": given.get("cnn_model") or os.path.join(model, "VGG_ILSVRC_16_layers.caffemodel"),
    }
    for option in sorted(found):
        if not os.path.isfile(found[option]):
            raise StackError("%s: there is no such file for -%s" % (found[option], option))
    return found


def lay_out_scorer(source, target):
    """A folder of the run's own with links to all of coco-caption: what it writes meets no other run's."""
    if not os.path.isdir(source):
        return
    make_directory(target)
    for name in os.listdir(source):
        if not name.startswith("val"):
            os.symlink(os.path.realpath(os.path.join(source, name)), os.path.join(target, name))


def scorer_lacks(generation):
    """What -language_eval 1 would miss on this host, in words; empty where the scorer can be called."""
    folder = os.path.join(generation, "neuraltalk2", SCORER)
    if not os.path.isdir(os.path.join(folder, "pycocoevalcap")):
        return ["the scorer: coco-caption is not installed (provision mirror add coco-caption.tgz, provision site)"]
    lacks = []
    if not os.path.exists(os.path.join(folder, ANNOTATIONS)):
        lacks.append("the annotations: %s" % os.path.join(folder, ANNOTATIONS))
    for part in ("tokenizer", "meteor"):
        path = os.path.join(folder, "pycocoevalcap", part)
        if os.path.isdir(path) and not glob.glob(os.path.join(path, "*.jar")):
            lacks.append("the jars of %s" % path)
    if not found("java"):
        lacks.append("java")
    python = scorers_python()
    if not python:
        lacks.append("a Python")
    else:
        said = trial(generation, python, folder)
        if said:
            lacks.append("a scorer that %s can load: %s" % (python, said))
    return lacks


def scorers_python():
    """The Python that the scorer's script calls: `python`, or where a system lacks that name, the one it has."""
    return next((path for path in map(found, PYTHONS) if path), None)


def found(program):
    """Where a program is on the PATH; None where it is not."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder, program)
        if folder and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def trial(generation, python, folder):
    """The last line of what Python says when it can't load the scorer as a run would; empty where it can."""
    words = "import pycocotools.coco, pycocoevalcap.eval"
    process = subprocess.Popen(
        with_stack(generation, [python, "-B", "-c", words]),
        cwd=folder,
        env=dict(os.environ, MPLBACKEND="Agg"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said = process.communicate()[0].decode("utf-8", "replace").strip().splitlines()
    return (said[-1] if said else "code %s" % process.returncode) if process.returncode else ""


def refuse(run, program, arguments, files, generation):
    """StackError where the run cannot end well on this host, which is known before it starts."""
    for option in files:
        if not os.path.exists(arguments[option]):
            raise StackError("-%s %s: there is no such file on this host" % (option, arguments[option]))
    if str(arguments.get("language_eval", 0)) == "1":
        lacks = scorer_lacks(generation)
        if lacks:
            raise StackError("-language_eval 1 cannot be had on this host. It lacks " + "; it lacks ".join(lacks))
    if program != "train.lua":
        return
    weights(arguments, generation)
    folder = arguments.get("checkpoint_path")
    there = [entry["file"] for entry in checkpoints(run)] if folder else []
    if there:
        raise StackError("-checkpoint_path %s: this would overwrite %s" % (folder, ", ".join(there)))
    if folder and os.path.realpath(folder).startswith(os.path.realpath(os.path.dirname(run.path)) + os.sep):
        raise StackError("-checkpoint_path %s is another run's: leave it out, each run has its own" % folder)


def needs_card(generation, arguments):
    """The arguments with the backend that this generation has for a card. StackError where it has none."""
    stamps = read_stamps(generation)
    if "cutorch" not in stamps:
        raise StackError("what is installed here was built without a card: there is no cutorch in it. Use --gpu none")
    backend = arguments.get("backend") or ("cudnn" if "cudnn-rock" in stamps else "nn")
    if backend == "cudnn" and "cudnn-rock" not in stamps:
        raise StackError("-backend cudnn: the cudnn rock is not installed here. Leave it out, or say -backend nn")
    return dict(arguments, gpuid="0", backend=backend)


def take_card(gpu, memory, leases):
    """The card for a run; None for one on the processor. StackError with the reasons where none is free."""
    if gpu == "none":
        return None
    try:
        return choose_card(gpu, memory, cards(), processes(), leases.taken())
    except ValueError as error:
        raise StackError("no card for this run: %s" % error)


def command(run, program, given, generation):
    """The command line of a run."""
    argv = with_stack(generation, ["th", program])
    for option in sorted(given):
        argv += ["-" + option, str(given[option])]
    return argv


def environment(run, card):
    """The environment of a run: one card by UUID, no display asked for, a `python` for the scorer."""
    path = os.environ.get("PATH", os.defpath)
    python = scorers_python()
    if python and not found("python"):
        make_directory(os.path.join(run.work, "bin"))
        os.symlink(python, os.path.join(run.work, "bin", "python"))
        path = os.path.join(run.work, "bin") + os.pathsep + path
    # cutorch opens a context on every card that it sees, whatever -gpuid says.
    visible = card["uuid"] if card else ""
    return dict(os.environ, PATH=path, TERM="dumb", MPLBACKEND="Agg", CUDA_VISIBLE_DEVICES=visible)


def weights_of(root, parent):
    """{file, iteration} to start from: the best or the last model of a run on this host. StackError without one.

    train.lua writes a model.t7 where it is the best so far, and by our edit a model.last.t7 where it is not.
    """
    left = models(Run(root, parent["id"]))
    if not left:
        raise StackError("run %s has left no model (.t7) on this host to go on from" % parent["id"])
    if parent.get("choose") == "best":
        left = [entry for entry in left if not entry["file"].endswith(".last.t7")] or left
    return max(left, key=lambda entry: entry["modified"])
