"""Every failure leaves a trace: where the log of a command is named, what -v shows, and what a bug is."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import command_log, paths
from neuraltalk_provision.cli import main
from neuraltalk_provision.errors import HostError
from neuraltalk_provision.fleet import survey
from neuraltalk_provision.mirror import lock, store
from neuraltalk_provision.site import converge, operations
from tests.unit.test_cli import site

__all__ = ["site"]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def mirror(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site has an empty mirror; lines of 300 characters are not broken."""
    monkeypatch.setenv("COLUMNS", "300")
    (site / "mirror").mkdir()
    lock.write(site / "mirror", lock.Lock())


def provision(capsys: Capture, *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main.boundary([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


def logs() -> list[Path]:
    return (
        sorted(paths.logs_dir().iterdir(), key=lambda file: file.stat().st_mtime_ns)
        if paths.logs_dir().exists()
        else []
    )


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException, text: str = "fatal: [node1]\n") -> None:
    """`provision site` writes a text to its log, and fails."""

    def plans(*_given: Any, **_more: Any) -> Any:
        log = command_log.current()
        assert log
        log.write(text, shown=text if log.verbosity else "")
        raise error

    monkeypatch.setattr(survey, "survey", plans)


def test_error_of_a_host_names_the_log_of_the_command(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, HostError("node1: gone", advice="Look there."))
    code, out, err = provision(capsys, "site")
    (log,) = logs()
    assert (code, out) == (1, "")
    assert err == f"error: node1: gone\nnext: Look there.\nlog: {log}\n"
    assert log.read_text().endswith("fatal: [node1]\n")


def test_error_of_a_host_names_the_log_with_json(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(
        monkeypatch, HostError("node1: gone", document={"failures": [{"host": "node1", "code": "host.unreachable"}]})
    )
    code, out, err = provision(capsys, "site", "--json")
    told = json.loads(out)
    assert (code, err, told["log"]) == (1, "", str(logs()[0]))
    assert told["failures"][0]["code"] == "host.unreachable"


def test_verb_that_ends_with_a_failed_host_names_the_log(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def prove(*_given: Any, **_more: Any) -> Any:
        log = command_log.current()
        assert log
        log.write("fatal\n")
        return (operations.Verdict("node1", (), "node1, Prove: cannot be reached"),)

    monkeypatch.setattr(operations, "verify_hosts", prove)
    code, out, err = provision(capsys, "verify")
    assert (code, "FAIL node1" in out, err) == (1, True, f"log: {logs()[0]}\n")
    code, out, err = provision(capsys, "verify", "--json")
    assert (code, len(json.loads(out)["hosts"]), err) == (1, 1, f"log: {logs()[1]}\n")


@pytest.mark.parametrize("words", [["mirror", "list"], ["mirror", "verify"], ["frobnicate"], ["site", "--nonsense"]])
def test_command_that_asked_no_host_leaves_no_log(capsys: Capture, words: list[str]) -> None:
    assert "log:" not in provision(capsys, *words)[2]
    assert not paths.state_dir().exists()


def test_state_that_cannot_be_written_is_said_once_and_the_command_goes_on(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").touch()
    failing(monkeypatch, HostError("node1: gone"))
    code, _, err = provision(capsys, "site")
    assert code == 1
    assert err == (f"error: node1: gone\nwarning: this command has no log: {paths.state_dir()}: Not a directory\n")
    code, out, err = provision(capsys, "site", "--json")
    assert (code, json.loads(out)["error"], "log" in json.loads(out)) == (1, "node1: gone", False)
    assert err.startswith("warning: this command has no log: ")


@pytest.mark.parametrize("words", [["-v", "site"], ["site", "-v"], ["site", "--verbose"], ["site", "--json", "-v"]])
def test_verbose_shows_what_goes_on_beside_the_outcome(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    failing(monkeypatch, HostError("node1: gone"), "TASK [Ping] \x1b[31m[bold]\n")
    code, out, err = provision(capsys, *words)
    assert code == 1
    assert err.startswith("TASK [Ping] [bold]\n")
    assert "TASK" not in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["site"], (0, ["site"])),
        (["-v", "site"], (1, ["site"])),
        (["site", "-vv", "--json"], (2, ["site", "--json"])),
        (["-v", "site", "-v"], (2, ["site"])),
        (["-vvv", "site", "--verbose"], (4, ["site"])),
        (["train", "-v", "--", "-v", "-vv"], (1, ["train", "--", "-v", "-vv"])),
        (["train", "--", "-val_images_use", "3"], (0, ["train", "--", "-val_images_use", "3"])),
        (["--version"], (0, ["--version"])),
    ],
)
def test_verbosity_stands_anywhere_before_options_of_a_program(
    words: list[str], expected: tuple[int, list[str]]
) -> None:
    assert main.verbosity(words) == expected


def test_help_tells_of_the_log_and_of_verbosity(capsys: Capture) -> None:
    out = " ".join(provision(capsys, "--help")[1].split())
    assert "--verbose" in out
    assert "-vv" in out
    assert "logs" in out


BUGS = [
    KeyError("nobody thought of this"),
    OSError(28, "No space left on device", "/somewhere"),
    PermissionError(13, "Permission denied"),
    RecursionError("maximum recursion depth exceeded"),
]


@pytest.mark.parametrize("error", BUGS, ids=lambda error: type(error).__name__)
def test_what_nobody_thought_of_is_a_bug_with_a_report(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_given: object) -> None:
        raise error

    monkeypatch.setattr(store, "verify", broken)
    code, out, err = provision(capsys, "mirror", "verify", "--mirror", "mirror")
    (report,) = logs()
    assert (code, out) == (3, "")
    assert f"error: this is a bug in neuraltalk-provision: {type(error).__name__}: {error}" in err
    assert "next: Send " in err
    assert f"log: {report}\n" in err
    text = report.read_text(encoding="utf-8")
    assert "provision mirror verify --mirror mirror" in text
    for word in ("neuraltalk-provision", "ansible-core", "Python", "Traceback (most recent call last)", "in broken"):
        assert word in text
    code, out, _ = provision(capsys, "mirror", "verify", "--json")
    told = json.loads(out)
    assert (code, told["kind"], told["log"]) == (3, "BugError", str(logs()[1]))


@pytest.mark.parametrize(
    ("error", "limit"),
    [
        (OSError(24, "Too many open files", "/somewhere"), "ulimit -n"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "ulimit -u"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
    ],
)
def test_limit_of_this_machine_is_no_bug(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, error: Exception, limit: str
) -> None:
    def limited(*_given: object) -> None:
        raise error

    monkeypatch.setattr(store, "verify", limited)
    code, _, err = provision(capsys, "mirror", "verify")
    assert code == 2
    assert f"error: a limit of this machine was reached: {error}\nnext: Raise the limit of " in err
    assert f"`{limit}`, n" in err


def test_report_of_a_bug_holds_no_secret(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_given: object) -> None:
        raise ValueError("https://bot:s3cr3t@mirror/ has no page")

    monkeypatch.setattr(store, "verify", broken)
    code, _, err = provision(capsys, "mirror", "verify")
    assert code == 3
    assert "s3cr3t" not in err + logs()[0].read_text(encoding="utf-8")


def test_bug_is_told_whole_where_it_cannot_be_reported(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").touch()
    monkeypatch.setattr(store, "verify", lambda *given: {}["x"])
    code, out, _ = provision(capsys, "mirror", "verify", "--json")
    told = json.loads(out)
    assert (code, told["kind"]) == (3, "BugError")
    assert "Traceback (most recent call last)" in told["advice"]


LONG = "x" * 300
DOORS: dict[str, tuple[list[str], str]] = {
    "settings with a long name": (["site", "-s", LONG], "File name too long"),
    "settings in a file": (["site", "-s", "file/x.yml"], "no such settings file"),
    "settings in a directory": (["site", "-s", "mirror"], "no such settings file"),
    "mirror with a long name": (["mirror", "list", "-m", LONG], "File name too long"),
    "mirror that is a file": (["mirror", "add", "torch.tgz", "-m", "file"], "File exists"),
    "file with a long name": (["mirror", "add", LONG], "File name too long"),
    "site below a file": (["init", "file/site"], "Not a directory"),
    "site with a long name": (["init", LONG], "File name too long"),
    "inventory with a long name": (["runs", "list", "-i", LONG], "File name too long"),
    "variables into a directory": (["variables", "mirror"], "Is a directory"),
    "variables below a file": (["variables", "file/v.yml"], "Not a directory"),
    "run's file with a long name": (["train", f"{LONG}.yml", "--host", "h"], "File name too long"),
    "envelope with a long name": (["runs", "verify", "r", "--envelope", LONG], "File name too long"),
}


@pytest.mark.parametrize("kind", DOORS)
def test_file_that_a_user_named_is_an_error_with_place_and_cause(
    capsys: Capture, site: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (site / "file").touch()
    (site / "torch.tgz").write_bytes(gzip.compress(b"an archive"))
    monkeypatch.setattr(converge, "make_plans", lambda *given, **more: ())
    words, cause = DOORS[kind]
    code, _, err = provision(capsys, *words)
    assert code == 2, err
    assert cause in err
    assert any(place in err for place in (LONG, "file", "mirror"))
    assert "bug" not in err


def test_disk_that_is_full_is_told_with_its_place(
    capsys: Capture, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "none"
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    (site / "hosts.yml").write_text("all: {hosts: {h: {}}}\n")
    code, _, err = provision(capsys, "runs", "list", "-i", site / "hosts.yml")
    assert code == 2
    assert str(scratch) in err
    assert "bug" not in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read_is_told_as_such(capsys: Capture, site: Path) -> None:
    (site / "provision.yml").touch(mode=0o000)
    assert provision(capsys, "site")[0] == 2


def test_working_directory_that_is_gone_is_told(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for words in (["mirror", "list"], ["data", "prepare", "--input_json", "c.json"]):
        code, _, err = provision(capsys, *words)
        assert code == 2
        assert "bug" not in err
