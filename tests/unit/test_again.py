"""Command lines in advice repeat the options that decide on what a command works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neuraltalk_provision.again import completed, repeating
from neuraltalk_provision.cli import main, rollout
from neuraltalk_provision.errors import HostError
from neuraltalk_provision.output import Output


@pytest.mark.parametrize(
    ("given", "told", "complete"),
    [
        ("site", "`provision site --resume`", "`provision site --resume`"),
        ("site -s a.yml", "run `provision site --resume`.", "run `provision site --resume --settings a.yml`."),
        ("site --settings=a.yml", "`provision rollback --to a`", "`provision rollback --to a --settings a.yml`"),
        ("site -i h1 -i h2", "`provision verify`", "`provision verify --inventory h1 --inventory h2`"),
        ("site --limit a", "`provision site --activate`", "`provision site --activate --limit a`"),
        ("site -l !a,b", "`provision site`", "`provision site --limit '!a,b'`"),
        ("site --limit a", "`provision site --resume`", "`provision site --resume`"),
        ("site --limit a", "`provision rollback --limit b`", "`provision rollback --limit b`"),
        ("rollback --limit a", "`provision rollback --limit b`", "`provision rollback --limit b`"),
        ("rollback --limit a", "`provision site`", "`provision site`"),
        ("site --stack-root /x", "`provision mirror add FILE`", "`provision mirror add FILE`"),
        ("site -m /m", "`provision mirror add FILE`", "`provision mirror add FILE --mirror /m`"),
        ("site --stack-root /x", "`provision site --stack-root /y`", "`provision site --stack-root /y`"),
        ("train -s a -- -s b", "`provision train -- -x 1`", "`provision train --settings a -- -x 1`"),
        ("site -s a", "`provision site --help`", "`provision site --help`"),
        ("site -s a", 'has had it, for "provision site"', 'has had it, for "provision site"'),
        ("site -s a", "`provision sit`, `provision`, `apt-get -s`", "`provision sit`, `provision`, `apt-get -s`"),
    ],
)
def test_command_line_is_complete(given: str, told: str, complete: str) -> None:
    with repeating(given.split(), main._options):
        assert completed(told) == complete
    assert completed(told) == told


def test_command_lines_in_a_result_with_json_are_complete(capsys: pytest.CaptureFixture[str]) -> None:
    """The cures of `provision drift --json` did not repeat the options that those of its tables repeat."""
    with repeating(["drift", "-s", "a.yml"], main._options):
        Output(as_json=True).result({"hosts": [{"cure": "`provision site --limit a`, then look", "found": "b"}]})
    cure = "`provision site --limit a --settings a.yml`, then look"
    assert json.loads(capsys.readouterr().out) == {"hosts": [{"cure": cure, "found": "b"}]}


@pytest.mark.parametrize("as_json", [True, False])
def test_advice_of_a_failed_command_repeats_its_options(
    as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*_given: object) -> None:
        raise HostError("it broke", advice="`provision site --resume` continues it")

    (tmp_path / "a site.yml").write_text("{}\n")
    monkeypatch.setattr(rollout.settings_file, "load", fail)
    arguments = ["rollout", "status", "-s", str(tmp_path / "a site.yml")]
    assert main.boundary([*arguments, *["--json"] * as_json]) == 1
    told = capsys.readouterr()
    assert f"`provision site --resume --settings '{tmp_path}/a site.yml'` continues it" in told.out + told.err
