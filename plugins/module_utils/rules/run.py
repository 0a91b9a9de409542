# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Facts about runs for hosts and the controller: names of files and models, the record, and when a run succeeded.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping  # noqa: F401

RECORD = "run.json"
"""What the user requested: `requested` (the options), program, parent, stage, until, supervisor (a directory)."""
PROCESS = "process.json"
"""Its process, with the start time and the card, and `effective`: the options that the program was given."""
IMAGES = "images.json"
"""The original name of each picture, by the name of its link, and the pictures that were set aside."""
LOG = "log"
"""The output of the program."""
SAMPLES = "samples"
"""One JSON object per line: the processor time and the card that the run used at that time."""
EXIT = "exit"
"""Its exit code; if a signal ended it, the negative number of the signal."""
ENDED = "ended.json"
"""Why the supervisor ended it or did not start it: `by`, in one word, and the evidence."""
STOPPED = "stopped"
"""This file exists if somebody has requested the end of the run."""
STATE = "state.json"
"""The supervisor's process, in the supervisor's directory."""
PLAN = "plan.json"
"""The runs that the supervisor starts, in order."""
SUPERVISOR_LOG = "supervisor.log"
"""The output of the supervisor, in its directory."""
LINKED = ("train.lua", "eval.lua", "misc")
"""What a program of neuraltalk2 needs in the directory in which it starts: links to these files of the generation."""
LONGEST_ID = 121
ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,%d}" % (LONGEST_ID - 1)
"""The pattern of a run's id, which is the name of its directory."""
RESERVED = (".last", ".new")
"""Endings that an id must not have, because the model of another run could get the same file name."""
STAGE_OVER = ("plateau", "iterations")
"""The values of `by` in ended.json that mean: the stage ended as planned."""
VALIDATION_LOSS = "validation loss"
"""The measure by which a training compares its models if it has no scores."""
BEST, LAST = ".t7", ".last.t7"
"""Endings of the names of models: of the best one, and of a later one that was not better (by our source edit)."""


def ended_well(status):
    # type: (Mapping[str, Any]) -> bool
    """Whether a run {exit_code, ended} succeeded: its program ended with 0, or its stage ended as planned."""
    return status["exit_code"] == 0 or (status["ended"] or {}).get("by") in STAGE_OVER


def is_id(name):
    # type: (str) -> bool
    """Whether a name can be the id of a run."""
    return bool(re.match(ID + r"\Z", name)) and not name.endswith(RESERVED)


def report(run_id):
    # type: (str) -> str
    """The name of the report that train.lua writes into the directory of its models."""
    return "model_id%s.json" % run_id


def is_best(file):
    # type: (str) -> bool
    """Whether a model was the best of its training when it was written."""
    return not file.endswith(LAST)


def split(program, options):
    # type: (str, Mapping[str, Any]) -> Any
    """The split of a data set that a program evaluates: always val for train.lua, for eval.lua the option -split."""
    return "val" if program == "train.lua" else options.get("split") or "test"
