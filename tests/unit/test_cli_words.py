"""Words of a command line: empty ones are refused, and ~ in `--option=~/path` is the home directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuraltalk_provision.cli import main, words
from neuraltalk_provision.errors import UsageError


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
