# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Tries a part of the stack on a card of this host.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from .cards import VISIBLE, listed_cards, processes
from .choice import card_to_try, reasons_against_all, reserved, sort_cards
from ..host.errors import StackError
from ..host.lua import try_part
from ..runs.leases import taken

TRIAL_MEMORY = 1000
"""MiB that must be free on a card for a trial."""


def try_on_card(generation, part, log, archs, environment=None):
    """Test a part of the recipe, as `try_part`, on a card; without a card, that its modules are installed.

    `archs` is what the stack was built for; empty if that is not recorded. If the test fails and no card was free for
    it, the StackError says why.
    """
    variables, reasons = trial_environment(archs, _leased(generation))
    try:
        return try_part(generation, part, log, variables is not None, dict(environment or {}, **(variables or {})))
    except StackError as error:
        if not reasons:
            raise
        raise StackError("%s. No card was free for the test: %s" % (error, "; ".join(reasons)), **error.details)


def _leased(generation):
    """{uuid: run} of the cards that runs use or have reserved, as far as this user may read that."""
    try:
        return taken(os.path.dirname(os.path.dirname(os.path.realpath(generation))))
    except (IOError, OSError):
        return {}


def trial_environment(archs, leased):
    """(the variables for a program that tries the stack on a card, or None without a card; why no card was chosen).

    The program gets one card that has room: cutorch opens a context on every card that it sees, and fails if one of
    them does not accept it. If no card is free, if nvidia-smi does not list the processes, or if the login names the
    cards to use, it sees what the login sees. StackError if it is not known whether there is a card, if no card can
    run a stack that was built for `archs`, or if none is free and one of them, as `leased` says, belongs to a run and
    accepts only one process.
    """
    found = listed_cards()
    if not found:
        return None, []
    refused = reasons_against_all(found, archs)
    if refused:
        raise StackError("no card of this host can be used: %s" % "; ".join(refused))
    if VISIBLE in os.environ:
        return {}, []
    try:
        running = processes()
    except ValueError:
        return {}, []
    kept = reserved(found, leased)
    card = card_to_try(TRIAL_MEMORY, found, running, kept, archs)
    if card:
        return {VISIBLE: card["uuid"]}, []
    others = sort_cards(TRIAL_MEMORY, found, running, kept, archs, only_idle=False)
    reasons = others["unusable"] + others["busy"]
    if kept:
        cure = "Run the same command again when the run has ended"
        raise StackError("no card of this host is free for a test of the stack: %s. %s" % ("; ".join(reasons), cure))
    return {}, reasons
