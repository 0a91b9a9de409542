"""The file allowed_signers of OpenSSH: whose keys may sign the lock, from when, until when."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

NAMESPACE = "mirror-lock@neuraltalk-provision"
"""What our signatures are for: ssh-keygen accepts no signature that was made for anything else (git, mail, files)."""
MOST_LINES = 1000
LONGEST_NAME = 200
SOON = timedelta(days=31)
"""A key that expires within this time is reported."""

Standing = Literal["valid", "not yet valid", "expired", "other purpose"]
_KEY_TYPE = re.compile(r"(ssh-|ecdsa-|sk-)\S+")
_OPTION = re.compile(r"""([^,="]+)(?:="([^"]*)"|=([^,"]*))?(?:,|$)""")
_FORMATS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@dataclass(frozen=True)
class Signer:
    """One line: the names of a signer, the key, and the limits of its use."""

    names: tuple[str, ...]
    kind: str
    key: bytes
    since: datetime | None
    until: datetime | None
    namespaces: str
    line: int

    @property
    def encoded(self) -> str:
        """The key as it is in the file."""
        return base64.b64encode(self.key).decode()

    def for_ssh_keygen(self) -> str:
        """The line for `ssh-keygen -Y verify`, without dates, because OpenSSH before 8.8 cannot read them."""
        limit = f'namespaces="{self.namespaces}" ' if self.namespaces else ""
        return f"{self.names[0]} {limit}{self.kind} {self.encoded}\n"


@dataclass(frozen=True)
class Judgement:
    """Whether a key counts at some moment, and why, in words."""

    state: Standing
    words: str


def parse(content: bytes) -> tuple[Signer, ...]:
    """The signers of a file. Raises ValueError, with the line, for anything that we do not read as ssh-keygen does.

    Names are plain: patterns such as *@site, certificates and certificate authorities are refused, because then nobody
    could say by whom a lock was signed.
    """
    try:
        lines = content.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not text in UTF-8: {error.reason} at byte {error.start}") from None
    if len(lines) > MOST_LINES + 1:
        raise ValueError(f"it has more than {MOST_LINES} lines")
    found = []
    for number, line in enumerate(lines, start=1):
        text = line.strip(" \t\r")
        if text and not text.startswith("#"):
            try:
                found.append(_signer(text, number))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    return tuple(found)


def public_line(key: bytes) -> str:
    """What follows the name in a line for this key, limited to signatures over locks."""
    (length,) = struct.unpack_from(">I", key)
    kind = key[4 : 4 + length].decode("ascii", "replace")
    return f'namespaces="{NAMESPACE}" {kind} {base64.b64encode(key).decode()}'


def _signer(text: str, number: int) -> Signer:
    written, rest = _field(text)
    if re.fullmatch(r'"[^"]*"', written):
        written = written[1:-1]
    names = tuple(_name(name) for name in written.split(","))
    options = {}
    if rest and not _KEY_TYPE.match(rest):
        written, rest = _field(rest)
        options = _options(written)
    kind, _, rest = rest.partition(" ")
    encoded = rest.strip().split(" ")[0]
    if not kind or not encoded:
        raise ValueError("there is no key after the name")
    since, until = (_date(name, options.get(name)) for name in ("valid-after", "valid-before"))
    if since and until and since > until:
        raise ValueError("valid-after is later than valid-before")
    return Signer(names, kind, _key(kind, encoded), since, until, options.get("namespaces", ""), number)


def _field(text: str) -> tuple[str, str]:
    """(the first field, the rest). A space within quotes does not end a field."""
    match = re.match(r'((?:"[^"]*"|[^\s"])+)(?:\s+|$)', text)
    if not match:
        raise ValueError("a quote is not closed")
    return match[1], text[match.end() :]


def _name(name: str) -> str:
    if not name:
        raise ValueError("a name is empty")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"a name is longer than {LONGEST_NAME} characters")
    if re.search(r"[*?!]", name):
        raise ValueError(f"the name {name!r} is a pattern: write out the names of the signers")
    if not name.isprintable() or " " in name or '"' in name:
        raise ValueError(f"the name {name!r} contains a space, a quote or a character that cannot be shown")
    return name


def _options(text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    while text:
        match = _OPTION.match(text)
        if not match:
            raise ValueError(f'{text!r} is not an option: write NAME or NAME="VALUE", with commas between them')
        text = text[match.end() :]
        name, option, value = match[1], match[1].lower(), match[2] or match[3]
        if option == "cert-authority":
            raise ValueError("cert-authority is not supported: write the keys of the signers themselves")
        if option not in ("namespaces", "valid-after", "valid-before"):
            raise ValueError(f"{name!r} is not an option: it can be namespaces, valid-after or valid-before")
        if option in options:
            raise ValueError(f"{option} is given twice")
        if not value:
            raise ValueError(f"{option} needs a value")
        options[option] = value
    return options


def _date(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    digits = text.removesuffix("Z")
    try:
        found = datetime.strptime(digits if digits.isascii() and digits.isdecimal() else "", _FORMATS[len(digits)])
        return found.replace(tzinfo=UTC) if text.endswith("Z") else found.astimezone()
    except (KeyError, ValueError, OverflowError):
        raise ValueError(f"{name}={text} is not a date: write it as 20271231 or 202712312359") from None


def _key(kind: str, encoded: str) -> bytes:
    if "-cert-" in kind:
        raise ValueError("certificates are not supported: write the key of the signer itself")
    try:
        key = base64.b64decode(encoded, validate=True)
        (length,) = struct.unpack_from(">I", key)
        inside = key[4 : 4 + length].decode("ascii")
    except (binascii.Error, struct.error, UnicodeDecodeError):
        raise ValueError("the key is damaged: copy its .pub file again") from None
    if inside != kind:
        raise ValueError(f"the key is damaged: it says that it is {inside[:40]}, but the line says {kind[:40]}")
    return key


def judge(signer: Signer, now: datetime) -> Judgement:
    """Whether a signer's key counts at `now`. The words of a refusal contain `now`, because a clock can be wrong."""
    if not _for_locks(signer.namespaces):
        return Judgement("other purpose", f"line {signer.line} allows the key only for namespaces={signer.namespaces}")
    clock = f"; the clock of this machine says {_moment(now)}"
    if signer.since and now < signer.since:
        return Judgement(
            "not yet valid", f"not valid before {_moment(signer.since)}, in {_days(signer.since - now)}{clock}"
        )
    if signer.until and now > signer.until:
        return Judgement("expired", f"expired on {_moment(signer.until)}, {_days(now - signer.until)} ago{clock}")
    since = f" since {_moment(signer.since)}," if signer.since else ""
    if signer.until is None:
        return Judgement("valid", f"valid{since} without an end")
    left = signer.until - now
    more = "less than a day" if left.days < 1 else f"{left.days} more day{'s' * (left.days != 1)}"
    soon = ": expires soon" if left <= SOON else ""
    return Judgement("valid", f"valid{since} until {_moment(signer.until)}, for {more}{soon}")


def _for_locks(patterns: str) -> bool:
    if not patterns:
        return True
    given = patterns.split(",")
    refused = any(fnmatch.fnmatchcase(NAMESPACE, pattern[1:]) for pattern in given if pattern.startswith("!"))
    return not refused and any(fnmatch.fnmatchcase(NAMESPACE, pattern) for pattern in given)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _days(span: timedelta) -> str:
    return "less than a day" if span.days < 1 else f"{span.days} day{'s' * (span.days != 1)}"
