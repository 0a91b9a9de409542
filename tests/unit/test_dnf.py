"""Running dnf's Python: which one, with what environment, and what of its answer is believed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.mirror import dnf, dnf_errors
from neuraltalk_provision.mirror.dnf_answer import Failure


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory with programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o755)
    return file


def test_python_of_dnf_is_found_by_its_first_line(programs: Path) -> None:
    python = program(programs / "platform-python", "#!/bin/sh\n")
    program(programs / "dnf", f"#!{python} -s\n")
    assert dnf.interpreter() == str(python)


def test_python_is_found_by_env(programs: Path) -> None:
    python = program(programs / "python3", "#!/bin/sh\n")
    program(programs / "dnf-3", "#!/usr/bin/env python3\n")
    program(programs / "dnf", "\x7fELF")
    assert dnf.interpreter() == str(python)


def test_machine_without_dnf_is_told_what_to_install(programs: Path) -> None:
    with pytest.raises(UsageError, match=r"lacks dnf 4.*: it is not installed") as error:
        dnf.interpreter()
    assert "apt-get install dnf createrepo-c rpm" in error.value.advice


def test_dnf_5_is_named(programs: Path) -> None:
    program(programs / "dnf", "\x7fELF")
    with pytest.raises(UsageError, match="bin/dnf is dnf 5"):
        dnf.interpreter()


def test_settings_of_proxies_reach_dnf_and_nothing_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("https_proxy", "http://proxy.example.org"), ("no_proxy", "a"), ("HOME", "/h"), ("DNF0", "x")):
        monkeypatch.setenv(name, value)
    found = dnf.environment(tmp_path)
    assert (found["https_proxy"], found["no_proxy"]) == ("http://proxy.example.org", "a")
    assert (found["HOME"], found["TMPDIR"], found["LC_ALL"]) == (str(tmp_path), str(tmp_path), "C")
    assert "DNF0" not in found


def fake(programs: Path, script: str) -> None:
    """A dnf whose Python is this script; the request is its last argument."""
    program(programs / "python3", f"#!/bin/bash\n{script}\n")
    program(programs / "dnf", f"#!{programs}/python3\n")


def test_answer_is_read_and_the_request_was_written(programs: Path, tmp_path: Path) -> None:
    fake(programs, 'echo "{\\"missing\\": [\\"gcc\\"]}"')
    assert dnf.ask({"attempt": False}, tmp_path / "work", Event()).missing == ("gcc",)
    asked = json.loads((tmp_path / "work" / "asked.json").read_text())
    assert asked == {"attempt": False, "work": str(tmp_path / "work")}


@pytest.mark.parametrize("script", ["echo 'out of memory' >&2; exit 1", "kill -9 $$", "exit 0"])
def test_program_that_ends_without_an_answer_is_told(programs: Path, tmp_path: Path, script: str) -> None:
    fake(programs, script)
    with pytest.raises(MirrorError, match="dnf could not read the indexes") as error:
        dnf.ask({}, tmp_path, Event())
    assert error.value.advice


def test_answer_without_an_end_is_not_read(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnf, "LONGEST", 100_000)
    fake(programs, "while echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; do :; done")
    with pytest.raises(MirrorError, match="more than 100,000 bytes"):
        dnf.ask({}, tmp_path, Event())


def test_command_that_is_stopped_says_so(programs: Path, tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    fake(programs, "read -t 60 <>/dev/zero")
    with pytest.raises(MirrorError, match="stopped"):
        dnf.ask({}, tmp_path, stop)


def test_program_says_that_dnf_is_missing_in_its_python(tmp_path: Path) -> None:
    request = tmp_path / "asked.json"
    request.write_text(json.dumps({"memory": 4 << 30, "work": str(tmp_path), "attempt": False}))
    command = [sys.executable, "-I", str(dnf.PROGRAM), str(request)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    failure = json.loads(done.stdout)["failure"]
    assert failure == {"kind": "program", "repository": "", "text": "No module named 'dnf'"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://x/: its index is not signed: there is no", "repo_gpgcheck demands it"),
        ("repomd.xml GPG signature verification error: Bad GPG signature", "not by the keys"),
        ("Downloading successful, but checksum doesn't match", "does not fit itself"),
        ("Curl error (6): Could not resolve host: x", "cannot be resolved"),
        ("Status code: 404 for http://x/repodata/repomd.xml", "no repository at this address"),
        ("Status code: 403 for http://x/repodata/repomd.xml", "does not let this machine in"),
        ("Curl error (60): SSL certificate problem", "certificate is not accepted"),
        ("Curl error (7): Failed to connect to x port 80", "cannot be reached"),
        ("Loading repository 'x' has failed", "cannot be read"),
        ("something new", "it cannot be used:\nsomething new"),
    ],
)
def test_cause_of_a_repository_that_fails_is_told_with_the_next_step(text: str, words: str) -> None:
    error = dnf_errors.of_failure(Failure(kind="repository", repository="r1", text=text), "rocky-9-x86_64", "http://x")
    assert error.message.startswith("the repository http://x: ")
    assert words in error.message
    assert error.advice


def test_reason_of_the_solver_is_told_in_one_line() -> None:
    reason = "it cannot be installed: conflicting requests\nnothing provides a needed by b\nconflicting requests\n"
    assert dnf_errors.in_one_line(reason) == "it cannot be installed: nothing provides a needed by b"
    assert dnf_errors.in_one_line("no repository has it") == "no repository has it"
    assert dnf_errors.in_one_line("it cannot be installed: conflicting requests").endswith(": conflicting requests")


def test_text_of_a_repository_is_shown_harmlessly() -> None:
    for kind in ("repository", "solve", "dnf"):
        failure = Failure(kind=kind, repository="", text="a\u202eb\x1b[31mc\nd")
        message = dnf_errors.of_failure(failure, "rocky-9-x86_64", "http://x").message
        assert message.endswith("a?b?[31mc\nd")
    assert dnf_errors.in_one_line("a\u202eb\nc\x07") == "a?b; c?"


@pytest.mark.parametrize("kind", ["solve", "memory", "dnf", "program"])
def test_each_failure_names_the_platform_and_the_next_step(kind: str) -> None:
    error = dnf_errors.of_failure(Failure(kind=kind, repository="", text="why"), "rocky-9-x86_64", "")
    assert "rocky-9-x86_64" in error.message
    assert error.advice


def test_missing_packages_are_told_with_where_they_usually_come_from() -> None:
    where = "hdf5-devel usually comes from EPEL (dnf install epel-release)"
    error = dnf_errors.of_missing(("hdf5-devel",), "rocky-9-x86_64", where)
    assert error.message == "no repository for rocky-9-x86_64 has hdf5-devel"
    assert str(error.advice).startswith(f"{where}. Give these repositories, too. `dnf provides NAME`")
    assert str(dnf_errors.of_missing(("x",), "fedora-40-x86_64").advice).startswith("Give the repositories that have")
