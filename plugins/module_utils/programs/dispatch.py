# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The programs that runs execute: train.lua and eval.lua with Torch, and ours for data with Python.

For each: the checks before it starts, the contents of the run's directory, and its command line.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from . import data
from ..runs import launch as torch

CODE = "supervisor.zip"
"""The file with the packed supervisor, in the directory of its first run."""


def refuse(run, program, arguments, files, generation):
    """StackError if it is known before the start that the run would fail on this host.

    Called as the account that the run belongs to, because this account has to read the files.
    """
    if program in data.PROGRAMS:
        data.refuse(program, arguments, generation)
    else:
        torch.refuse(run, program, arguments, files, generation)


def lay_out(run, arguments, program, generation, stopped):
    """Fill the run's directory; return (arguments for the program, images, pictures that were set aside).

    Stopped is raised if `stopped()` returns True meanwhile.
    """
    if program in data.PROGRAMS:
        return data.lay_out(run, arguments, program), {}, []
    return torch.lay_out(run, arguments, program, generation, stopped)


def command(run, program, effective, generation, supervisor):
    """Return the command line of a run; `supervisor` is the directory of its supervisor."""
    if program in data.PROGRAMS:
        return data.command(run, os.path.join(supervisor, CODE), generation)
    return torch.command(run, program, effective, generation)


def writes_to(program, arguments):
    """Return the directories outside its own to which a run writes."""
    if program in data.PROGRAMS:
        return [folder for _option, folder in data.outputs(program, arguments)]
    folder = arguments.get("checkpoint_path")
    return [folder] if folder else []
