"""What is printed: words as they are, or exactly one JSON document."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from neuraltalk_provision.errors import CheckError, HostError, ProvisionError
from neuraltalk_provision.output import Output

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
        ({"installed": {"gcc": "1"}, "absent": ["sox"]}, "1 packages, not to be had: sox"),
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
