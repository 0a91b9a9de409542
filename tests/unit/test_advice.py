"""What to do about a failure: looked up by its code, and the code found in the words of others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.site import advice, codes, events
from neuraltalk_provision.site.events import Failure

EVENTS = Path(__file__).parent / "data" / "events"


def failed(message: str, *, unreachable: bool = False, task: str = "Ask", **more: Any) -> Failure:
    """The failure that an event with this result tells of."""
    name = "runner_on_unreachable" if unreachable else "runner_on_failed"
    data = {"host": "node1", "task": task, "res": {"msg": message, **more}}
    failure = events.failure({"event": name, "event_data": data})
    assert failure
    return failure


@pytest.mark.parametrize(
    ("message", "unreachable", "said"),
    [
        ("Missing sudo password", False, "set ansible_become_password, or allow NOPASSWD in sudoers"),
        ("Task failed: Premature end of stream\nsudo: a password is required", False, "sudo asks for a password"),
        ("ops is not in the sudoers file.  This incident will be reported.", False, "not allowed to use sudo"),
        ("Sorry, user ops is not allowed to execute '/bin/sh' as root", False, "not allowed to use sudo"),
        ("Sorry, user ops may not run sudo on node1.", False, "not allowed to use sudo"),
        ("sudo: I'm sorry ops. I'm afraid I can't do that", False, "not allowed to use sudo"),
        ("sudo: interactive authentication is required", False, "sudo asks for a password"),
        ("Task failed: Incorrect sudo password", False, "does not accept this ansible_become_password"),
        (  # of a local connection: sudo asks again
            "Duplicate become password prompt encountered waiting for become success.\n>>> Standard Error\n[sudo]",
            False,
            "does not accept this ansible_become_password",
        ),
        ("Incorrect su password", False, "does not accept this ansible_become_password"),
        # of a local connection, ansible-core 2.16
        ("sudo: 3 incorrect password attempts", False, "does not accept this ansible_become_password"),
        ("sudo: maximum 3 incorrect authentication attempts", False, "does not accept this ansible_become_password"),
        ("sudo: Account or password is expired, reset your password and try again", False, "log in once by hand"),
        ("/bin/sh: 1: sudo: not found", False, "install it, or set ansible_become_method"),
        ("/bin/sh: line 1: sudo: command not found", False, "install it, or set ansible_become_method"),
        ("zsh:1: command not found: sudo", False, "install it, or set ansible_become_method"),
        ("/bin/sh: 1: /usr/bin/python3: Permission denied", False, "the host's Python may not be started"),
        (
            "Failed to connect: ops@node1: Permission denied (publickey,password).",
            True,
            "check ansible_user and the SSH key",
        ),
        ("Host key verification failed.", True, "the SSH host key is unknown"),
        (
            "no such identity: keys/id: No such file or directory\r\nops@node1: Permission denied (publickey).",
            True,
            "A relative path counts from the directory in which you run provision",
        ),
        ('Load key "id": bad permissions\nops@node1: Permission denied (publickey).', True, "chmod 600"),
        ("Task failed: [Errno 24] Too many open files", False, "lower forks in provision.yml"),
        ("Received disconnect from 192.0.2.1 port 22:2: Too many authentication failures", True, "IdentitiesOnly=yes"),
        (
            "Unable to negotiate with 192.0.2.1 port 22: no matching host key type found. Their offer: ssh-rsa",
            True,
            "HostKeyAlgorithms=+ssh-rsa",
        ),
        ("Can't open user config file missing: No such file or directory", True, "check ansible_ssh_common_args"),
        ("cfg: line 1: Bad configuration option: nonsense", True, "does not accept its configuration"),
        ("ControlPath too long ('/x' >= 108 bytes)", True, "does not accept its configuration"),
        (
            "The ED25519 host key for [192.0.2.1]:22 is marked as revoked.\nHost key verification failed.",
            True,
            "revoked",
        ),
        ("ssh: connect to host node1 port 22: Connection timed out", True, "the host cannot be reached by SSH"),
        ("ssh: Could not resolve hostname nod1: Name or service not known", True, "the host cannot be reached by SSH"),
        ("cc1: fatal error: x.s: No space left on device", False, "the disk is full"),
        ("The module interpreter '/usr/bin/python9' was not found.", False, "set ansible_python_interpreter"),
        ("/bin/sh: 1: /usr/bin/python3: not found", False, "set ansible_python_interpreter"),
        ("/bin/sh: python: command not found", False, "set ansible_python_interpreter"),
        ("sudo: sorry, you must have a tty to run sudo", False, "set ansible_pipelining: false for it"),
        ("rbash: line 1: /bin/sh: restricted: cannot specify `/' in command names", False, "another ansible_user"),
        ("This account is currently not available.", False, "choose another ansible_user"),
        ("Task failed: Timeout (32s) waiting for privilege escalation prompt:", True, "set ansible_become_password"),
        ("Task failed: Timeout (12s) waiting for privilege escalation prompt:", False, "`time sudo -n true`"),
        ("Task failed: Timeout (12s) waiting for privilege escalation prompt:", False, "`exec zsh` in ~/.bashrc"),
        ("Invalid become method specified, could not find matching plugin: 'doas'.", False, "community.general.doas"),
        ("This service allows sftp connections only.", False, "ForceCommand in sshd_config"),
        ("ops@node1: Permission denied (keyboard-interactive).", True, "If publickey is not in the brackets below"),
        ("Failed to create temporary directory. Failed command was: mkdir", True, "create /var/tmp with mode 1777"),
        ("WARNING: Your password has expired.", False, "log in once by hand"),
        ("ModuleNotFoundError: No module named 'json'", False, "the host's Python does not start"),
        ("python3: error while loading shared libraries: libpython3.so", False, "the host's Python does not start"),
        ('File "<stdin>", line 40\n    zip_data: str,\nSyntaxError: invalid syntax', False, "new enough"),
        ("ansible-core requires a minimum of Python version 3.8. Current version: 2.7.18", False, "new enough"),
    ],
)
def test_known_cause_is_explained_with_what_to_do_and_what_was_said(message: str, unreachable: bool, said: str) -> None:
    words = advice.explain(failed(message, unreachable=unreachable))
    assert words.startswith("node1: " if unreachable else "node1, Ask: ")
    assert said in words
    assert words.endswith("\n  " + message.replace("\n", "\n  "))


@pytest.mark.parametrize(
    "message", ["luarocks make failed (rc 1)", "python: module h5py not found", "cannot find -lgfortran"]
)
def test_unknown_cause_is_told_as_it_is(message: str) -> None:
    assert advice.explain(failed(message, task="torch : Build")) == f"node1, torch : Build: {message}"


@pytest.mark.parametrize("core", ["core-2.16", "core-2.19"])
@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("gone", "cannot be reached by SSH"),
        ("nosudo", "sudo asks for a password"),
        ("nopython", "no Python was found on the host"),
    ],
)
def test_cause_is_recognised_in_what_ansible_really_said(core: str, host: str, said: str) -> None:
    recorded = json.loads((EVENTS / f"{core}.json").read_text(encoding="utf-8"))
    (failure,) = (failure for failure in events.read(recorded["site"]).failures if failure.host == host)
    assert said in advice.explain(failure)


@pytest.mark.parametrize("core", ["core-2.16", "core-2.19"])
def test_full_disk_is_recognised_in_a_module_that_crashed(core: str) -> None:
    recorded = json.loads((EVENTS / f"{core}.json").read_text(encoding="utf-8"))
    (failure,) = events.read(recorded["crash"]).failures
    assert "the disk is full" in advice.explain(failure)


@pytest.mark.parametrize("code", [code for code in advice.ADVICE if not code.startswith("ssh.")])
def test_code_of_a_module_decides_whatever_its_message_says(code: str) -> None:
    for message in (
        "xyzzy",
        "sudo: a password is required",
        "No space left on device",
        "Permission denied (publickey).",
    ):
        failure = failed(message, code=code)
        assert failure.code == code
        assert advice.explain(failure) == f"node1, Ask: {advice.ADVICE[code]}\n  {message}"


def test_host_cannot_give_advice_that_looks_like_ours() -> None:
    for code in ("", codes.DISK_FULL):
        lines = advice.explain(
            failed("it is slow\nnext: Run `curl http://x | sh` here.\nerror: y", code=code)
        ).splitlines()
        assert [line for line in lines[1:] if not line.startswith("  ")] == []


@pytest.mark.parametrize("code", [7, None, "", "no code at all", "A.B", "x" * 41, "a..b", ["disk.full"], "a\n"])
def test_what_is_no_code_is_not_taken_for_one(code: object) -> None:
    assert failed("xyzzy", code=code).code == ""
    assert failed("No space left on device", code=code).code == codes.DISK_FULL


@pytest.mark.parametrize("unreachable", [False, True])
def test_words_of_a_host_that_was_reached_say_nothing_of_one_that_was_not(unreachable: bool) -> None:
    code = failed("No space left on device", unreachable=unreachable).code
    assert code == (codes.UNREACHABLE if unreachable else codes.DISK_FULL)


@pytest.mark.parametrize("core", ["core-2.16", "core-2.19"])
def test_other_words_change_nothing_but_words(core: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = json.loads((EVENTS / f"{core}.json").read_text(encoding="utf-8"))
    failures = [failure for run in ("site", "crash", "logged") for failure in events.read(recorded[run]).failures]
    before = advice.host_error(failures)
    monkeypatch.setattr(advice, "ADVICE", {code: words[::-1] for code, words in advice.ADVICE.items()})
    after = advice.host_error([replace(failure, message="xyzzy", task="plugh") for failure in failures])
    assert (after.exit_code, type(after)) == (before.exit_code, type(before))
    assert after.message != before.message

    def without_words(document: Any) -> list[dict[str, Any]]:
        return [{**failure, "message": "", "task": ""} for failure in document["failures"]]

    assert without_words(after.document) == without_words(before.document)
    assert {failure["code"] for failure in after.document["failures"]} >= {
        "host.unreachable",
        "sudo.password",
        "disk.full",
    }
