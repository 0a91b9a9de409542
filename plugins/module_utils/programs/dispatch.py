# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The programs that runs execute: train.lua and eval.lua by Torch, and ours that prepare and inspect data by Python.

Of each: what it is refused for before it starts, what lies in the run's directory, and its command line.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from . import data
from ..runs import launch as torch

CODE = "supervisor.zip"
"""The file in a supervisor's directory that holds it, with all that it imports."""


def refuse(run, program, arguments, files, generation):
    """StackError where the run cannot end well on this host, which is known before it starts.

    This is asked as the account that the run belongs to: what that cannot read is as good as not there.
    """
    if program in data.PROGRAMS:
        data.refuse(program, arguments, generation)
    else:
        torch.refuse(run, program, arguments, files, generation)


def lay_out(run, arguments, program, generation, stopped):
    """Fill the run's directory; (arguments as the program gets them, images, set aside).

    `stopped` says whether the run is wanted no more: Stopped is raised then.
    """
    if program in data.PROGRAMS:
        return data.lay_out(run, arguments, program), {}, []
    return torch.lay_out(run, arguments, program, generation, stopped)


def command(run, program, given, generation, supervisor):
    """The command line of a run; `supervisor` is the directory of what leads it."""
    if program in data.PROGRAMS:
        return data.command(run, os.path.join(supervisor, CODE), generation)
    return torch.command(run, program, given, generation)


def writes_to(program, arguments):
    """The directories outside of its own in which a run writes."""
    if program in data.PROGRAMS:
        return [folder for _option, folder in data.outputs(program, arguments)]
    folder = arguments.get("checkpoint_path")
    return [folder] if folder else []
