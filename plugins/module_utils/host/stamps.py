# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The stamps of a generation: which components are built completely.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from .files import read_json
from ..rules import layout


def stamp_path(generation, component):
    """The path of the stamp of a component."""
    return os.path.join(generation, layout.STAMPS, component + ".json")


def read_stamps(generation):
    """{component: digest} of the components of a generation that are built completely."""
    directory = os.path.join(generation, layout.STAMPS)
    stamps = {}
    if os.path.isdir(directory):
        for name in sorted(os.listdir(directory)):
            stamp = read_json(os.path.join(directory, name)) if name.endswith(".json") else None
            if stamp and "digest" in stamp:
                stamps[name[: -len(".json")]] = stamp["digest"]
    return stamps
