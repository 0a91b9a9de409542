# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What hosts and the controller both know of a run: names of its files, its record, its models, and a good ending.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping  # noqa: F401

RECORD = "run.json"
"""What was asked of it: `requested` (its options), program, parent, stage, until, supervisor (a directory)."""
PROCESS = "process.json"
"""The process that does it, with its start and its card, and `effective`: the options that its program got."""
IMAGES = "images.json"
"""Pictures by the plain names that they were linked under, and those that were set aside."""
LOG = "log"
"""What the program printed."""
SAMPLES = "samples"
"""One JSON object a line: what the process took, and where."""
EXIT = "exit"
"""Its exit code, minus the signal that ended it."""
ENDED = "ended.json"
"""Why the supervisor ended it, or never began it: `by`, in one word, and the evidence."""
STOPPED = "stopped"
"""Its presence says that somebody asked for the run's end."""
STATE = "state.json"
"""The supervisor's process, in the supervisor's directory."""
PLAN = "plan.json"
"""What the supervisor is to do."""
LONGEST_ID = 121
ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,%d}" % (LONGEST_ID - 1)
"""The form of a run's id, which names a directory."""
RESERVED = (".last", ".new")
"""What no id may end in: the file of another run's model would have the same name."""
STAGE_OVER = ("plateau", "iterations")
"""`by` of an ending that was the aim of the stage."""
VALIDATION_LOSS = "validation loss"
"""What a training judges its models by where it has no scores."""
BEST, LAST = ".t7", ".last.t7"
"""How the names of models end: of the best so far, and by our source edit of one that was no better."""


def ended_well(exit_code, by):
    # type: (int | None, str | None) -> bool
    """Whether a run did what it was started for: its program ended by itself, or its stage was over."""
    return exit_code == 0 or by in STAGE_OVER


def is_id(name):
    # type: (str) -> bool
    """Whether a name can be the id of a run."""
    return bool(re.match(ID + r"\Z", name)) and not name.endswith(RESERVED)


def report(run_id):
    # type: (str) -> str
    """The name of what train.lua writes beside its models."""
    return "model_id%s.json" % run_id


def is_best(file):
    # type: (str) -> bool
    """Whether a model is the best that its training had written by then."""
    return not file.endswith(LAST)


def requested(record):
    # type: (Mapping[str, Any]) -> Any
    """The options that a run was asked with. Records from before the first release call them `arguments`."""
    return record.get("requested", record.get("arguments"))


def effective(process):
    # type: (Mapping[str, Any]) -> Any
    """The options that a run's program got. Files from before the first release call them `arguments`."""
    return process.get("effective", process.get("arguments"))


def supervisor(record):
    # type: (Mapping[str, Any]) -> Any
    """The directory of the supervisor of a run. Records from before the first release call it `conductor`."""
    return record.get("supervisor", record.get("conductor"))


def split(program, options):
    # type: (str, Mapping[str, Any]) -> Any
    """The split of a data set that a program evaluates: train.lua always val, eval.lua what -split says."""
    return "val" if program == "train.lua" else options.get("split") or "test"
