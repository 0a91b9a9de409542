"""What to do about a host's failure, by its code. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from neuraltalk_provision.errors import HostError
from neuraltalk_provision.site import codes
from neuraltalk_provision.site.events import Failure

ADVICE: Mapping[str, str] = {
    codes.SUDO_PASSWORD: "its user has no sudo without a password: set ansible_become_password, or give it NOPASSWD",
    codes.SUDO_DENIED: "its user may not become root: choose another ansible_user, or give it sudo",
    codes.SSH_LOGIN: "the SSH login was refused: check ansible_user and the key",
    codes.SSH_HOST_KEY: "its SSH host key is not known: log in once by hand, or add it to known_hosts",
    codes.UNREACHABLE: "it cannot be reached by SSH: check ansible_host, the network and sshd",
    codes.DISK_FULL: "its disk is full: make room, then run the same command again; it goes on where it stopped",
    codes.MEMORY_FULL: "it has not enough memory: free some, or ask for less (build_jobs in provision.yml, --jobs)",
    codes.DISK_BROKEN: "its disk or file system reports errors: look into dmesg there",
    codes.FILE_DENIED: "the user that Ansible becomes there may not do this: set ansible_become, or mount it writable",
    codes.PYTHON_MISSING: "no Python was found there: set ansible_python_interpreter",
    codes.CUDNN_IN_USE: "end what uses it, or swap under it with --in-use: it keeps the old library until it ends",
    codes.CUDNN_FOREIGN: "somebody else's cuDNN is there: `provision cudnn swap --foreign` replaces it, with a backup",
    codes.BUG: "this is a bug in neuraltalk-provision: report it with the log of this command",
}


def explain(failure: Failure) -> str:
    """A failure in words: the host, the task, what to do where the cause is known, and what was said."""
    advice = ADVICE.get(failure.code, "")
    where = f"{failure.host}: " if failure.unreachable or not failure.task else f"{failure.host}, {failure.task}: "
    return f"{where}{advice}\n  {failure.message}" if advice else f"{where}{failure.message}"


def host_error(
    failures: Iterable[Failure], *, advice: str = "", document: Mapping[str, Any] | None = None
) -> HostError:
    """The error that names every host that failed; its document has their failures as data."""
    listed = tuple(failures)
    told = {"failures": [asdict(failure) for failure in listed]}
    return HostError("\n".join(map(explain, listed)), advice=advice, document={**(document or {}), **told})
