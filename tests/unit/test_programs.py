"""How programs are run: nothing that they wrote is lost."""

from __future__ import annotations

import errno
import os
import subprocess

import pytest

from neuraltalk_provision.errors import MirrorError, naming
from neuraltalk_provision.mirror import programs


def test_all_that_a_program_wrote_just_before_its_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program writes and ends between the moment when nothing was there and the question whether it ended."""
    poll = subprocess.Popen.poll

    def late(process: subprocess.Popen[bytes]) -> int | None:
        process.wait(timeout=20)
        return poll(process)

    monkeypatch.setattr(subprocess.Popen, "poll", late)
    found = bytearray()
    ended = programs.run(["sh", "-c", "sleep 0.4; echo page; echo last >&2"], os.environ, sink=found.extend)
    assert (bytes(found), ended.code, ended.errors) == (b"page\n", 0, "last")


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOENT, "Install it."), (errno.EMFILE, "`ulimit -n`"), (errno.EAGAIN, "`ulimit -u`")],
)
def test_program_is_not_to_be_installed_if_a_limit_keeps_it_from_starting(
    monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    def refused(*_given: object, **_more: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "Popen", refused)
    with pytest.raises(MirrorError, match="git cannot be started") as caught:
        programs.run(["git"], os.environ)
    assert advice in caught.value.advice


@pytest.mark.parametrize(
    ("errors", "denied"),
    [
        ("unshare: write failed /proc/self/uid_map: Operation not permitted", True),
        ("newuidmap: write to uid_map failed: Operation not permitted", True),
        ("Error: cannot clone: Operation not permitted", True),
        ("E: unable to create user namespace, please run as root", True),
        ('Error: no subuid ranges found for user "ops" in /etc/subuid', True),
        ("E: dpkg: cannot configure python3", False),
        ("tar: /root/x: Permission denied", False),
        ("Setting up uidmap (1:4.13+dfsg1-1) ...", False),
        ("Unpacking libsubid4:amd64 (1:4.13+dfsg1-1) ...", False),
        ("newuidmap: uid range [0-1) -> [1000-1001) not allowed", True),
        ("Creating user nslcd with UID 101", False),
    ],
)
def test_program_that_may_not_use_user_namespaces_is_told_from_others(errors: str, denied: bool) -> None:
    """Ubuntu 24.04 forbids them to users by AppArmor, Debian and podman need ranges of ids."""
    assert ("apparmor_restrict_unprivileged_userns=0" in programs.namespaces_denied(errors)) == denied


def test_limit_of_open_files_is_told_with_the_path_and_the_cure() -> None:
    words = "the mirror cannot be read: Too many open files"
    with pytest.raises(MirrorError, match=words) as caught, naming("the mirror", "read", MirrorError):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    assert "nofile in /etc/security/limits.conf" in caught.value.advice


@pytest.mark.parametrize(("name", "advice"), [("/mnt/share/a", ""), (None, "`ulimit -u`")])
def test_file_that_cannot_be_opened_now_is_not_a_limit_of_processes(name: str | None, advice: str) -> None:
    """Both have the error number EAGAIN; an error of a process that cannot be started names no file."""
    with pytest.raises(MirrorError) as caught, naming("/mnt/share", "read", MirrorError):
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), name)
    assert advice in caught.value.advice
    assert bool(advice) == bool(caught.value.advice)
