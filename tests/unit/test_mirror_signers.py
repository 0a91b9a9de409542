"""The file allowed_signers: what is read of it, what is refused, and whether a key counts today."""

from __future__ import annotations

import base64
import struct
from datetime import UTC, datetime, timedelta

import pytest

from neuraltalk_provision.mirror import signers
from neuraltalk_provision.mirror.signers import Signer

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def blob(kind: str = "ssh-ed25519", filling: bytes = b"k") -> str:
    """A public key in base64, as it stands in a file."""
    content = filling * 32
    return base64.b64encode(
        struct.pack(">I", len(kind)) + kind.encode() + struct.pack(">I", len(content)) + content
    ).decode()


KEY = f"ssh-ed25519 {blob()}"


def refusal(text: str) -> str:
    with pytest.raises(ValueError) as caught:
        signers.parse(text.encode())
    return str(caught.value)


def test_names_options_key_and_comment_are_read() -> None:
    (found,) = signers.parse(
        f'# who may sign\n\n"alice@site,bob" valid-after="20260101Z",Valid-Before=20270101120000Z,'
        f'namespaces="a,mirror-*" {KEY} alice on her laptop\r\n'.encode()
    )
    assert found.names == ("alice@site", "bob")
    assert found.since == datetime(2026, 1, 1, tzinfo=UTC)
    assert found.until == datetime(2027, 1, 1, 12, 0, tzinfo=UTC)
    assert (found.namespaces, found.line, found.kind) == ("a,mirror-*", 3, "ssh-ed25519")
    assert found.key == base64.b64decode(blob())


def test_key_without_options_has_no_bounds() -> None:
    (found,) = signers.parse(f"alice {KEY}\n".encode())
    assert (found.since, found.until, found.namespaces) == (None, None, "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"*@site {KEY}", "line 1: the name '*@site' is a pattern"),
        (f"!alice {KEY}", "line 1: the name '!alice' is a pattern"),
        (f"ali\x1bce {KEY}", "line 1: the name 'ali\\x1bce' contains"),
        (f"{'a' * 300} {KEY}", "line 1: a name is longer than 200 characters"),
        (f"alice,,bob {KEY}", "line 1: a name is empty"),
        ("alice", "line 1: there is no key after the name"),
        ("alice ssh-ed25519", "line 1: there is no key after the name"),
        (f'# x\nalice valid-before="2027-01-01" {KEY}', "line 2: valid-before=2027-01-01 is not a date"),
        (f'alice valid-before="20271332" {KEY}', "line 1: valid-before=20271332 is not a date"),
        (f"alice valid-before {KEY}", "line 1: valid-before needs a value"),
        (f"alice namespaces {KEY}", "line 1: namespaces needs a value"),
        (f'alice valid-before="20270101 {KEY}', "line 1: a quote is not closed"),
        (f'alice valid-after="20270101",valid-before="20260101" {KEY}', "line 1: valid-after is later than valid-befo"),
        (f"alice cert-authority {KEY}", "line 1: cert-authority is not supported"),
        (f"alice no-touch-required {KEY}", "line 1: 'no-touch-required' is not an option"),
        (f'alice valid-before="20270101",valid-before="20280101" {KEY}', "line 1: valid-before is given twice"),
        ("alice ssh-ed25519 AAAA!", "line 1: the key is damaged"),
        (f"alice ssh-rsa {blob()}", "line 1: the key is damaged: it says that it is ssh-ed25519"),
        (f"alice ssh-ed25519-cert-v01@openssh.com {blob('ssh-ed25519-cert-v01@openssh.com')}", "certificates"),
        (f'alice valid-before="20270101"x {KEY}', "is not an option"),
        (f'alice a"b" {KEY}', "is not an option"),
    ],
)
def test_line_that_cannot_be_used_is_named(text: str, words: str) -> None:
    assert words in refusal(text)


def test_file_that_is_not_text_is_refused() -> None:
    with pytest.raises(ValueError, match="not text in UTF-8"):
        signers.parse(b"\xff\xfe")


def test_number_of_lines_is_limited() -> None:
    assert "more than 1000 lines" in refusal("#\n" * 1_001)


def test_date_without_z_is_the_time_zone_of_this_machine() -> None:
    (found,) = signers.parse(f'alice valid-before="20270101" {KEY}'.encode())
    assert found.until == datetime(2027, 1, 1).astimezone()


def signer(since: int | None = None, until: int | None = None) -> Signer:
    """A signer whose key counts from and until so many days from now."""
    days = [None if day is None else NOW + timedelta(days=day) for day in (since, until)]
    return Signer(("alice",), "ssh-ed25519", b"k", days[0], days[1], "", 1)


@pytest.mark.parametrize(
    ("since", "until", "state", "words"),
    [
        (None, None, "valid", "valid without an end"),
        (-3, None, "valid", "valid since 2026-11-23 12:00 UTC, without an end"),
        (None, 90, "valid", "valid until 2027-02-24 12:00 UTC, for 90 more days"),
        (None, 1, "valid", "valid until 2026-11-27 12:00 UTC, for 1 more day: expires soon"),
        (-1, 30, "valid", "valid since 2026-11-25 12:00 UTC, until 2026-12-26 12:00 UTC, for 30 more days: exp"),
        (None, 0, "valid", "for less than a day: expires soon"),  # at the very moment it is still valid
        (None, -1, "expired", "expired on 2026-11-25 12:00 UTC, 1 day ago"),
        (-9, -2, "expired", "expired on 2026-11-24 12:00 UTC, 2 days ago"),
        (2, None, "not yet valid", "not valid before 2026-11-28 12:00 UTC, in 2 days"),
        (0, None, "valid", "valid since"),
    ],
)
def test_period_is_told_in_words(since: int | None, until: int | None, state: str, words: str) -> None:
    found = signers.judge(signer(since, until), NOW)
    assert found.state == state
    assert words in found.words
    assert ("the clock of this machine says 2026-11-26 12:00 UTC" in found.words) == (state != "valid")


@pytest.mark.parametrize(
    ("patterns", "accepted"),
    [
        ("", True),
        ("mirror-lock@neuraltalk-provision", True),
        ("git,mirror-*", True),
        ("git", False),
        ("*,!mirror-lock@neuraltalk-provision", False),
    ],
)
def test_key_for_other_purposes_is_told(patterns: str, accepted: bool) -> None:
    found = signers.judge(Signer(("alice",), "ssh-ed25519", b"k", None, None, patterns, 4), NOW)
    assert (found.state == "valid") is accepted
    if not accepted:
        assert "line 4" in found.words
        assert "namespaces" in found.words
