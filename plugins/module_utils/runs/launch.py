# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Prepares a run before its program starts: its directory, images, card, scorer, and the weights to start from.

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
from ..scoring.scorer import PYTHONS, annotations_of, lay_out_scorer, refuse_unscored
from ..rules import layout
from ..rules import run as rules
from ..rules import texts
from ..host import texts as host_texts
from ..host.commands import log_tail, output_of, run_logged, with_stack
from ..host.environment import login_path_of
from ..host.errors import StackError
from ..host.pythons import DISTRIBUTION
from ..host.files import lines_since, make_directory
from ..host.manifest import built_for
from ..host.stamps import read_stamps
from ..host.texts import as_native, text_of

FOLDERS = ("image_folder", "image_root", "checkpoint_path")
"""The options that name a directory. All other options with a path name a file."""
INHERITED = re.compile(r"(PATH|NEURALTALK_LIBRARY_PATH|LANG|TZ|JAVA_HOME|(LC|CUDA|OMP|OPENBLAS|MKL|SLURM)_\w+)$")
"""The environment variables that a run inherits from the process that starts it."""
CHECK = """import sys
from module_utils.inspecting.dataset import main
main(sys.argv[1:])
"""
CHECK_MODULES = (dataset, dataset_json, findings_found, texts, host_texts)
"""All modules that the check of a data set imports: it has no others on the host."""
CHECK_TIMEOUT = 600
"""Seconds that the check of a data set may take."""
NO_GPU_PART = "the stack on this host was built without GPU support: it has no cutorch"


def lay_out(run, arguments, program, generation, stopped=lambda: False):
    """Fill the run's directory; return (arguments for the program, images, pictures that were set aside).

    Pictures to caption are checked, which can take minutes. Stopped is raised if `stopped()` returns True meanwhile.
    """
    source = os.path.join(generation, "neuraltalk2")
    make_directory(os.path.join(run.work, "vis", "imgs"))
    make_directory(os.path.join(run.work, "model"))
    make_directory(run.checkpoint)
    make_directory(run.temporary)
    for name in rules.LINKED:
        if os.path.exists(os.path.join(source, name)):
            os.symlink(os.path.join(source, name), os.path.join(run.work, name))
    lay_out_scorer(generation, run.work, annotations_of(generation, arguments))
    effective, images, set_aside = dict(arguments), {}, []
    if program == "train.lua":
        effective.setdefault("checkpoint_path", run.checkpoint)
        effective.update(weights(effective, generation))
        # loadcaffe writes <prototxt>.lua beside the prototxt, so each run needs its own copy.
        own = os.path.join(run.work, "model", os.path.basename(effective["cnn_proto"]))
        shutil.copyfile(effective["cnn_proto"], own)
        effective["cnn_proto"] = own
    elif effective.get("image_folder"):
        changes, images, set_aside = lay_out_pictures(run, effective, generation, plain_environment(run), stopped)
        effective.update(changes, dump_path=1)
    effective.setdefault("id", run.name)
    return effective, images, set_aside


def weights(effective, generation):
    """Return {cnn_proto, cnn_model}, the ConvNet's files: as given, else the generation's. StackError if missing."""
    model = os.path.join(generation, "neuraltalk2", "model")
    found = {
        "cnn_proto": effective.get("cnn_proto") or os.path.join(model, "VGG_ILSVRC_16_layers_deploy.prototxt"),
        "cnn_model": effective.get("cnn_model") or os.path.join(model, "VGG_ILSVRC_16_layers.caffemodel"),
    }
    for option in sorted(found):
        if not os.path.isfile(found[option]):
            raise StackError("%s: there is no such file for -%s" % (found[option], option))
    return found


def candidates():
    """Return the Pythons of the host, those first for which the stack's packages were probably installed."""
    named = [path for path in (sys.executable,) + DISTRIBUTION + tuple(map(login_path_of, PYTHONS)) if path]
    unique = [path for place, path in enumerate(named) if path not in named[:place]]
    return [path for path in unique if os.access(path, os.X_OK)]


def interpreter(generation=""):
    """Return a Python that this account can run, and with `generation` one that can import its h5py, if there is one.

    Ansible's Python may be in root's home directory, which other accounts may not enter. The stack's Python may be
    another one. StackError if no Python can be run.
    """
    usable = []
    for path in candidates():
        if output_of([path, "-c", "import json"], timeout=None, login=True)[1] != 0:
            continue
        argv = with_stack(generation, [path, "-B", "-c", "import h5py"])
        if not generation or output_of(argv, timeout=None, login=True)[1] == 0:
            return path
        usable.append(path)
    if usable:
        return usable[0]
    message = (
        "%s cannot run any Python of this host: neither %s nor one on the PATH. Install the distribution's python3"
    )
    raise StackError(message % (who(), sys.executable))


def refuse(run, program, arguments, files, generation):
    """StackError if a program of Torch cannot work with these arguments; see dispatch.refuse, which calls this."""
    for option in files:
        readable(option, arguments[option], option in FOLDERS)
    if str(arguments.get("language_eval", 0)) == "1":
        refuse_unscored(generation, program, arguments)
    if arguments.get("input_h5") and arguments.get("input_json"):
        splits = ["train"] * (program == "train.lua") + [rules.split(program, arguments)]
        refuse_mismatch(arguments["input_h5"], arguments["input_json"], generation, splits)
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
    existing = [entry["file"] for entry in checkpoints(run)]
    if existing:
        raise StackError("-checkpoint_path %s: this would overwrite %s" % (folder, ", ".join(existing)))


def readable(option, path, folder):
    """StackError if the path of an option is missing, of the wrong kind, or not readable by this account.

    `folder`: True if it has to be a directory, False if it has to be a file, None if it may be either.
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
            "-%s %s: %s may not read it. Let others read it (chmod o+r), or choose another run_user in provision.yml"
            % (option, path, who())
        )


def refuse_mismatch(h5, json_file, generation, splits):
    """StackError if an HDF5 file and its JSON are not what the programs expect, or lack one of `splits`.

    The check needs the stack's h5py. Without it there is no check here, and the program itself fails on such files.
    """
    if not os.path.isdir(os.path.join(generation, "python", "h5py")):
        return
    private = tempfile.mkdtemp(prefix="neuraltalk-fits-")
    log, program = os.path.join(private, "log"), os.path.join(private, "check.zip")
    try:
        with io.open(program, "wb") as file:
            file.write(packed(CHECK_MODULES, CHECK))
        argv = [interpreter(generation), program, h5, json_file] + list(splits)
        outcome = run_logged(with_stack(generation, argv), log, timeout=CHECK_TIMEOUT)
        results = [line for line in lines_since(log, 0) if line.startswith(("misfit ", "fits"))]
        tail = log_tail(log)
    finally:
        shutil.rmtree(private, ignore_errors=True)
    faults = [as_native(json.loads(line[len("misfit ") :])) for line in results if line.startswith("misfit ")]
    if faults:
        examples = [findings_found.in_words(entry) for entry in faults]
        more = "; and more, which `provision data inspect %s` lists" % h5 if len(examples) > 3 else ""
        raise StackError("-input_h5 and -input_json do not belong together: %s%s" % ("; ".join(examples[:3]), more))
    if outcome["rc"] or not results:
        raise StackError(
            "-input_h5 %s with -input_json %s cannot be read: %s"
            % (h5, json_file, (tail or ["there is no output"])[-1])
        )


def current_generation(root):
    """Return the directory of the current generation. StackError if there is none."""
    if not os.path.isdir(layout.current(root)):
        raise StackError("nothing is installed at %s/current: run `provision site` first" % root)
    return os.path.realpath(layout.current(root))


def needs_card(generation, arguments):
    """Return the arguments with the backend that this generation has for a card. StackError if it has none."""
    stamps = read_stamps(generation)
    if "cutorch" not in stamps:
        raise StackError("%s. Use --gpu none" % NO_GPU_PART)
    return dict(arguments, gpuid="0", backend=backend_of(stamps, arguments.get("backend")))


def backend_of(stamps, requested=""):
    """Return the backend for a card: the requested one, else the best. StackError if the stack does not have it."""
    backend = requested or ("cudnn" if "cudnn-rock" in stamps else "nn")
    if backend == "cudnn" and "cudnn-rock" not in stamps:
        raise StackError(
            "-backend cudnn: the cudnn rock is not installed on this host. Leave the option out, or use -backend nn"
        )
    return backend


def take_card(gpu, memory, taken, generation):
    """Return (the card, remarks), with None for a run on the CPU. StackError with the reasons if no card is free."""
    if gpu == "none":
        return None, []
    try:
        card, unusable = choose_card(gpu, memory, cards(), processes(), taken, built_for(generation))
        return card, ["not used: %s" % "; ".join(unusable)] * bool(unusable)
    except ValueError as error:
        raise StackError("no card for this run: %s" % text_of(error))


def command(run, program, effective, generation):
    """Return the command line of a run."""
    argv = with_stack(generation, ["th", program])
    for option in sorted(effective):
        argv += ["-" + option, str(effective[option])]
    return argv


def environment(run, card):
    """Return the environment of a run: its own HOME and TMPDIR, one card by UUID, no display.

    If the scorer needs another `python` than the one on the PATH, it is in the `bin` of the run.
    """
    path = os.environ.get("PATH", os.defpath)
    if os.path.isdir(os.path.join(run.work, "bin")):
        path = os.path.join(run.work, "bin") + os.pathsep + path
    # cutorch opens a context on every visible card, whatever -gpuid is.
    visible = card["uuid"] if card else ""
    return dict(plain_environment(run), PATH=path, CUDA_VISIBLE_DEVICES=visible)


def plain_environment(run):
    """Return the environment of all programs of a run: some inherited variables, and the run's own HOME and TMPDIR."""
    inherited = dict((name, value) for name, value in os.environ.items() if INHERITED.match(name))
    own = {"HOME": run.path, "TMPDIR": run.temporary, "USER": who(), "LOGNAME": who()}
    return dict(inherited, TERM="dumb", MPLBACKEND="Agg", **dict(texts.UTF8, **own))


def weights_of(parent, models):
    """Return the model {file, iteration} to start from: the best or the last one of a run. StackError if there is none.

    `models` are the models of that run. train.lua writes a model to model.t7 if it is the best so far, else (this is
    one of our source edits) to model.last.t7.
    """
    if not models:
        raise StackError("run %s has no model (.t7) on this host to continue from" % parent["id"])
    if parent.get("choose") == "best":
        models = [entry for entry in models if rules.is_best(entry["file"])] or models
    # By the iteration, because the clock of a host can be set while it trains.
    return max(models, key=lambda entry: (entry["iteration"], entry["modified"]))
