"""Words of a command line: empty ones are refused, and ~ in `--option=~/path` is the home directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuraltalk_provision.cli import main, words
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.runs.request import spec


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (["rollback", "--to", ""], "after --to"),
        (["rollback", "--to="], "after --to"),
        (["mirror", "add", "-m", "", "nn.tgz"], "after -m"),
        (["runs", "stop", " "], "after stop"),
        (["", "site"], "at the beginning"),
    ],
)
def test_empty_word_is_refused_because_it_would_mean_a_default(given: list[str], place: str) -> None:
    with pytest.raises(UsageError) as caught:
        words.checked(given)
    assert caught.value.message == f"the command line has an empty value {place}"
    assert "a shell variable" in caught.value.advice


def test_empty_word_reaches_the_user_as_wrong_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main.boundary(["mirror", "add", "--mirror", "", str(tmp_path / "nn.tgz")]) == 2
    assert "an empty value after --mirror" in capsys.readouterr().err


def test_options_of_a_program_can_be_empty() -> None:
    given = ["train", "--", "-start_from", "", "--x=~/y"]
    assert words.checked(given) == given


def test_home_directory_in_an_option_with_an_equals_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ops")
    given = ["site", "--mirror=~/mirror", "--limit=~web", "--stack-root", "~/x", "--settings=~"]
    assert words.checked(given) == [
        "site",
        "--mirror=/home/ops/mirror",
        "--limit=~web",
        "--stack-root",
        "~/x",
        "--settings=/home/ops",
    ]


@pytest.mark.parametrize(
    ("given", "option", "program"),
    [
        (["train", "--host", "node1", "-input_h5", "/a"], "-input_h5", "train.lua"),
        (["train", "t.yml", "-id", "x"], "-id", "train.lua"),
        (["-v", "train", "--max_iters", "100"], "--max_iters", "train.lua"),
        (["eval", "--host", "node1", "-image_folder=/p"], "-image_folder", "eval.lua"),
        (["sweep", "s.yml", "-seed", "3"], "-seed", "train.lua"),
        (["runs", "resume", "base", "-max_iters", "100"], "-max_iters", "train.lua"),
    ],
)
def test_option_of_a_program_without_the_separator_is_named(given: list[str], option: str, program: str) -> None:
    with pytest.raises(UsageError) as caught:
        words.checked(given)
    assert caught.value.message == f"{option} is an option of {program}, and stands before the --"
    assert "provision " in caught.value.advice and " -- -" in caught.value.advice


@pytest.mark.parametrize(
    "given",
    [
        ["train", "--host", "node1", "--id", "x", "-ihosts.yml", "--", "-id", "x"],
        ["data", "prepare", "--input_json", "x.json"],
        ["runs", "show", "-Hnode1", "base"],
    ],
)
def test_own_options_are_not_taken_for_those_of_a_program(given: list[str]) -> None:
    assert words.checked(given) == given


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        (["site", "--plann"], "`provision site --help` lists the options."),
        (["runs", "list", "--bogus"], "`provision runs list --help` lists the options."),
        (["--bogus"], "`provision --help` lists the commands."),
        (["sit"], "`provision --help` lists the commands."),
        (["runs", "lst"], "`provision runs --help` lists the commands."),
        (["runs", "--json"], "`provision runs --help` lists the commands."),
    ],
)
def test_advice_after_wrong_usage_can_be_typed(
    capsys: pytest.CaptureFixture[str], given: list[str], advice: str
) -> None:
    assert main.boundary(given) == 2
    said = capsys.readouterr()
    assert advice in said.err + said.out


def test_example_of_an_option_is_one_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, option in (("train", "-max_iters"), ("eval", "-num_images")):
        assert main.boundary([verb, "--help"]) == 0
        assert option in capsys.readouterr().out
    with pytest.raises(UsageError) as caught:
        spec.parse("eval.lua", "r", [])
    assert caught.value.message == "eval.lua needs -model, which is a path on the host"
