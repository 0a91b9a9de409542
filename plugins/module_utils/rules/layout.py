# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Where what lies below a stack root, and in a generation.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import posixpath

GENERATIONS = "generations"
CURRENT = "current"
"""The link to the generation that is used."""
ARTIFACTS, BUILD, LOGS, RUNS, QUEUE = "artifacts", "build", "logs", "runs", "queue"
HISTORY, LEASE = "history.json", "lease.json"
"""Which generation was current before, and who works on the stack now."""
SEAL, MANIFEST, STAMPS = "generation.json", "manifest", "stamps"
"""In a generation: that it is whole, what lies in it, and which components were built."""
OURS = (GENERATIONS, ARTIFACTS, BUILD, LOGS, CURRENT, LEASE, HISTORY)
"""What belongs to whoever installs the stack; runs belong to who runs them."""


def generations(root):
    # type: (str) -> str
    """The directory of all generations."""
    return posixpath.join(root, GENERATIONS)


def generation(root, name):
    # type: (str, str) -> str
    """The directory of a generation, by its id."""
    return posixpath.join(root, GENERATIONS, name)


def current(root):
    # type: (str) -> str
    """The link to the generation that is used."""
    return posixpath.join(root, CURRENT)


def history(root):
    # type: (str) -> str
    """The file that says which generation was current before."""
    return posixpath.join(root, HISTORY)


def controller(root):
    # type: (str) -> str
    """The file that says who builds."""
    return posixpath.join(root, LOGS, "controller")


def seal(directory):
    # type: (str) -> str
    """The file by which a generation is whole."""
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
    """The directory of what was given to a queue of the site."""
    return posixpath.join(root, QUEUE)
