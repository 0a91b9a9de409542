"""Containers of proofs, with a program in place of the engine; and what the recorder says when it is in doubt."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.mirror.proofs import Attempt
from neuraltalk_provision.proof import container, contents, recorded, recorder, wheels
from neuraltalk_provision.proof.container import Container, Done, Engine
from neuraltalk_provision.proof.recorder import Recording
from neuraltalk_provision.site import controller
from tests.unit import archives

# Three containers: one of a controller that has ended, one of a running controller, one that was kept.
ENGINE = """#!/bin/bash
echo "$@" >>"$CALLS"
case "$1" in
    run) [ -z "$FAILS" ] || { echo "no such image" >&2; exit 125; }; echo pulling; echo 0123abcd;;
    ps) echo dead live kept foreign | tr ' ' '\\n';;
    inspect)
        case "${@: -1}" in
            dead) echo "/neuraltalk-prove-1 $DEAD";;
            live) echo "/neuraltalk-prove-2 $LIVE";;
            kept) echo "/neuraltalk-prove-3 kept";;
            foreign) echo "/database $DEAD";;
            *) echo "1 sha256:ab";;
        esac;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the calls of the engine; programs of this name are found before the real ones."""
    for name in ("docker", "podman", "nsenter", "ip"):
        (tmp_path / name).write_text(ENGINE)
        (tmp_path / name).chmod(0o755)
    live = controller.name()
    dead = live.replace(f"pid {os.getpid()} ", "pid 4194303 ")
    for name, value in {"CALLS": str(tmp_path / "calls"), "LIVE": live, "DEAD": dead, "FAILS": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(container, "_isolate", lambda host: None)
    (tmp_path / "calls").touch()
    return tmp_path / "calls"


def lines(calls: Path, verb: str) -> list[str]:
    return [line for line in calls.read_text().splitlines() if line.startswith(verb)]


def test_container_has_no_network_and_is_removed(calls: Path) -> None:
    with container.started(Engine("docker"), "debian:12") as host:
        assert (host.id, host.pid, host.image) == ("0123abcd", 1, "sha256:ab")
    (begun,) = lines(calls, "run")
    assert "--network none" in begun
    assert f"--label {container.LABEL}={controller.name()}" in begun
    assert lines(calls, "rm")[-1] == f"rm --force --volumes {host.name}"


def test_container_is_removed_after_an_error(calls: Path) -> None:
    with pytest.raises(KeyboardInterrupt), container.started(Engine("docker"), "debian:12") as host:
        raise KeyboardInterrupt
    assert lines(calls, "rm")[-1].endswith(host.name)


def test_only_containers_of_proofs_that_were_killed_are_removed(calls: Path) -> None:
    container.remove_orphans(Engine("docker"))
    assert lines(calls, "rm") == ["rm --force --volumes dead"]


def test_container_that_is_kept_has_a_label_that_nothing_removes(calls: Path) -> None:
    with container.started(Engine("docker"), "debian:12", keep=True):
        pass
    assert f"--label {container.LABEL}=kept" in lines(calls, "run")[0]
    assert lines(calls, "rm") == ["rm --force --volumes dead"]


def test_image_that_cannot_be_started_is_told(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILS", "1")
    with pytest.raises(UsageError, match=r"the start of a container of debian:12 failed: docker run .*no such image"):
        container.started(Engine("docker"), "debian:12").__enter__()


@pytest.mark.parametrize(
    ("user", "name", "before"), [(0, "docker", False), (0, "podman", False), (1000, "podman", True)]
)
def test_engine_is_found(calls: Path, monkeypatch: pytest.MonkeyPatch, user: int, name: str, before: bool) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    found = container.engine(name)
    assert found.path == str(calls.parent / name)
    assert found.before == ((found.path, "unshare") if before else ())


def test_docker_without_root_is_refused(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="only root can record"):
        container.engine()


@pytest.mark.parametrize(
    ("name", "words"), [("", "no engine for containers is installed"), ("x", "x is not installed")]
)
def test_machine_without_an_engine_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, words: str) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError, match=words):
        container.engine(name)


class Box(Container):
    """A container whose scripts have these results."""

    results: Sequence[Done] = ()

    def run(self, script: str, *arguments: str) -> Done:
        return Box.results[0] if Box.results else Done(0, "", "")


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Box:
    monkeypatch.setattr(Box, "results", ())
    return Box(Engine("docker"), "0123", "neuraltalk-prove-1", 1, "sha256:ab")


@pytest.mark.parametrize(
    ("listing", "found"),
    [
        ("ii |gcc|4:12.2\nrc |old|1\nii |libc6|2.36-9\n", {"gcc": "4:12.2", "libc6": "2.36-9"}),
        ("garbage\n", {}),
    ],
)
def test_packages_are_read(box: Box, monkeypatch: pytest.MonkeyPatch, listing: str, found: dict[str, str]) -> None:
    monkeypatch.setattr(Box, "results", (Done(0, listing, ""),))
    assert contents.packages_of(box) == found


def test_wheels_are_read(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = "numpy\nnumpy-1.26.4.dist-info\nprompt_toolkit-3.0.dist-info\nold-1.egg-info\nbin\n"
    monkeypatch.setattr(Box, "results", (Done(0, listing, ""),))
    assert contents.wheels_of(box, "/g") == {"numpy": "1.26.4", "old": "1", "prompt-toolkit": "3.0"}


def test_image_without_python_and_mirror_without_packages_are_told(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Box, "results", (Done(1, "", ""),))
    with pytest.raises(HostError, match="the image has no Python") as caught:
        contents.ensure_python(box, Path("mirror"), None, "/opt/x")
    assert "python3" in caught.value.advice


def test_failed_script_is_told_with_its_last_lines(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Box, "results", (Done(100, "x\n" * 100, "E: gcc has no candidate"),))
    with pytest.raises(HostError, match=r"failed \(exit code 100\)") as caught:
        contents.packages_of(box)
    assert "E: gcc has no candidate" in caught.value.message
    assert caught.value.message.count("x\n") < 30


@contextmanager
def recording(box: Box, text: str) -> Iterator[Recording]:
    """A recorder that has printed this text and ended."""
    read, write = os.pipe()
    os.write(write, text.encode())
    os.close(write)
    with Path(os.devnull).open("wb") as into, os.fdopen(read, "rb") as out:
        yield Recording(box, into, out)


def line(**given: object) -> str:
    return json.dumps(given) + "\n"


def planted(number: int) -> str:
    return "".join(line(kind=one.kind, to=one.to, port=one.port, at=1.0) for one in recorded.planted(number))


END = line(end=True, packets=9, dropped=0, more=0)


def test_recorder_that_saw_what_was_planted_is_believed(box: Box) -> None:
    text = line(begin=True) + planted(1) + line(kind="tcp", to="192.0.2.99", port=80, at=2) + END
    with recording(box, text) as found:
        found.plant()
        seen = found.end()
    assert seen.doubt == ""
    assert seen.attempts == (Attempt(kind="tcp", to="192.0.2.99", port=80, at=2),)
    assert {one.kind for one in seen.planted} == {"tcp", "name"}


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        (planted(1).split("\n", 1)[1] + END, "did not see what was planted: tcp to 192.0.2.1 port 9"),
        (planted(1), "the recorder did not end as it should"),
        ("", "the recorder did not end as it should"),
        (planted(1) + line(end=True, packets=9, dropped=3, more=0), "the recorder lost 3 packets"),
        (planted(1) + line(end=True, packets=9, dropped=0, more=7), "7 attempts are not listed"),
        (line(problem="packets cannot be recorded"), "packets cannot be recorded"),
        ("garbage\n", "the recorder printed something else"),
        ("[1]\n", "the recorder printed something else"),
    ],
)
def test_recorder_in_doubt_is_not_believed(box: Box, monkeypatch: pytest.MonkeyPatch, text: str, doubt: str) -> None:
    monkeypatch.setattr(recorder, "PATIENCE", 0.5)
    with recording(box, text) as found:
        found.plant()
        seen = found.end()
    assert doubt in seen.doubt


def test_wheels_for_another_python_are_not_tried(tmp_path: Path) -> None:
    tried = wheels.resolve(tmp_path / "no file", ["h5py"], "2.7")
    assert (tried.problem, "the host has Python 2.7" in tried.not_tried) == ("", True)


def wheel(name: str, needs: str = "") -> bytes:
    """A wheel of nothing, which may need another one."""
    requires = f"Requires-Dist: {needs}\n" if needs else ""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        folder = f"{name}-1.0.dist-info"
        packed.writestr(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")
        packed.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{folder}/RECORD", "")
    return made.getvalue()


@pytest.mark.slow
def test_wheel_that_is_missing_is_named_by_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the pip.py in the working directory, which can be that of a site somebody sent."""
    (tmp_path / "pip.py").write_text("raise SystemExit('executed')")
    monkeypatch.chdir(tmp_path)
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    both = {"one-1.0-py3-none-any.whl": wheel("one", "two"), "two-1.0-py3-none-any.whl": wheel("two")}
    whole, part = archives.pack_bytes(tmp_path / "whole.tar", both), dict(list(both.items())[:1])
    assert wheels.resolve(whole, ["one"], here) == wheels.Tried()
    problem = wheels.resolve(archives.pack_bytes(tmp_path / "part.tar", part), ["one"], here).problem
    assert "No matching distribution found for two" in problem
