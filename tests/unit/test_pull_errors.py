"""What git and curl say, in words with the next step."""

from __future__ import annotations

import pytest

from neuraltalk_provision.mirror import git_progress, pull_errors

CLOSED = (
    "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\n"
    "and the repository exists."
)
"""What git says at the end whatever ssh said."""


@pytest.mark.parametrize(
    ("errors", "meaning", "final"),
    [
        ("fatal: unable to access 'https://x/': Could not resolve host: x", "name of the server cannot be", False),
        ("fatal: unable to access 'https://x/': Could not resolve proxy: p", "name of the server cannot be", False),
        ("fatal: unable to access 'https://x/': Failed to connect to x port 443: t", "cannot be reached", False),
        (
            "fatal: unable to access 'https://x/': Received HTTP code 407 from proxy after CONNECT",
            "the proxy does",
            True,
        ),
        ("fatal: unable to access 'https://x/': CONNECT tunnel failed, response 501", "the proxy does not", True),
        ("fatal: could not read Username for 'https://x': terminal prompts disabled", "user name", True),
        ("remote: Repository not found.\nfatal: repository 'https://x/' not found", "no such repository", True),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 404", "no such repository", True),
        ("fatal: remote error: upload-pack: not our ref 1111", "does not have the commit", True),
        ("error: Server does not allow request for unadvertised object 1111", "does not have the commit", True),
        ("fatal: unable to access 'https://x/': server certificate verification failed.", "certificate", True),
        ("fatal: https://x/info/refs not valid: is this a git repository?", "looks like a web page", True),
        ("fatal: detected dubious ownership in repository at '/srv/x'", "belongs to another user", True),
        ("fatal: transport 'file' not allowed", "sent on to a protocol", True),
        ("error: file write error: No space left on device\nfatal: index-pack failed", "this disk is full", True),
        ("error: RPC failed; curl 56 recv failure\nfatal: index-pack failed", "the transfer was cut", False),
        (f"Host key verification failed.\n{CLOSED}", "SSH host key of the server is not known here", True),
        (
            f"@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n{CLOSED}",
            "other",
            True,
        ),
        (f"ssh: connect to host x port 22: Connection refused\n{CLOSED}", "port 22: Connection refused", False),
        ("error: cannot run ssh: No such file or directory\nfatal: unable to fork", "has no program ssh", True),
        (f"ssh -oBatchMode=yes: line 1: ssh: command not found\n{CLOSED}", "has no program ssh", True),
        (f"ssh -oBatchMode=yes: 1: ssh: not found\n{CLOSED}", "has no program ssh", True),
        ("fatal: something new", "git failed: fatal: something new", False),
    ],
)
def test_message_of_git_becomes_words(errors: str, meaning: str, final: bool) -> None:
    error = pull_errors.of_git("https://x", "https://x", errors, "1" * 40)
    assert error.message.startswith(f"https://x, commit {'1' * 40}: ")
    assert meaning in error.message
    assert error.advice
    assert pull_errors.is_final(errors) == final


def test_address_that_git_replaced_is_named() -> None:
    error = pull_errors.of_git("https://x/y", "https://mirror/y", "fatal: repository not found")
    assert error.message.startswith("https://x/y (git uses https://mirror/y): ")


@pytest.mark.parametrize(
    ("code", "errors", "another"),
    [
        (18, "", True),
        (56, "", True),
        (22, "curl: (22) The requested URL returned error: 503", True),
        (22, "curl: (22) The requested URL returned error: 404", False),
        (6, "", False),
        (99, "", False),
    ],
)
def test_transfer_that_was_cut_is_tried_again(code: int, errors: str, another: bool) -> None:
    assert pull_errors.worth_another(code, errors) == another
    assert pull_errors.of_curl("https://x", code, errors).advice


def test_server_that_wants_a_login_is_told() -> None:
    error = pull_errors.of_curl("https://x", 22, "curl: (22) The requested URL returned error: 401")
    assert "asks for a user name" in error.message
    assert "~/.netrc" in error.advice


@pytest.mark.parametrize(
    ("line", "fraction", "words"),
    [
        ("Receiving objects:  50% (5/10), 1.20 MiB | 300.00 KiB/s", 0.45, "1.20 MiB | 300.00 KiB/s"),
        ("Receiving objects: 100% (10/10), 1.20 MiB | 300.00 KiB/s, done.", 0.85, "1.20 MiB | 300.00 KiB/s"),
        ("Resolving deltas: 100% (3/3), done.", 1.0, "resolving deltas"),
        ("remote: Counting objects: 10, done.", 0.0, "remote: Counting objects: 10, done."),
        ("Receiving objects: 999% (5/10)", 0.85, "receiving objects"),
        ("", 0.0, ""),
    ],
)
def test_progress_of_git_is_a_fraction(line: str, fraction: float, words: str) -> None:
    assert git_progress.parse(line) == (pytest.approx(fraction), words)


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("Receiving objects:  50% (5/10), 9.20 GiB | 3.00 MiB/s", 9.2),
        ("Receiving objects:  50% (5/10), 999.20 MiB | 1.00 GiB/s", 0.0),
        ("Receiving objects:  50% (5/10), ... GiB", 0.0),
        ("remote: 9 GiB", 0.0),
    ],
)
def test_size_of_a_fetch_is_read(line: str, size: float) -> None:
    assert git_progress.gibibytes(line) == size
