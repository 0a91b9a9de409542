# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Which cards of a host a run could use now.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..gpu.cards import detect, listed_cards, processes
from ..gpu.choice import sort_cards
from ..host.errors import StackError
from ..host.manifest import built_for
from ..host.stamps import read_stamps
from ..host.texts import text_of
from .launch import NO_GPU_PART, backend_of, current_generation
from .leases import taken
from ..rules.gpu import NONE


def cards_now(root, memory, backend=""):
    """{free, unusable, busy}, as of `sort_cards`: which cards a run that needs this much memory (MiB) could use now.

    StackError if that cannot be determined. If the stack of this host cannot use cards, or does not have the `backend`
    that the run requests, none of them is free.
    """
    try:
        generation = current_generation(root)
        stamps = read_stamps(generation)
        if "cutorch" not in stamps:
            raise StackError(NO_GPU_PART)
        backend_of(stamps, backend)
    except StackError as error:
        return {"free": [], "unusable": [str(error)] * (detect()["answer"] != NONE), "busy": []}
    found = listed_cards()
    try:
        return sort_cards(memory, found, processes() if found else [], taken(root), built_for(generation))
    except ValueError as error:
        raise StackError("it is not known which cards are free: %s" % text_of(error))
