"""`make test-fresh`: what it does in bare containers, with a Docker that runs the commands here."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from neuraltalk_provision import paths
from tests import fresh
from tests.lab import engine, images, shell
from tests.lab import paths as lab_paths
from tests.lab.errors import LabError

DOCKER = """#!/bin/bash
# Stand-in for docker: a container is a directory, and what it executes runs in it. It has its own apt-get.
echo "$*" >>"$PLACE/asked"
case "$1" in
cp) [ "$2" = --follow-link ] || cp "$2" "$PLACE/root/" ;;
rm) rm -rf "$PLACE/root" ;;
run) mkdir "$PLACE/root" ;;
exec)
    shift
    cd "$PLACE/root"
    [ "$1" != --workdir ] || { cd project; shift 2; }
    shift
    eval exec "$(printf '%q ' "$@" | sed "s,/root/,$PLACE/root/,g")" ;;
esac
"""
MAKEFILE = """
demo:
	@echo "with $(ANSIBLE)"; cat answer
test:
	@echo "$(ONLY): all passed after 1 s"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a Makefile of its own, and programs in place of docker and apt-get."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "Makefile").write_text(MAKEFILE)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("docker", DOCKER), ("apt-get", '#!/bin/sh\necho "apt-get $*" >>"$PLACE/asked"\n')):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("PLACE", str(tmp_path))
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "x@example.org")
    monkeypatch.setattr(lab_paths, "ROOT", project)
    monkeypatch.setattr(fresh, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(engine, "ensure", lambda: None)
    monkeypatch.setattr(images, "ensure", lambda name: f"lab-{name}:x")
    return tmp_path


def committed(place: Path, answer: str) -> None:
    (place / "project" / "answer").write_text(answer)
    shell.run("git", "init", "-q", cwd=place / "project")
    shell.run("git", "add", ".", cwd=place / "project")
    shell.run("git", "commit", "-qm", "x", cwd=place / "project")


def asked(place: Path) -> list[str]:
    return (place / "asked").read_text().splitlines()


def test_both_commands_run_on_a_clone_of_the_last_commit(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    committed(place, "Look around:  ...")
    (place / "project" / "answer").write_text("not committed")
    assert fresh.main(["13", "12-core-2.16"]) == 0
    out = capsys.readouterr().out
    assert len(re.findall(r" s  ok$", out, re.M)) == 4
    assert "4 of 4 commands passed" in out
    lines = asked(place)
    assert any(
        line.startswith("run --detach --name fresh-13") and "lab-trixie:x sleep infinity" in line for line in lines
    )
    assert "apt-get -q install -y --no-install-recommends git make python3 ca-certificates" in lines
    assert lines[-1] == "rm --force --volumes fresh-12-core-2.16"
    assert "with ansible-core==2.16.*" in (place / "logs" / "12-core-2.16-demo.log").read_text()
    assert "with \n" in (place / "logs" / "13-demo.log").read_text()
    assert (place / "logs" / "13-test.log").read_text() == "lint unit: all passed after 1 s\n"


def test_command_without_its_last_line_has_failed_and_the_next_one_runs(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    committed(place, "it looked good")
    assert fresh.main(["12"]) == 1
    demo, test, total = capsys.readouterr().out.splitlines()
    assert "FAIL: it did not print 'Look around:'; see " in demo
    assert test.endswith("ok")
    assert total == "1 of 2 commands passed"


def test_command_that_fails_is_named_with_its_log(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "project" / "Makefile").write_text("demo test:\n\t@echo Look around: all passed after 3 s; exit 7\n")
    committed(place, "")
    assert fresh.main(["12"]) == 1
    assert f"FAIL: exit code 2; see {place}/logs/12-demo.log" in capsys.readouterr().out
    assert asked(place)[-1] == "rm --force --volumes fresh-12"


def test_machine_that_is_not_in_the_list_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fresh.main(["11"])
    assert "there is no machine 11; there are 12, 13, testing," in capsys.readouterr().err


def test_indexes_and_proxies_of_this_machine_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    given = {"PIP_INDEX_URL": "https://pip.example.org", "HTTPS_PROXY": "http://proxy.example.org", "no_proxy": "x"}
    for name, value in {**given, "PIP_FIND_LINKS": "/opt", "SECRET": "s"}.items():
        monkeypatch.setenv(name, value)
    found = fresh.settings()
    assert given.items() <= found.items()
    assert not {"PIP_FIND_LINKS", "SECRET"} & set(found)


@pytest.mark.parametrize("machine", fresh.MACHINES, ids=lambda machine: machine.name)
def test_machine_can_be_made_and_runs_targets_of_the_makefile(machine: fresh.Machine) -> None:
    makefile = (paths.plugins().parent / "Makefile").read_text(encoding="utf-8")
    assert machine.release in images.BASES
    assert all(f"\n{command}:" in makefile and command in fresh.COMMANDS for command in machine.commands)
    assert 'setup.sh $(PYTHON) $(VENV) "$(ANSIBLE)"' in makefile


def test_engine_that_cannot_be_used_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise LabError("no Docker engine answers")

    monkeypatch.setattr(engine, "ensure", refuse)
    assert fresh.main(["12"]) == 2
    assert capsys.readouterr().err == "no Docker engine answers\n"
