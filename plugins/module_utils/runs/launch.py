# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What a run needs before its program starts: its directory, its images, its card, its scorer, its first weights.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import json
import os
import re
import shutil
import sys
import tempfile

from ..inspecting import dataset, dataset_json
from ..inspecting import found as findings_found
from ..captioning.pictures import lay_out_pictures
from ..gpu.cards import cards, processes
from ..gpu.choice import choose_card
from ..programs.packed import packed
from ..pictures.files import closed_parent, who
from .files import checkpoints
from ..scoring.scorer import PYTHONS, annotations_of, found, lay_out_scorer, refuse_unscored
from ..rules import run as rules
from ..host.commands import log_tail, output_of, run_logged, with_stack
from ..host.errors import StackError
from ..host.files import lines_since, make_directory
from ..host.stamps import read_stamps
from ..host.texts import as_native

LINKED = ("train.lua", "eval.lua", "misc")
FOLDERS = ("image_folder", "image_root", "checkpoint_path")
"""Options that name a directory; what else names a place names a file."""
KEPT = re.compile(r"(PATH|NEURALTALK_LIBRARY_PATH|LANG|TZ|JAVA_HOME|(LC|CUDA|OMP|OPENBLAS|MKL|SLURM)_\w+)$")
"""What a run gets of the environment that it is started in; the rest is the business of who started it."""
CHECK = """import sys
from module_utils.inspecting.dataset import main
main(sys.argv[1:])
"""
CHECKED = 600
"""Seconds that the check of a data set gets."""


def lay_out(run, arguments, program, generation, stopped=lambda: False):
    """Fill the run's directory; (arguments as the program gets them, images, set aside).

    Pictures to caption are looked at, which takes its time: Stopped where `stopped` is true meanwhile.
    """
    source = os.path.join(generation, "neuraltalk2")
    make_directory(os.path.join(run.work, "vis", "imgs"))
    make_directory(os.path.join(run.work, "model"))
    make_directory(run.checkpoint)
    make_directory(run.temporary)
    for name in LINKED:
        if os.path.exists(os.path.join(source, name)):
            os.symlink(os.path.join(source, name), os.path.join(run.work, name))
    lay_out_scorer(generation, run.work, annotations_of(generation, arguments))
    given, images, aside = dict(arguments), {}, []
    if program == "train.lua":
        given.setdefault("checkpoint_path", run.checkpoint)
        given.update(weights(given, generation))
        # loadcaffe writes <prototxt>.lua beside the prototxt: that has to be this run's own.
        own = os.path.join(run.work, "model", os.path.basename(given["cnn_proto"]))
        shutil.copyfile(given["cnn_proto"], own)
        given["cnn_proto"] = own
    elif given.get("image_folder"):
        instead, images, aside = lay_out_pictures(run, given, generation, plain_environment(run), stopped)
        given.update(instead, dump_path=1)
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


def interpreter():
    """A Python that whoever this is may run: the one that runs this, else one of the PATH. StackError without one.

    Ansible's may lie in root's home, where no other account comes to.
    """
    for path in [sys.executable] + [found(name) for name in PYTHONS]:
        if path and os.access(path, os.X_OK):
            if output_of([path, "-c", "import json"], timeout=None)[1] == 0:
                return path
    words = "%s cannot run any Python of this host: neither %s nor one on the PATH. Install the distribution's python3"
    raise StackError(words % (who(), sys.executable))


def refuse(run, program, arguments, files, generation):
    """StackError where the run cannot end well on this host, which is known before it starts.

    This is asked as the account that the run belongs to: what that cannot read is as good as not there.
    """
    for option in files:
        readable(option, arguments[option], option in FOLDERS)
    if str(arguments.get("language_eval", 0)) == "1":
        refuse_unscored(generation, program, arguments)
    if arguments.get("input_h5") and arguments.get("input_json"):
        splits = ["train"] * (program == "train.lua") + [rules.split(program, arguments)]
        refuse_misfit(arguments["input_h5"], arguments["input_json"], generation, splits)
    if program != "train.lua":
        return
    weights(arguments, generation)
    folder = arguments.get("checkpoint_path")
    if not folder:
        return
    if os.path.realpath(folder).startswith(os.path.realpath(os.path.dirname(run.path)) + os.sep):
        raise StackError(
            "-checkpoint_path %s belongs to another run: leave this option out, each run has a "
            "directory of its own" % folder
        )
    if not os.path.isdir(folder):
        raise StackError("-checkpoint_path %s: there is no such directory on this host: create it first" % folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        cure = "Give it to that account (chown), or leave the option out: each run has a directory of its own"
        raise StackError("-checkpoint_path %s: %s may not write there. %s" % (folder, who(), cure))
    there = [entry["file"] for entry in checkpoints(run)]
    if there:
        raise StackError("-checkpoint_path %s: this would overwrite %s" % (folder, ", ".join(there)))


def readable(option, path, folder):
    """StackError where what an option names is not there, of another kind, or not to be read by who runs it.

    `folder` is whether a directory is needed; None where a file will do as well.
    """
    if not os.path.exists(path):
        closed = closed_parent(path)
        if closed:
            cure = "Let others pass through it (chmod o+x), move the data, or choose another run_user in provision.yml"
            raise StackError("-%s %s: %s may not enter %s. %s" % (option, path, who(), closed, cure))
        raise StackError("-%s %s: there is no such file on this host" % (option, path))
    if not (os.path.isdir(path) and folder is not False or os.path.isfile(path) and not folder):
        kind = "it has to be a directory" if folder else "it has to be a file"
        raise StackError("-%s %s: %s" % (option, path, kind))
    if not os.access(path, os.R_OK | (os.X_OK if os.path.isdir(path) else 0)):
        raise StackError(
            "-%s %s: %s may not read it. Let others read it (chmod o+r), or choose run_user" % (option, path, who())
        )


def refuse_misfit(h5, told, generation, splits):
    """StackError where an HDF5 file and the JSON beside it are not what the programs read, or lack one of `splits`.

    It takes the stack's own h5py; a stack without one cannot tell, and the program ends then by itself.
    """
    if not os.path.isdir(os.path.join(generation, "python", "h5py")):
        return
    private = tempfile.mkdtemp(prefix="neuraltalk-fits-")
    log, program = os.path.join(private, "log"), os.path.join(private, "check.zip")
    modules = (dataset, dataset_json, findings_found)
    try:
        with io.open(program, "wb") as file:
            file.write(packed(modules, CHECK))
        words = [interpreter(), program, h5, told] + list(splits)
        outcome = run_logged(with_stack(generation, words), log, timeout=CHECKED)
        said = [line for line in lines_since(log, 0) if line.startswith(("misfit ", "fits"))]
        tail = log_tail(log)
    finally:
        shutil.rmtree(private, ignore_errors=True)
    faults = [as_native(json.loads(line[len("misfit ") :])) for line in said if line.startswith("misfit ")]
    if faults:
        some = ["%s: %s" % (" ".join([entry["file"], entry["place"]]).strip(), entry["reason"]) for entry in faults]
        more = "; and more, which `provision data inspect %s` lists" % h5 if len(some) > 3 else ""
        raise StackError("-input_h5 and -input_json do not belong together: %s%s" % ("; ".join(some[:3]), more))
    if outcome["rc"] or not said:
        raise StackError(
            "-input_h5 %s with -input_json %s cannot be read: %s" % (h5, told, (tail or ["there is no output"])[-1])
        )


def needs_card(generation, arguments):
    """The arguments with the backend that this generation has for a card. StackError where it has none."""
    stamps = read_stamps(generation)
    if "cutorch" not in stamps:
        raise StackError("the stack on this host was built without GPU support: it has no cutorch. Use --gpu none")
    backend = arguments.get("backend") or ("cudnn" if "cudnn-rock" in stamps else "nn")
    if backend == "cudnn" and "cudnn-rock" not in stamps:
        raise StackError(
            "-backend cudnn: the cudnn rock is not installed on this host. Leave the option out, or use -backend nn"
        )
    return dict(arguments, gpuid="0", backend=backend)


def take_card(gpu, memory, taken):
    """The card for a run; None for one on the processor. StackError with the reasons where none is free."""
    if gpu == "none":
        return None
    try:
        return choose_card(gpu, memory, cards(), processes(), taken)
    except ValueError as error:
        raise StackError("no card for this run: %s" % error)


def command(run, program, given, generation):
    """The command line of a run."""
    argv = with_stack(generation, ["th", program])
    for option in sorted(given):
        argv += ["-" + option, str(given[option])]
    return argv


def environment(run, card):
    """The environment of a run: its own home and place for temporary files, one card by UUID, no display.

    Where the scorer needs another `python` than the PATH has, it was laid out in the run's own bin.
    """
    path = os.environ.get("PATH", os.defpath)
    if os.path.isdir(os.path.join(run.work, "bin")):
        path = os.path.join(run.work, "bin") + os.pathsep + path
    # cutorch opens a context on every card that it sees, whatever -gpuid says.
    visible = card["uuid"] if card else ""
    return dict(plain_environment(run), PATH=path, CUDA_VISIBLE_DEVICES=visible)


def plain_environment(run):
    """What all programs of a run get: little of where it is started, and its own places."""
    kept = dict((name, value) for name, value in os.environ.items() if KEPT.match(name))
    own = {"HOME": run.path, "TMPDIR": run.temporary, "USER": who(), "LOGNAME": who()}
    return dict(kept, TERM="dumb", MPLBACKEND="Agg", **own)


def weights_of(parent, models):
    """{file, iteration} to start from: the best or the last model of a run on this host. StackError without one.

    `models` are those that it has left. train.lua writes a model.t7 where it is the best so far, and by our edit a
    model.last.t7 where it is not.
    """
    if not models:
        raise StackError("run %s has no model (.t7) on this host to continue from" % parent["id"])
    if parent.get("choose") == "best":
        models = [entry for entry in models if rules.is_best(entry["file"])] or models
    return max(models, key=lambda entry: entry["modified"])
