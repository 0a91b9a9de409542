"""Addresses of sources: which may be used, and which replace others (a site's own mirror, or files). Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any

from neuraltalk_provision.errors import UsageError

GIT = ("https", "http", "ssh", "file")
FILES = ("https", "http", "file")
MOST = 10_000
_LONGEST = 2_000
_FORM = "Write it as {https://github.com/torch: https://git.example.org/torch, ...}, one line for each beginning."


def parse(document: Any, name: str) -> dict[str, str]:
    """The map of addresses in a YAML document: {beginning of an address: what replaces it}."""
    if document is None:
        return {}
    if not isinstance(document, dict) or len(document) > MOST:
        raise UsageError(f"{name}: it must be a mapping of at most {MOST:,} addresses", advice=_FORM)
    found = {}
    for old, new in document.items():
        if not isinstance(old, str) or not isinstance(new, str):
            raise UsageError(f"{name}: {str(old)[:100]}: both sides must be text", advice=_FORM)
        for address in (old, new):
            if len(address) > _LONGEST or re.search(r"[\s\x00-\x1f\x7f]", address) or address[:1] in ("", "-"):
                raise UsageError(f"{name}: {address[:100]!r} is not an address", advice=_FORM)
        if scheme(new) not in GIT or "://" not in new:
            raise UsageError(
                f"{name}: {new[:100]!r} cannot replace an address",
                advice=f"It has to begin with {', '.join(f'{known}://' for known in GIT)}. A directory is "
                "written as file:///its/path.",
            )
        if scheme(new) in ("https", "http") and "@" in new.split("/")[2]:
            raise UsageError(
                f"{name}: the address that replaces {old} contains a user name or password, which other users could "
                "see in the list of processes",
                advice="Write the address without it, and put the login into ~/.netrc, which git and curl read.",
            )
        found[old] = new
    return found


def replaced(address: str, known: Mapping[str, str]) -> str:
    """The address with its longest known beginning replaced. A beginning ends at a `/`, or is the whole address."""
    for old in sorted(known, key=len, reverse=True):
        rest = address.removeprefix(old)
        if address.startswith(old) and (not rest or old.endswith("/") or rest.startswith("/")):
            return known[old] + rest
    return address


def unused(known: Mapping[str, str], every: Collection[str], *, certain: bool) -> list[str]:
    """A sentence for each line that replaces none of these addresses.

    With `certain`, they are all that there are. Otherwise only a line that is nearly a beginning of one is told.
    """
    beginnings = {address[: match.end()] for address in every for match in re.finditer(r"(?<=[^/:])(?=/|$)", address)}
    told = []
    for old in known:
        if all(replaced(address, {old: ""}) == address for address in every):
            near = difflib.get_close_matches(old.rstrip("/"), sorted(beginnings), 1, 0.8)
            meant = f"; did you mean {near[0]}?" if near else ""
            told += [f"nothing that is pulled has an address that begins with {old}{meant}"] if certain or near else []
    return told


def scheme(address: str) -> str:
    """The protocol of an address: `https`, `file`, `ssh` (also for host:path), or the name of a helper of git."""
    if match := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)(://|::)", address):
        return match[1].lower()
    return "ssh" if re.match(r"[^/]+:", address) else "file"


def refuse_unsafe(actual: str, address: str) -> None:
    """UsageError if git would use a protocol that is not allowed for the address."""
    protocol = scheme(actual)
    if protocol in GIT:
        return
    reason = "it is neither encrypted nor checked, and most servers do not answer to it any more"
    shown = actual if actual == address else f"{address}, which your git configuration replaces by {actual},"
    raise UsageError(
        f"{shown} has the protocol {protocol}:// that is not used here" + (f": {reason}" if protocol == "git" else ""),
        advice="Use https://. `--addresses FILE` replaces the address for this command, `insteadOf` in your git "
        "configuration for all.",
    )


def refuse_unsafe_file(actual: str) -> None:
    """UsageError if curl would use a protocol that is not allowed for files."""
    if scheme(actual) not in FILES:
        raise UsageError(
            f"{actual}: files are fetched only from {', '.join(f'{known}://' for known in FILES)}",
            advice="Correct the file of --addresses.",
        )
