# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Names of controllers, and the description of a lease for messages. Used on hosts and on the controller; pure.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import re

from .texts import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping  # noqa: F401

UNKNOWN = "-"
"""The value of a part of the name that the machine does not report."""
BOOT = "/proc/sys/kernel/random/boot_id"
"""The file in which Linux reports the id of its boot."""
TAKE_OVER = "run the command that changes the host, for example `provision site`, with --take-over"
"""What to do if another controller has ended. Also commands without this option, and plain playbooks, print it."""
MACHINE, SPACE, NETWORK = "/etc/machine-id", "/proc/self/ns/pid", "/sys/class/net"
"""Where Linux shows the id of the machine, the PID namespace of a process, and the network interfaces."""
FORM = re.compile(
    r"(?P<host>\S+) pid (?P<pid>\d+) since (?P<since>\d+)"
    r" boot (?P<boot>\S+) space (?P<space>\S+) machine (?P<machine>\S+)\Z"
)


def name_of(host, pid, since, boot, space, machine):
    # type: (str, int, int, str, str, str) -> str
    """A controller's name, built from what identifies its process.

    `since` is the start of the process in clock ticks since boot, `boot` the id of that boot, `space` the PID namespace
    of `pid`, and `machine` the machine's id. `host` is for people only.
    """
    parts = (re.sub(r"\s+", "_", host) or UNKNOWN, pid, since, boot or UNKNOWN, space or UNKNOWN, machine or UNKNOWN)
    return "%s pid %s since %s boot %s space %s machine %s" % parts


def machine_of(machine_id, cards=()):
    # type: (str, Iterable[str]) -> str
    """The id of a machine for names, hashed, because it must not be published; empty if there is none.

    With the hardware addresses of its network cards, clones of a machine have other ids.
    """
    text = " ".join(["neuraltalk-provision machine", machine_id] + list(cards))
    return str(hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]) if is_digest(machine_id) else ""


def is_digest(text):
    # type: (str) -> bool
    """Whether the text consists of 32 hexadecimal digits, as machine ids and our digests do."""
    return re.match(r"[0-9a-f]{32}\Z", text) is not None


def parse(name):
    # type: (str | None) -> dict[str, str | Any] | None
    """The parts of a controller's name; None if `name` is not one."""
    found = FORM.match(name or "")
    return found.groupdict() if found else None


def describe(lease):
    # type: (Mapping[str, Any]) -> str
    """A sentence about a lease {holder, host, what, since}: who holds it, since when and for which command."""
    parts = parse(lease.get("holder"))
    who = "pid %(pid)s on %(host)s (machine %(machine)s)" % parts if parts else lease.get("holder") or "somebody"
    when = moment(lease.get("since"))
    return plain('%s has had it since %s, for "%s"' % (who, when, lease.get("what") or "provision"))


def plain(text):
    # type: (str) -> str
    """The text in printable ASCII. What a lease contains cannot be trusted."""
    return re.sub(r"[\x00-\x1f\x7f]", "?", str(text.encode("ascii", "backslashreplace").decode("ascii")))
