# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The paths below a stack root and in a generation.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import posixpath

GENERATIONS = "generations"
CURRENT = "current"
"""The link to the generation that is used."""
ARTIFACTS, BUILD, LOGS, RUNS, QUEUE = "artifacts", "build", "logs", "runs", "queue"
HISTORY, LEASE, ROOT_ID, ACCOUNT = "history.json", "lease.json", "root-id.json", "account.json"
"""The files with the previous generation, the lease's holder, the id of the stack root, and the account of runs."""
ACTIVATION, RETURN_PROGRAM = "activation.json", "activation.zip"
"""The record of an activation that is not confirmed, and the program that returns the host if nobody confirms it."""
STARTS = "starts.json"
"""The file that exists while the start of runs is refused."""
SEAL, MANIFEST, STAMPS = "generation.json", "manifest", "stamps"
"""In a generation: its seal, its manifest, and the directory of its stamps."""
INSTALLED, BUILDING = "installed", "building.json"
"""In a generation: the list of the files that its components installed, and what was there when a build began."""
OURS = (
    GENERATIONS, ARTIFACTS, BUILD, LOGS, CURRENT, LEASE, HISTORY, ACTIVATION, RETURN_PROGRAM, STARTS, ROOT_ID, ACCOUNT,
)  # fmt: skip
"""The entries that belong to the user who installs the stack. Runs belong to the user of the run."""


def generations(root):
    # type: (str) -> str
    """The directory of all generations."""
    return posixpath.join(root, GENERATIONS)


def generation(root, name):
    # type: (str, str) -> str
    """The directory of the generation with that id."""
    return posixpath.join(root, GENERATIONS, name)


def current(root):
    # type: (str) -> str
    """The link to the generation that is used."""
    return posixpath.join(root, CURRENT)


def history(root):
    # type: (str) -> str
    """The file that names the generation that was current before."""
    return posixpath.join(root, HISTORY)


def activation(root):
    # type: (str) -> str
    """The record of the activation that is not confirmed yet, or of the return from it."""
    return posixpath.join(root, ACTIVATION)


def return_program(root):
    # type: (str) -> str
    """The program that returns the host to the former generation."""
    return posixpath.join(root, RETURN_PROGRAM)


def activation_log(root):
    # type: (str) -> str
    """The log of that program."""
    return posixpath.join(root, LOGS, "activation.log")


def account(root):
    # type: (str) -> str
    """The file with the uid and the gid of the account that runs belong to."""
    return posixpath.join(root, ACCOUNT)


def root_id(root):
    # type: (str) -> str
    """The file with the id of the stack root."""
    return posixpath.join(root, ROOT_ID)


def controller(root):
    # type: (str) -> str
    """The file that names the controller that built last."""
    return posixpath.join(root, LOGS, "controller")


def seal(directory):
    # type: (str) -> str
    """The seal of a generation, which exists only if the generation is complete."""
    return posixpath.join(directory, SEAL)


def runs(root):
    # type: (str) -> str
    """The directory of all runs."""
    return posixpath.join(root, RUNS)


def locks(root):
    # type: (str) -> str
    """The directory of the runs' locks."""
    return posixpath.join(root, RUNS, ".locks")


def queue(root):
    # type: (str) -> str
    """The directory of runs that were submitted to Slurm."""
    return posixpath.join(root, QUEUE)
