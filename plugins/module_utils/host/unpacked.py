# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What a generation that was unpacked needs from its host.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from .manifest import seal_of
from .packages import of_dpkg, of_rpm


def lacks(generation):
    """The OS packages that an unpacked generation needs and this host lacks; None if it was built on this host."""
    unpacked = seal_of(generation).get("unpacked")
    if not isinstance(unpacked, dict):
        return None
    wanted = [str(name) for name in unpacked.get("packages") or []]
    there = dict(of_rpm(wanted), **of_dpkg(wanted))
    return [name for name in wanted if name not in there]
