"""What apt reports, in words with the next step. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror.pull_errors import AGAIN, Cause, first_cause
from neuraltalk_provision.rules.texts import some

FAILED = re.compile(
    r"^((E|Error): |(W|Warning): (Failed to fetch|GPG error|OpenPGP sig|An error occurred|Some index|.*not signed)).*$",
    re.M,
)
"""The lines with which an update is not complete, also if apt's exit code is 0."""
_CONSEQUENCE = "but it is not going to be installed"
"""The end of a line about a package that is left out because of another one, which has a line of its own."""
_PREFIX = re.compile(r"^(E|W|Error|Warning): ")


_KEY = (
    "Get the keys of the repository from its distribution, for example from a package such as debian-archive-keyring "
    "or ubuntu-keyring, and name their file as signed_by in the file of --repositories."
)
_PROXY = "If this network has a proxy, set http_proxy and https_proxy, or Acquire::http::Proxy in apt's configuration, "
_CAUSES = (
    Cause(r"No space left on device|Disk quota exceeded", "this disk is full", "Free some space, " + AGAIN),
    Cause(
        r"EXPKEYSIG|expired key|key .*expired|Expired on \d{4}-",
        "it is signed with a key that has expired",
        _KEY + " If those keys have expired too, use a repository that is still maintained.",
    ),
    Cause(r"REVKEYSIG|key .*revoked", "it is signed with a key that was revoked", "Do not use this repository."),
    Cause(
        r"BADSIG|signatures? (were|was) invalid|[Bb]ad signature|manipulated",
        "its signature is wrong: the index was changed after it was signed, here or on the way",
        "Try again later; a mirror that is just updated can look so. If it stays, do not use this repository.",
    ),
    Cause(r"NO_PUBKEY|Missing key|public key is not available", "none of the given keys has signed it", _KEY),
    Cause(
        r"is expired \(invalid since|is not valid yet|Release file .* expired",
        "its index is older than its signers allow, so its packages can have known faults, or the clock of this "
        "machine is wrong",
        "Check the clock. Use a repository that is still updated; for a copy that you froze on purpose, set "
        "check_valid_until: false in the file of --repositories.",
    ),
    Cause(
        r"NOSPLIT|Clearsigned file isn't valid|does the network require authentication",
        "the answer is not that of a repository; it looks like a web page, for example the login page of a proxy",
        _PROXY + AGAIN,
    ),
    Cause(
        r"Hash Sum mismatch|unexpected size|Mirror sync in progress",
        "its files are not those that its signed index lists: it is just updated, or somebody changed them",
        "Try again in some minutes. If it stays, use another mirror of the repository.",
    ),
    Cause(
        r"Could not resolve|Temporary failure resolving|Name or service not known",
        "the name of the server cannot be resolved (no network, or no DNS)",
        "Check `getent hosts NAME`. " + _PROXY + AGAIN,
    ),
    Cause(
        r"407 +Proxy|Proxy Authentication|Invalid response from proxy",
        "the proxy does not let it pass",
        "Check the address of the proxy, and its user name and password if it asks for them.",
    ),
    Cause(
        r"[Cc]ertificate|SSL|TLS",
        "the server's certificate is not accepted",
        "If a proxy of this network opens TLS connections, set Acquire::https::CaInfo in apt's configuration to the "
        "file of its CA.",
    ),
    Cause(
        r"Could not connect|Unable to connect|Connection (failed|refused|timed out|reset)|Network is unreachable",
        "the server cannot be reached",
        _PROXY + AGAIN,
    ),
    Cause(
        r"401 +Unauthorized|403 +Forbidden",
        "the server asks for a user name, or refuses it",
        "Put the login into /etc/apt/auth.conf, which apt reads, and into ~/.netrc.",
    ),
    Cause(
        r"does not have a Release file|404 +Not Found|File not found|No such file",
        "there is no such repository or suite",
        "Old releases move to an archive of the distribution. Give the address and the suite that exist with "
        "--repositories FILE.",
    ),
    Cause(r"is not signed|no longer signed", "it has no signature", "Use a repository that its distribution signs."),
)


def of_update(key: str, errors: str) -> MirrorError:
    """The error for an `apt-get update` that was not complete; `key` is the platform."""
    lines = _lines(errors)
    # What apt says at the end sums up; the lines before have the reason.
    cause = first_cause(_CAUSES, "\n".join(lines))
    line = next((line for line in lines if cause and re.search(cause.words, line)), lines[0])
    said = _PREFIX.sub("", line)[:500]
    meaning = f"{cause.meaning}: " if cause else ""
    return MirrorError(
        f"the repository of {key} cannot be used: {meaning}{said}",
        advice=cause.advice if cause else "Look at apt's message, " + AGAIN,
    )


def reason(errors: str) -> str:
    """Why packages cannot be installed, in a few words."""
    unknown = re.findall(r"Unable to locate package (\S+)|Package '?([^\s']+)'? has no installation candidate", errors)
    if unknown:
        names = sorted({one or other for one, other in unknown})
        return f"the repositories do not have {', '.join(names)}"
    unmet = re.findall(r"^ (\S+) : ((?:Depends|PreDepends|Pre-Depends|Conflicts|Breaks): .*)$", errors, re.M)
    if unmet:
        unmet = [one for one in unmet if not one[1].endswith(_CONSEQUENCE)] or unmet
        return "; ".join(f"{name}: {' '.join(what.split())}" for name, what in unmet[:3])[:500]
    lines = _lines(errors)
    return _PREFIX.sub("", lines[0])[:500]


def not_installable(key: str, names: Iterable[str], errors: str) -> MirrorError:
    """The error for required packages that cannot be installed."""
    return MirrorError(
        f"the repositories of {key} cannot install what is required ({some(list(names), 10)}): {reason(errors)}",
        advice="Give all repositories of the platform with --repositories FILE: those of the release, its updates and "
        "its security updates, with the component that has the package.",
    )


def _lines(errors: str) -> list[str]:
    """The lines that say what failed; all lines if none says so."""
    return [line for line in errors.splitlines() if FAILED.match(line)] or errors.splitlines() or ["no message"]
