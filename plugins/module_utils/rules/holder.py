# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Names of controllers, and a lease on a host in words: the pure part, read by modules on hosts and by the controller.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from .texts import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping  # noqa: F401

NOWHERE = "-"
"""Stands for what a machine does not tell of itself."""
BOOT = "/proc/sys/kernel/random/boot_id"
"""Where Linux has the id of its boot."""
FORM = re.compile(
    r"(?P<host>\S+) pid (?P<pid>\d+) since (?P<since>\d+)"
    r" boot (?P<boot>\S+) space (?P<space>\S+) machine (?P<machine>\S+)\Z"
)


def name_of(host, pid, since, boot, space, machine):
    # type: (str, int, int, str, str, str) -> str
    """A controller's name.

    `since` is the kernel's start of the process, in ticks since boot, `boot` the id of that boot, `space` the process
    namespace in which `pid` counts, `machine` the machine's id; `host` is for people only.
    """
    words = (re.sub(r"\s+", "_", host) or NOWHERE, pid, since, boot or NOWHERE, space or NOWHERE, machine or NOWHERE)
    return "%s pid %s since %s boot %s space %s machine %s" % words


def parse(name):
    # type: (str | None) -> dict[str, str | Any] | None
    """The parts of a controller's name; None where it is none."""
    found = FORM.match(name or "")
    return found.groupdict() if found else None


def told(lease):
    # type: (Mapping[str, Any]) -> str
    """Who has a lease {holder, host, what, since}, since when and from where, in words."""
    parts = parse(lease.get("holder"))
    who = "pid %(pid)s on %(host)s (machine %(machine)s)" % parts if parts else lease.get("holder") or "somebody"
    when = moment(lease.get("since"))
    return plain("%s has had it since %s, for `%s`" % (who, when, lease.get("what") or "provision"))


def plain(text):
    # type: (str) -> str
    """The text in printable ASCII: whoever wrote a lease chose its words."""
    return re.sub(r"[\x00-\x1f\x7f]", "?", str(text.encode("ascii", "backslashreplace").decode("ascii")))
