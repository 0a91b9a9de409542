"""What apt says, in words with the next step, and what it prints of packages."""

from __future__ import annotations

import time

import pytest

from neuraltalk_provision.mirror import apt_errors, apt_index

SUM = "E: The repository 'http://x.example.org/debian bookworm InRelease' is not signed."


@pytest.mark.parametrize(
    ("errors", "meaning"),
    [
        (SUM, "it has no signature"),
        ("E: The repository 'http://x.example.org bookworm Release' is no longer signed.", "it has no signature"),
        (
            "W: GPG error: http://x.example.org bookworm InRelease: EXPKEYSIG 1234 Keeper\n" + SUM,
            "a key that has expired",
        ),
        ("W: GPG error: http://x.example.org b InRelease: REVKEYSIG 1234 Keeper\n" + SUM, "a key that was revoked"),
        (
            "W: GPG error: x: The following signatures were invalid: BADSIG 1234 Keeper\n" + SUM,
            "its signature is wrong",
        ),
        ("W: GPG error: x: ... public key is not available: NO_PUBKEY 1234\n" + SUM, "none of the given keys"),
        (
            "W: OpenPGP signature verification failed: x: Missing key 12, which is needed\n" + SUM,
            "none of the given keys",
        ),
        ("E: Release file for http://x is expired (invalid since 3d 4h).", "older than its signers allow"),
        ("E: Release file for http://x is not valid yet (invalid for another 2d).", "older than its signers allow"),
        ("E: Clearsigned file isn't valid, got 'NOSPLIT' (does the network require authentication?)", "a web page"),
        (
            "E: Failed to fetch http://x/Packages.xz  Hash Sum mismatch\n   Hashes of ...",
            "not those that its signed index",
        ),
        (
            "E: Failed to fetch http://x/Packages.xz  File has unexpected size (1 != 2).",
            "not those that its signed index",
        ),
        (
            "W: Failed to fetch http://x/InRelease  Could not resolve 'x'\nE: Some index files failed",
            "cannot be resolved",
        ),
        ("E: Failed to fetch http://x/InRelease  Temporary failure resolving 'x'", "cannot be resolved"),
        ("E: Failed to fetch http://x/InRelease  Could not connect to x:80 (1.2.3.4)", "the server cannot be reached"),
        ("E: Failed to fetch http://x/InRelease  407  Proxy Authentication Required", "the proxy does not let it pass"),
        ("E: Failed to fetch https://x  Certificate verification failed: not trusted", "certificate is not accepted"),
        ("E: Failed to fetch http://x  403  Forbidden [IP: 1.2.3.4 80]", "asks for a user name"),
        ("E: The repository 'http://x buster Release' does not have a Release file.", "no such repository or suite"),
        ("E: write error - write (28: No space left on device)", "this disk is full"),
        ("Error: The repository 'http://x b InRelease' is not signed.", "it has no signature"),
        ("E: something new", "cannot be used: something new"),
        ("", "no message"),
    ],
)
def test_message_of_an_update_becomes_words(errors: str, meaning: str) -> None:
    error = apt_errors.of_update("debian-12-x86_64", errors)
    assert error.message.startswith("the repository of debian-12-x86_64 cannot be used: ")
    assert meaning in error.message
    assert error.advice


@pytest.mark.parametrize(
    ("errors", "complete"),
    [
        ("", True),
        ("W: Skipping acquire of configured file 'non-free/x' as repository doesn't have the component", True),
        ("W: Failed to fetch http://x/InRelease  Could not resolve 'x'", False),
        ("W: GPG error: x: NO_PUBKEY 12", False),
        ("W: The repository 'http://x b Release' is not signed.", False),
        ("E: x", False),
    ],
)
def test_update_that_is_not_complete_is_known_by_its_words(errors: str, complete: bool) -> None:
    """Some versions of apt end with exit code 0 although an index could not be fetched."""
    assert bool(apt_errors.FAILED.search(errors)) != complete


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ("E: Unable to locate package a\nE: Unable to locate package b", "the repositories do not have a, b"),
        ("Package gone is not available\nE: Package 'gone' has no installation candidate", "do not have gone"),
        (
            "The following packages have unmet dependencies:\n gcc : Depends: libgcc (= 1) but 2 is to be installed\n"
            "E: Unable to correct problems, you have held broken packages.",
            "gcc: Depends: libgcc (= 1) but 2 is to be installed",
        ),
        (
            # apt 3 also lists what it has left out as a consequence, often first.
            " base : Depends: libc6 (>= 2) but it is not going to be installed\n"
            " gcc : Depends: libgcc but it is not going to be installed\n"
            "       Depends: libc6 (>= 2) but it is not going to be installed\n"
            " c : Depends: d but it is not going to be installed\n sox : Depends: libsox but it is not installable\n",
            "sox: Depends: libsox but it is not installable",
        ),
        (" a : Depends: b but it is not going to be installed\n", "a: Depends: b but it is not going to be installed"),
        ("E: Unable to correct problems, you have held broken packages.", "Unable to correct problems"),
    ],
)
def test_reason_why_a_package_cannot_be_installed_is_short(errors: str, reason: str) -> None:
    assert reason in apt_errors.reason(errors)


def test_field_of_spaces_in_an_index_is_read_in_linear_time() -> None:
    """20,000 of them took 4 s, and a repository can have any number of them in its index."""
    began = time.process_time()
    found = apt_index.Available(b"Package: a\nPriority: \t required \nVersion: 1" + b" " * 20_000 + b"1")
    assert found.base == ["a"]
    assert time.process_time() - began < 0.5
