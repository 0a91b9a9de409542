"""What ssh says about a host key that is not the one in known_hosts, and what the user should do. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

_NAME = re.compile(r"[Hh]ost key for (?P<name>\S+) has changed")
_KIND = re.compile(r"fingerprint for the (?P<kind>[A-Z0-9]+) key")
_PLACE = re.compile(r"Offending (?:\S+ )?key (?:for IP )?in (?P<file>[^\r\n]+):(?P<line>\d+)")


@dataclass(frozen=True)
class ChangedKey:
    """A host whose key differs from the one in `file`, at this line."""

    name: str
    file: str
    line: int
    kind: str = "ed25519"
    """The kind of the key, as in the name of the host's file."""

    def advice(self, host: str) -> str:
        """What the changed key can mean, and how the old one is removed after the new one was checked.

        `host` is its name in the inventory. A host that ends with exit code 255 can print any words, and Ansible takes
        them for those of ssh.
        """
        doubt = (
            f". If {self.name} is not the address of {host}, nor a machine on the way to it, {host} has only printed "
            "these words: then remove nothing, and do not trust this host"
        )
        remove = shlex.join(["ssh-keygen", "-f", self.file, "-R", self.name])
        return (
            f"the SSH host key of {self.name} has changed: it is not the one in {self.file}, line {self.line}. Either "
            "the host was installed again, or another machine answers in its place. Check first which it is: compare "
            f"the fingerprint below with what `ssh-keygen -lf /etc/ssh/ssh_host_{self.kind}_key.pub` prints on the "
            f"host's own console. Only if they are equal, remove the old key with `{remove}` and log in once by hand"
            f"{'' if self.name == host else doubt}"
        )


def changed(message: str) -> ChangedKey | None:
    """The changed key that ssh reports in this message; None if the message does not name host and place."""
    name, place = _NAME.search(message), _PLACE.search(message)
    if not name or not place:
        return None
    kind = _KIND.search(message)
    known = {"kind": kind["kind"].lower()} if kind else {}
    return ChangedKey(name["name"], place["file"], int(place["line"]), **known)
