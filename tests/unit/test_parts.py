"""How the tests are run: which parts side by side, what is told, and what is not run again."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.__main__ as parts
from tests import unchanged

MAKE = """
lint unit local alone molecule molecule-old:
	@echo "$@ $$MAKEFLAGS"; echo $@ >>{ran}
site:
	@echo it broke; echo $@ >>{ran}; false
"""


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in which the parts that ran are listed; `site` fails."""
    monkeypatch.setattr(parts, "ROOT", tmp_path)
    monkeypatch.setattr(parts, "LOGS", tmp_path / "logs")
    (tmp_path / "ran").touch()
    (tmp_path / "Makefile").write_text(MAKE.format(ran="ran"), encoding="utf-8")
    return tmp_path / "ran"


def test_every_part_is_a_target_of_the_makefile_and_is_run_once() -> None:
    text = (Path(__file__).resolve().parents[2] / "Makefile").read_text(encoding="utf-8")
    assert set(parts.PARTS) <= set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    assert len(parts.PARTS) == len(set(parts.PARTS))


def test_output_of_a_part_comes_in_one_piece_and_the_other_parts_go_on(
    ran: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAKEFLAGS", "-n")
    assert parts.main([]) == 1
    assert sorted(ran.read_text().split()) == sorted(parts.PARTS)
    said = capsys.readouterr().out
    assert re.search(r"^---- site\nit broke\n(make: .*\n)+FAIL site ", said, re.MULTILINE)
    assert re.search(r"^ok   molecule ", said, re.MULTILINE)
    assert re.search(r"something failed after \d+ s\n\Z", said)


def test_nothing_is_begun_after_a_gate_that_failed(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran.with_name("Makefile").write_text("lint:\n\tfalse\n" + MAKE.replace("lint ", "").format(ran="ran"))
    assert parts.main(["lint", "unit", "molecule"]) == 1
    assert ran.read_text() == "unit\n"
    assert "not run, because something before failed: molecule" in capsys.readouterr().out
    stopped = threading.Event()
    assert [result.code for result in parts.run_stream(["unit", "lint", "local"], stopped)] == [0, 2]
    assert stopped.is_set()
    assert parts.run_stream(["local"], stopped) == []


def test_part_that_takes_long_shows_its_last_line_meanwhile(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def say(words: str) -> None:
        said.append(words)
        if re.fullmatch(r"---- lint, \d+ s: second", words):
            ran.with_name("go").touch()

    monkeypatch.setattr(parts, "PROGRESS_INTERVAL", 0.1)
    monkeypatch.setattr(parts, "say", say)
    ran.with_name("Makefile").write_text(
        "lint:\n\t@echo first; echo second; while ! test -e go; do sleep 0.05; done; echo third\n"
    )
    assert parts.main(["lint"]) == 0
    assert said[-1].startswith("---- lint\nfirst\nsecond\nthird\n")


def test_parts_that_are_named_are_run_and_no_others(ran: Path) -> None:
    assert parts.main(["molecule", "lint"]) == 0
    assert ran.read_text() == "lint\nmolecule\n"


def test_part_that_is_none_is_refused_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parts.main(["units"])
    assert "there is no part units; there are site, lint, " in capsys.readouterr().err


def test_lock_that_another_holds_on_what_is_printed_to_keeps_nobody_waiting(ran: Path, tmp_path: Path) -> None:
    """make --output-sync waits for it: for ever, where that is /dev/null and some other make has it."""
    program = (
        "import sys, pathlib, tests.__main__ as p; p.ROOT = pathlib.Path(sys.argv[1]); p.LOGS = p.ROOT / 'logs';"
        " sys.exit(p.main(['lint', 'unit']))"
    )
    with (tmp_path / "said").open("w") as said:
        fcntl.lockf(said, fcntl.LOCK_EX | fcntl.LOCK_NB)
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)],
            cwd=Path(parts.__file__).parents[1],
            stdin=subprocess.DEVNULL,
            stdout=said,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0
    assert sorted(ran.read_text().split()) == ["lint", "unit"]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout with one file, and a check that leaves a line each time that it is run."""
    monkeypatch.setattr(unchanged, "ROOT", tmp_path)
    monkeypatch.setattr(unchanged, "PASSED", tmp_path / ".cache" / "unchanged")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / "roles").mkdir()
    (tmp_path / "roles" / "a.yml").write_text("a")
    yield tmp_path


def test_check_is_run_again_only_where_something_changed(checkout: Path) -> None:
    runs = checkout / "runs"

    def check(code: int = 0) -> int:
        return unchanged.main(["roles", "--", "sh", "-c", f"echo x >>runs; exit {code}"])

    assert (check(), check(), len(runs.read_text())) == (0, 0, 2)
    (checkout / "roles" / "a.yml").write_text("b")
    assert (check(), check(), len(runs.read_text())) == (0, 0, 4)
    (checkout / "roles" / "b.yml").write_text("new")
    assert (check(), check(), len(runs.read_text())) == (0, 0, 6)
    (checkout / "roles" / "b.yml").unlink()
    (checkout / "roles" / "a.yml").rename(checkout / "roles" / "c.yml")
    assert (check(), check(), len(runs.read_text())) == (0, 0, 8)
    assert (check(3), check(3), len(runs.read_text())) == (3, 3, 12)


def test_check_is_always_run_where_git_knows_no_files(checkout: Path) -> None:
    shutil.rmtree(checkout / ".git")
    for count in (1, 2):
        assert unchanged.main(["roles", "--", "sh", "-c", "echo x >>runs"]) == 0
        assert (checkout / "runs").read_text() == "x\n" * count
