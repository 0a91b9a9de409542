"""What went wrong with a transfer, in words with the next step, by what git and curl report. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from neuraltalk_provision.errors import EXHAUSTED, MirrorError, ProvisionError, UsageError, naming

AGAIN = "then run the same command again; what has arrived is kept."


@dataclass(frozen=True)
class Cause:
    """Words of a program, what they mean, what to do, and whether another attempt would end in the same way."""

    words: str
    meaning: str
    advice: str
    final: bool = True


_PROXY = "If this network has a proxy, set HTTPS_PROXY (http_proxy for http://) to its address, " + AGAIN
_FULL = Cause(
    r"No space left on device|Disk quota exceeded",
    "this disk is full",
    "Free some space, " + AGAIN,
)
_NAME = Cause(
    r"Could not resolve (host|proxy|hostname)|Name or service not known|Temporary failure in name resolution",
    "the name of the server cannot be resolved (no network, or no DNS)",
    "Check `getent hosts NAME`. " + _PROXY,
    final=False,
)
_REACH = Cause(
    r"Failed to connect|Connection refused|Connection timed out|Network is unreachable|No route to host"
    r"|Connection reset|timed out|Operation too slow",
    "the server cannot be reached",
    _PROXY,
    final=False,
)
_TLS = Cause(
    r"certificate|SSL|TLS",
    "the server's certificate is not accepted",
    "If a proxy of this network opens TLS connections, give its CA's file: `git config --global http.sslCAInfo "
    "FILE`, and CURL_CA_BUNDLE=FILE for files; " + AGAIN,
)
_CAUSES = (
    _FULL,
    Cause(
        r"cannot run ssh|\bssh: (command )?not found",
        "this machine has no program ssh, which git needs for this address",
        "Install it (openssh-client or openssh-clients), " + AGAIN,
    ),
    Cause(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the server has another SSH host key than before, or it is another server",
        "Ask those who maintain it. If the new key is right, remove the old one with `ssh-keygen -R HOST`, and log in "
        "once with `ssh HOST`, " + AGAIN,
    ),
    Cause(
        r"Host key verification failed",
        "the SSH host key of the server is not known here",
        "Log in once with `ssh HOST`, and compare the fingerprint before you accept it, " + AGAIN,
    ),
    _NAME,
    _REACH,
    _TLS,
    Cause(
        r"CONNECT tunnel failed|after CONNECT|Proxy CONNECT aborted",
        "the proxy does not let it pass; code 407 means that it asks for a user name",
        "Check the address in HTTPS_PROXY (http://USER:PASSWORD@HOST:PORT if it asks for a user name), " + AGAIN,
    ),
    Cause(
        r"transport '.*' not allowed",
        "git was sent on to a protocol that is not used here",
        "Use an address with https://, by --addresses FILE.",
    ),
    Cause(
        r"dubious ownership",
        "the repository belongs to another user, so git does not read it",
        "`git config --global --add safe.directory DIRECTORY` allows it, if you trust that user.",
    ),
    Cause(
        r"not valid: is this a git repository|invalid server response|unable to parse|bad line length|<html|<!DOCTYPE",
        "the answer is not that of a git server; it looks like a web page, for example the login page of a proxy",
        "Open the address in a browser on this machine. " + _PROXY,
    ),
    Cause(
        r"terminal prompts disabled|Authentication failed|could not read (Username|Password)|Permission denied"
        r"|(HTTP code|returned error:) 40[137]",
        "the server (or the proxy) asks for a user name; GitHub does so too if a repository was removed or is private",
        "Check that the repository still exists. If it has moved, give the new address with --addresses FILE.",
    ),
    Cause(
        r"[Rr]epository .*not found|does not appear to be a git repository|returned error: 404|does not exist"
        r"|No such file or directory",
        "there is no such repository: it was removed, or it has moved",
        "Give its new address, or that of a copy, with --addresses FILE.",
    ),
    Cause(
        r"not our ref|unadvertised object|[Cc]ouldn't find remote ref|no such remote ref",
        "this repository does not have the commit (any more)",
        "Give the address of a copy that has it with --addresses FILE. A commit cannot be replaced by another one.",
    ),
    Cause(
        r"missing (blob|tree|commit)|bad object|unable to read|index-pack (failed|died)|invalid index-pack output"
        r"|did not send all necessary objects|remote did not send",
        "the repository is damaged or not complete at the source, or the transfer was cut",
        "Try again later, or give the address of another copy with --addresses FILE.",
        final=False,
    ),
)
_REFUSED_BY_COMMIT = re.compile(r"unadvertised object|shallow capabilities|does not support shallow|allow-.*-sha1")


def first_cause(causes: Iterable[Cause], text: str) -> Cause | None:
    """The first of these causes whose words are in what a program printed; None if there is none."""
    return next((cause for cause in causes if re.search(cause.words, text)), None)


def wants_all(errors: str) -> bool:
    """Whether the server may have the commit but does not give a single one: then everything is fetched."""
    return bool(_REFUSED_BY_COMMIT.search(errors))


def is_final(errors: str) -> bool:
    """Whether another attempt would certainly end in the same way."""
    cause = first_cause(_CAUSES, errors)
    return bool(cause and cause.final)


def of_git(address: str, actual: str, errors: str, commit: str = "") -> ProvisionError:
    """The error for a git that failed; `actual` is the address that it really used."""
    cause = first_cause(_CAUSES, errors)
    last = next((line for line in reversed(errors.splitlines()) if re.match(r"(fatal|error|remote):", line)), "")
    last = last or (errors.splitlines() or ["no message"])[-1]
    if cause and not re.search(cause.words, last):
        last = next((line for line in errors.splitlines() if re.search(cause.words, line)), last)
    place = address if actual == address else f"{address} (git uses {actual})"
    what = f"{place}{f', commit {commit}' if commit else ''}"
    if cause is None:
        return MirrorError(f"{what}: git failed: {last}", advice="Look at git's message, " + AGAIN)
    return MirrorError(f"{what}: {cause.meaning}: {last}", advice=cause.advice)


CUT, TOO_LARGE = 18, 63
"""The exit codes of curl for a file that is not complete, and for one that is larger than it should be."""
_NOT_THERE = Cause(
    "",
    "the server refuses it or does not have it",
    "Open the address in a browser. If the file has moved, give the new address with --addresses FILE, " + AGAIN,
)
_LOGIN = Cause(
    "",
    "the server asks for a user name, or refuses it",
    "Put the login into ~/.netrc, as `machine HOST login NAME password PASSWORD`, " + AGAIN,
)
_CURL = {
    5: Cause("", "the name of the proxy cannot be resolved", "Correct HTTPS_PROXY, " + AGAIN),
    6: _NAME,
    7: _REACH,
    CUT: Cause("", "the connection was closed before the file was complete", "Try again later, " + AGAIN),
    22: _NOT_THERE,
    28: _REACH,
    35: _TLS,
    37: Cause("", "there is no such file, or it cannot be read", "Correct the file of --addresses."),
    47: Cause("", "it is redirected in a circle", "Open the address in a browser, " + AGAIN),
    60: _TLS,
    TOO_LARGE: Cause("", "it is larger than it should be", "Check the address: this is not the file that was meant."),
    77: _TLS,
}
_CUT = frozenset({7, CUT, 28, 52, 55, 56, 92, 95})
_BUSY = re.compile(r"error: (408|429|500|502|503|504)\b")


def worth_another(code: int, errors: str) -> bool:
    """Whether another attempt with curl can help: a transfer that was cut, or a server that is busy."""
    return code in _CUT or (code == 22 and bool(_BUSY.search(errors)))


def of_curl(address: str, code: int, errors: str) -> ProvisionError:
    """The error for a curl that failed."""
    last = (errors.splitlines() or [f"exit code {code}"])[-1]
    cause = _CURL.get(code, Cause("", "curl failed", "Look at curl's message, " + AGAIN))
    if re.search(r"error: 40[13]\b", last):
        cause = _LOGIN
    return MirrorError(f"{address}: {cause.meaning}: {last}", advice=cause.advice)


def is_page(head: bytes) -> bool:
    """Whether a file that begins like this is a web page."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:2_000].lower()
    return text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml"))


def wrong_content(address: str, head: bytes, found: str, wanted: str) -> ProvisionError:
    """The error for a file that arrived whole with another digest; `head` is its beginning."""
    if is_page(head):
        title = re.search(rb"<title>\s*([^<]{1,80})", head, re.I)
        said = f', titled "{title[1].decode("utf-8", "replace").strip()}"' if title else ""
        return MirrorError(
            f"{address}: what arrived is a web page{said}, not the file: that of a proxy, or the file was removed",
            advice="Open the address in a browser on this machine. " + _PROXY,
        )
    return MirrorError(
        f"{address}: what arrived is another file: its sha256 is {found}, but it should be {wanted}",
        advice="It was not added. The file at the address was replaced, or somebody changes it on the way: ask those "
        "who maintain it, or bring the file that was meant with `provision mirror add`.",
    )


@contextmanager
def of_disk(place: object) -> Iterator[None]:
    """Convert an OSError in the block, which writes to `place`, to a MirrorError with the next step."""
    try:
        with naming(place, "written", MirrorError):
            yield
    except MirrorError as error:
        if error.advice or not isinstance(error.__cause__, OSError):
            raise
        full = error.__cause__.errno in EXHAUSTED
        advice = "Free some space, " if full else "Check who owns the directory and who may write there, "
        raise MirrorError(error.message, advice=advice + AGAIN) from error.__cause__


def missing_program(name: str) -> UsageError:
    """The error for a machine that lacks git or curl."""
    return UsageError(
        f"this machine does not have the program {name}, which fetches sources",
        advice=f"Install it, for example by `apt-get install {name}` or `dnf install {name}`.",
    )
