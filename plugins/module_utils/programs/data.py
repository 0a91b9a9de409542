# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The programs that prepare and inspect data, as a run on a host or as a child process of `provision` itself.

A request is a file with one JSON object: `program` and the program's parameters (see preparing/prepare.py and
inspecting/inspect.py). The result is written to result.json beside it: the program's result, or `error`.

Runs under Python 2.7 and 3. The programs need numpy, h5py and Pillow, which a stack has; this module does not.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import signal
import traceback

from ..runs.launch import candidates, readable
from ..pictures.files import who
from .processes import end_with_parent, os_error_in_words, write_all
from ..host.commands import output_of, with_stack
from ..host.errors import StackError
from ..host.files import make_directory, read_native, write_json, write_whole
from ..host.texts import as_text, text_of
from ..rules.data import REQUEST, RESULT
from ..rules import codes

PROGRAMS = ("prepare", "inspect")
FINDINGS = "findings.jsonl"
PACKAGES = "import numpy, h5py, PIL.Image"
COMMAND = "data"
"""The first argument of the packed supervisor if it has to run one of these programs."""


def program_of(name):
    """Return the function of a program.

    Its modules are imported only here, because they are many and most tasks on a host do not need them.
    """
    if name == "prepare":
        from ..preparing.prepare import prepare as program
    else:
        from ..inspecting.inspect import inspect as program
    return program


def refuse(program, request, generation):
    """StackError if it is known before the start that the request would fail on this host."""
    python_of(generation)
    for option, path, folder in inputs(program, request):
        readable("-" + option, path, folder)
    for option, folder in outputs(program, request):
        if not os.path.isdir(folder):
            raise StackError("--%s: there is no directory %s on this host: create it first" % (option, folder))
        if not os.access(folder, os.W_OK | os.X_OK):
            cure = "Give it to that account (chown), or choose another directory"
            raise StackError("--%s: %s may not write in %s. %s" % (option, who(), folder, cure))
    if program == "prepare":
        from ..preparing.outputs import Outputs

        made = Outputs(request["output_h5"], request["output_json"])
        if not os.path.lexists(made.journal):
            made.refuse_existing()


def inputs(program, request):
    """Return [(option, path, folder)] of what a program reads; `folder` as in launch.readable."""
    if program == "inspect":
        named = [("path", request["path"], None)]  # type: list[tuple[str, str, bool | None]]
        named += [(option, request.get(option), False) for option in ("undo", "input_json")]
    else:
        named = [("input_json", path, False) for path in request["input_json"]]
        named.append(("karpathy_split", request.get("karpathy_split"), False))
    named.append(("images_root", request.get("images_root"), True))
    return [entry for entry in named if entry[1]]


def outputs(program, request):
    """Return [(option, directory)] of the existing directories in which a program writes or moves files."""
    if program == "prepare":
        named = [(option, os.path.dirname(request[option])) for option in ("output_json", "output_h5")]
    elif request.get("quarantine"):
        aside = request["quarantine"].rstrip(os.sep)
        named = [("quarantine", aside if os.path.isdir(aside) else os.path.dirname(aside)), pictures_of(request)]
    elif request.get("undo"):
        named = [("undo", os.path.dirname(request["undo"])), pictures_of(request)]
    else:
        named = []
    return [(option, folder or os.sep) for option, folder in named]


def pictures_of(request):
    """Return (option, directory) of the pictures that an inspection moves away or back."""
    if request.get("images_root"):
        return "images_root", request["images_root"]
    path = request["path"]
    return "path", path if os.path.isdir(path) else os.path.dirname(path)


def python_of(generation):
    """Return a Python that can import the stack's numpy, h5py and Pillow. StackError with the error of each Python."""
    errors = []
    for python in candidates():
        output, code = output_of(with_stack(generation, [python, "-B", "-c", PACKAGES]), timeout=None, login=True)
        if code == 0:
            return python
        errors.append("%s: %s" % (python, (output.strip().splitlines() or ["code %s" % code])[-1]))
    cure = (
        "The component python of the stack brings numpy, h5py and Pillow: check that pip.source is not none, add "
        "python-wheels to the mirror where hosts take them from it, and run `provision site`"
    )
    raise StackError("no Python of this host can prepare data (%s). %s" % ("; ".join(errors) or "there is none", cure))


def lay_out(run, request, program):
    """Write the request of a run into its directory, and return it as the program gets it."""
    make_directory(run.work)
    make_directory(run.temporary)
    given = dict(request, program=program)
    if program == "inspect":
        given["result"] = os.path.join(run.path, FINDINGS)
    write_json(os.path.join(run.path, REQUEST), given)
    return given


def command(run, code, generation):
    """Return the command line of a run; `code` is the path of the packed supervisor."""
    return with_stack(generation, [python_of(generation), "-B", code, COMMAND, os.path.join(run.path, REQUEST)])


def say(text):
    """Print a line without buffering, in UTF-8 whatever the locale is."""
    write_all(1, (as_text(text) + as_text("\n")).encode("utf-8", "replace"))


def main(args):
    """`[attached] REQUEST`: run the program of this request, and write result.json. Returns the exit code, 0 or 1.

    `attached` is for a child process of `provision`: the child ends if `provision` ends. `provision` prints the error,
    and the traceback of a bug, from the result.
    """
    attached = args[0] == "attached"
    if attached:
        end_with_parent(signal.SIGTERM)
    path = args[-1]
    result, problem = {}, ""
    try:
        request = read_native(path)
        result = program_of(request["program"])(request, say)
    except StackError as error:
        problem = as_text(str(error))
        result = dict(error.details)
    except KeyboardInterrupt:
        problem = as_text("it was interrupted. The same command continues where it stopped")
    except (IOError, OSError) as error:
        problem = os_error_in_words(error)
        result = {"code": codes.of_errno(error.errno)}
    except MemoryError:
        problem = as_text("there is not enough memory. Use fewer processes (--jobs), or free some memory")
        result = {"code": codes.MEMORY_FULL}
    except Exception as error:
        problem = as_text("this is a bug in neuraltalk-provision: %s: %s" % (type(error).__name__, text_of(error)))
        result = {"code": codes.BUG, "traceback": as_text(traceback.format_exc())}
        if not attached:
            report = os.path.join(os.path.dirname(path), "bug.txt")
            write_whole(report, result["traceback"])
            problem += as_text(". Report it with ") + as_text(report)
    if problem:
        result = dict(result, error=problem)
        if not attached:
            say(as_text("Error: ") + problem)
    write_json(os.path.join(os.path.dirname(path), RESULT), result)
    return 1 if problem else 0
