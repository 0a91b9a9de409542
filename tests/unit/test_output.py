"""What is printed: words as they are, or exactly one JSON document."""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.cli import watch
from neuraltalk_provision.errors import CheckError, HostError, ProvisionError
from neuraltalk_provision.output import Output
from neuraltalk_provision.runs.progress.health import Health
from neuraltalk_provision.text import log_text, visible
from tests.unit.test_runs_history import RUN

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    "text",
    ["[bold]no markup[/]", ":ok: no emoji :warning:", "a\\", "[/x] [red", 'it\'s "quoted"', "x" * 300, "Üñï", "100%"],
)
def test_words_come_out_as_they_went_in(capsys: Capture, text: str) -> None:
    output = Output()
    output.say(text)
    output.error(HostError(text, advice=text))
    said = capsys.readouterr()
    assert said.out == text + "\n"
    assert said.err == f"error: {text}\nnext: {text}\n"


def test_table_shows_its_cells_as_they_are(capsys: Capture) -> None:
    Output().table("/srv/[my] mirror", ("name", "file"), [("[bold]a", ":key:.tgz")])
    said = capsys.readouterr().out
    assert all(text in said for text in ("/srv/[my] mirror", "[bold]a", ":key:.tgz"))


def test_table_is_never_cut_where_it_is_not_a_terminal(capsys: Capture) -> None:
    rows = [("VGG_ILSVRC_16_layers_deploy.prototxt", "x" * 60, "a" * 64)]
    Output().table("t", ("file", "origin", "sha256"), rows)
    assert capsys.readouterr().out.splitlines()[-1].split() == list(rows[0])


@pytest.mark.parametrize("text", ["", 'a "b"\r\n\\ \x1b[1m \u00e4 \U0001f600 \ud800', "7 lines\n" * 400_000])
def test_text_of_any_length_is_a_part_of_the_document(capsys: Capture, tmp_path: Path, text: str) -> None:
    """The log of a run was in memory four times."""
    document = {"id": "base", "log": '""'}
    with (tmp_path / "log").open("w+", encoding="utf-8", errors="surrogatepass", newline="") as file:
        file.write(text)
        file.seek(0)
        Output(as_json=True).result_with_text(document, "text", file)
        Output().result_with_text(document, "text", file)
    printed = capsys.readouterr().out
    Output(as_json=True).result({**document, "text": text})
    assert printed == capsys.readouterr().out


def test_json_is_one_document_and_no_words(capsys: Capture) -> None:
    output = Output(as_json=True)
    output.say("words")
    output.table("t", ("a",), [("b",)])
    output.step("node1", "nn", "built", "evidence")
    output.pass_on("a log")
    output.diffs([("node1", {"before": "a\n", "after": "b\n"})])
    with output.working("work"), output.progress("hashing", 10) as advance:
        advance(10)
    output.result({"a": [1]})
    said = capsys.readouterr()
    assert json.loads(said.out) == {"a": [1]}
    assert said.err == ""


def test_words_do_not_hold_the_json_result(capsys: Capture) -> None:
    Output().result({"a": 1})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kind", [ProvisionError, HostError, CheckError])
def test_error_as_json_is_one_document_with_the_result_so_far(capsys: Capture, kind: type[ProvisionError]) -> None:
    Output(as_json=True).error(kind("why", advice="what next", document={"hosts": [1]}))
    assert json.loads(capsys.readouterr().out) == {
        "hosts": [1],
        "error": "why",
        "advice": "what next",
        "kind": kind.__name__,
    }


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        ([{"module": "torch", "seconds": 0.1}, {"module": "nn"}], "loads torch, nn"),
        ({"installed": {"gcc": "1"}, "absent": ["sox"]}, "1 packages, not available: sox"),
        ({"installed": {"gcc": "1", "make": "2"}, "absent": []}, "2 packages"),
        ({"seconds": 61.4, "loads": [{"module": "torch"}]}, "in 61 s, loads torch"),
        ("round trip: [12] floats", "round trip: [12] floats"),
        (None, ""),
        ([], ""),
    ],
)
def test_step_shows_its_evidence_in_a_few_words(capsys: Capture, evidence: object, words: str) -> None:
    Output().step("node1", "nn", "built", evidence)
    assert capsys.readouterr().out.split("built", 1)[1].strip() == words


@pytest.mark.parametrize(
    "evidence",
    [
        {"installed": 7},
        {"installed": [], "absent": 7},
        {"loads": []},
        {"loads": [], "seconds": "long"},
        [{"module": "nn"}, 7],
    ],
)
def test_evidence_that_is_not_as_expected_is_shown_as_it_is(capsys: Capture, evidence: Any) -> None:
    Output().step("node1", "nn", "built", evidence)
    assert repr(evidence) in capsys.readouterr().out


def test_diff_that_hosts_share_is_shown_once(capsys: Capture) -> None:
    same = {"before": "nn not built\n", "after": "nn abc\n", "before_header": "nn", "after_header": "nn"}
    other = {"before": "", "after": "gcc\n"}
    Output().diffs([("node1", same), ("node2", same), ("node3", other)])
    said = capsys.readouterr().out
    assert said.count("+nn abc") == 1
    assert "--- on node1, node2\n" in said
    assert "--- on node3\n" in said
    assert "+gcc" in said


@pytest.mark.parametrize("as_json", [False, True])
def test_reader_who_went_away_does_not_stop_the_work(as_json: bool) -> None:
    """`provision site | head` goes on in silence, and its exit code is still that of the work."""
    program = (
        "import sys; from neuraltalk_provision.output import Output\n"
        f"output = Output(as_json={as_json})\n"
        "for _ in range(1000): output.say('x' * 100); output.pass_on('x' * 100); output.result({'a': 'b'})\n"
        "sys.exit(42)"
    )
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (42, "")


# What a name or a log can hold: colours, the title of the window, the clipboard, C1's own CSI, letters turned around,
# a bell, a backspace, a line written over, a name that is not UTF-8.
HOSTILE = (
    "a\x1b[31mb\x1b]0;title\x07\x1b]52;c;eA==\x07\x9b2J\u202ecod\u2066\u200f\x08\x7f\rgone\x00caf\udce9\ud800\u2028"
)
COMMANDS = [char for char in HOSTILE if not char.isprintable()]

PRINTED: dict[str, Callable[[Output], None]] = {
    "say": lambda output: output.say(HOSTILE),
    "pass_on": lambda output: output.pass_on(HOSTILE),
    "error": lambda output: output.error(HostError(HOSTILE)),
    "advice": lambda output: output.error(HostError("x", advice=HOSTILE)),
    "title": lambda output: output.table(HOSTILE, ("a",), [("b",)]),
    "column": lambda output: output.table("t", (HOSTILE,), [("b",)]),
    "cell": lambda output: output.table("t", ("a",), [(HOSTILE,)]),
    "host": lambda output: output.step(HOSTILE, "nn", "built", ""),
    "component": lambda output: output.step("one", HOSTILE, "built", ""),
    "what": lambda output: output.step("one", "nn", HOSTILE, ""),
    "evidence": lambda output: output.step("one", "nn", "built", HOSTILE),
    "modules": lambda output: output.step("one", "nn", "built", [{"module": HOSTILE}]),
    "diff": lambda output: output.diffs([("one", {"before": "a\n", "after": HOSTILE})]),
    "header": lambda output: output.diffs([("one", {"before": "a", "after": "b", "after_header": HOSTILE})]),
    "whose diff": lambda output: output.diffs([(HOSTILE, {"before": "a", "after": "b"})]),
    "screen": lambda output: show(output, HOSTILE),
    "json": lambda output: Output(as_json=True).result({HOSTILE: [HOSTILE]}),
}


def show(output: Output, text: str) -> None:
    with output.screen() as screen:
        screen(text)


@pytest.mark.parametrize("printed", PRINTED.values(), ids=PRINTED)
def test_nothing_that_comes_from_outside_commands_the_terminal(
    capfd: pytest.CaptureFixture[str], printed: Callable[[Output], None]
) -> None:
    printed(Output())
    said = "".join(capfd.readouterr())
    assert [char for char in said if not char.isprintable() and char not in "\n\t"] == []
    assert "202e" in said


def test_picture_of_a_run_with_nasty_names_commands_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    nasty = replace(RUN, id=HOSTILE, host=HOSTILE, health=Health("killed", HOSTILE))
    for coloured in (False, True):
        monkeypatch.setattr(Output, "coloured", coloured)
        seen = re.sub(r"\x1b\[[0-9;]*m", "", watch.picture((nasty,), Output()))
        assert [char for char in seen if not char.isprintable() and char not in "\n\t"] == []


def test_what_a_terminal_would_obey_is_shown_as_an_escape() -> None:
    assert visible("a\x1b[31m\u202eb\udce9\ud800\x9b") == "a\\x1b[31m\\u202eb\\xe9\\ud800\\x9b"
    assert visible("\tÜñï \U0001f600 \u65e5\n\r\n") == "\tÜñï \U0001f600 \u65e5\n\n"


def test_log_is_shown_without_colours_and_each_step_of_a_progress_bar_on_a_line() -> None:
    assert log_text("\x1b[0;32mgood\x1b[0m\r\n 1 %\r 2 %\n\x07") == "good\n 1 %\n 2 %\n\\x07"


@pytest.mark.parametrize("opened", ["\x1b]0;", "\x1b[", "\x1b[8m", "\x1bP", "\x1b_", "\x1b]52;c;"])
def test_nothing_of_a_log_is_hidden_behind_a_sequence_without_an_end(opened: str) -> None:
    shown = log_text(f"before {opened}\nand what comes after\n")
    assert shown.endswith("\nand what comes after\n")
    assert "line" in log_text(f"{opened} the line itself\n")


class Number(float):
    """Not a float by name, as numpy's are."""


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (math.nan, None),
        (-math.inf, None),
        (Number("nan"), None),
        ([1.5, (math.inf, {"a": math.nan})], [1.5, [None, {"a": None}]]),
        ({math.nan: 1, 2: math.nan, None: 3, 1.5: 4, True: 5}, {"null": 3, "2": None, "1.5": 4, "true": 5}),
        (10**5_000, None),
        (2**63, 2**63),
        ({"path": Path("/x"), "set": {1}}, {"path": "/x", "set": [1]}),
        ("\udce9\x1b", "\udce9\x1b"),
    ],
    ids=range(9),
)
def test_json_is_valid_whatever_the_numbers_are(capsys: Capture, value: Any, told: Any) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    Output(as_json=True).result({"a": value})
    assert json.loads(capsys.readouterr().out, parse_constant=refuse) == {"a": told}


def test_document_that_is_nested_without_end_is_cut(capsys: Capture) -> None:
    nested: list[Any] = []
    nested.append(nested)
    Output(as_json=True).result({"a": nested})
    assert "nested too deeply" in capsys.readouterr().out


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line of the package in a shell, with what it does to its streams."""
    line = command.replace("provision", f"'{sys.executable}' -m neuraltalk_provision", 1)
    environment = {**os.environ, **environment}
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("provision runs options train.lua >&-", 2, "error: stdout is closed"),
        ("provision runs options train.lua --json >&-", 2, "error: stdout is closed"),
        ("provision runs options train.lua >/dev/full", 2, "written to stdout: No space left on device"),
        ("provision runs options train.lua --json >/dev/full", 2, "written to stdout: No space left on device"),
        ("provision runs options x.lua --json >/dev/full", 2, "error: x.lua is neither train.lua nor eval.lua"),
        ("provision --version >/dev/full", 2, "No space left on device"),
        ("provision --help >/dev/full", 2, "No space left on device"),
        ("provision runs options train.lua >&- 2>&-", 2, ""),
        ("provision runs options train.lua 2>&- <&- >/dev/null", 0, ""),
        ("provision runs options train.lua 2>/dev/full >/dev/null", 0, ""),
        ("provision runs options x.lua 2>/dev/full >/dev/null", 2, ""),
    ],
)
def test_stream_that_is_closed_or_full_ends_clearly(command: str, code: int, words: str) -> None:
    done = shell(command)
    assert (done.returncode, "Traceback" in done.stderr, "Exception" in done.stderr) == (code, False, False)
    assert words in done.stderr


def test_full_disk_behind_stdout_does_not_stop_the_work() -> None:
    program = (
        "import sys; from neuraltalk_provision.output import Output\n"
        "output = Output()\n"
        "for _ in range(1000): output.say('x' * 100); output.pass_on('x' * 100); output.table('t', ('a',), [('b',)])\n"
        "sys.exit(42)"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (42, b"")


def test_letters_that_stdouts_encoding_lacks_are_escaped(tmp_path: Path) -> None:
    done = shell("provision --settings 'ü' 2>&1", PYTHONIOENCODING="ascii")
    assert (done.returncode, "Traceback" in done.stdout) == (2, False)
    assert "No such option" in done.stdout
    done = shell("provision variables --settings '\u65e5.yml' 2>&1", PYTHONIOENCODING="ascii")
    assert "\\u65e5.yml: there is no such settings file" in done.stdout


def test_table_of_thousands_of_rows_is_aligned_and_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"run-{number}", "node\x1b[31m", "ended\n") for number in range(3000)]
    Output().table("runs", ("run", "host", "state"), rows)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3002
    assert lines[1].split() == ["run", "host", "state"]
    assert lines[2].index("node") == lines[3001].index("node") == lines[1].index("host")
    assert "\x1b" not in "".join(lines)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_task_is_shown_while_a_playbook_redirects_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spinner stood still and showed no task while a playbook ran. Lines of -v are above it."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stderr", terminal := _Terminal())
    monkeypatch.setattr(sys, "stdout", terminal)
    output = Output()
    with output.working("connects"):
        shown = sys.stderr
        with redirect_stderr(io.StringIO()):
            output.busy("Install it")
            with redirect_stderr(shown):
                Output().detail("TASK [Install it]")
            output.step("node1", "torch", "built", "")
            now = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert re.search(r"TASK \[Install it\]\n\S+ Install it", now), now
    assert re.search(r"\r  node1 +torch +built *\n\S+ Install it", now), now
    with Output(as_json=True).working("connects"), Output(as_json=True).progress("reads", 9):
        assert sys.stderr is terminal  # else lines of -v would be lost with --json
