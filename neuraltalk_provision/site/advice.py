"""What to do about a host's failure. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from neuraltalk_provision.errors import HostError
from neuraltalk_provision.site.events import Failure


def explain(failure: Failure) -> str:
    """A failure in words that say what to do, where the cause is a known one."""
    message = failure.message
    lowered = message.lower()
    cure = ""
    if "missing sudo password" in lowered or "a password is required" in lowered:
        cure = "its user has no sudo without a password: set ansible_become_password, or give it NOPASSWD"
    elif "not in the sudoers" in lowered or "not allowed to execute" in lowered or "sudo: not found" in lowered:
        cure = "its user may not become root: choose another ansible_user, or give it sudo"
    elif "permission denied (" in lowered:
        cure = "the SSH login was refused: check ansible_user and the key"
    elif "host key verification failed" in lowered:
        cure = "its SSH host key is not known: log in once by hand, or add it to known_hosts"
    elif failure.unreachable:
        cure = "it cannot be reached by SSH: check ansible_host, the network and sshd"
    elif "no space left on device" in lowered:
        cure = "its disk is full: make room, then run the same command again; it goes on where it broke"
    elif "is in use by pid" in lowered:
        cure = "end what uses it, or swap under it with --in-use: it keeps the old library until it ends"
    elif "is newer than the" in lowered or "is no whole cudnn" in lowered:
        cure = "somebody else's cuDNN is there: `provision cudnn swap --foreign` replaces it, with a backup"
    elif re.search(r"interpreter .*not found|python[\d.]*: (command )?not found", lowered):
        cure = "no Python was found there: set ansible_python_interpreter"
    where = f"{failure.host}: " if failure.unreachable or not failure.task else f"{failure.host}, {failure.task}: "
    return f"{where}{cure}\n  {message}" if cure else f"{where}{message}"


def host_error(
    failures: Iterable[Failure], *, advice: str = "", document: Mapping[str, Any] | None = None
) -> HostError:
    """The error that names every host that failed."""
    return HostError("\n".join(map(explain, failures)), advice=advice, document=document)
