"""Transfers on a terminal and off it: one line each, and one for all."""

from __future__ import annotations

import pytest

from neuraltalk_provision.output import Output
from neuraltalk_provision.transfer_display import NOMINAL, TransferDisplay, time_left


@pytest.mark.parametrize(
    ("fraction", "elapsed", "words"),
    [
        (0.5, 30.0, "0:30"),
        (0.25, 60.0, "3:00"),
        (0.001, 10.0, "2:46:30"),
        (0.0, 5.0, ""),
        (1.0, 5.0, "0:00"),
        (2.0, 1.0, "0:00"),
    ],
)
def test_time_left_follows_from_what_is_done(fraction: float, elapsed: float, words: str) -> None:
    assert time_left(fraction, elapsed) == words


def test_transfer_gets_a_line_when_it_has_ended(capsys: pytest.CaptureFixture[str]) -> None:
    with TransferDisplay(Output(), 2, 2 * NOMINAL) as display:
        display.begin("torch/nn 8726", 0)
        display.begin("w\x1b[31m.bin", 0)
        display.at("torch/nn 8726", 0.5, "1 MiB/s")
        display.at("torch/nn 8726", 0.0, "checking [done]")
        display.end("torch/nn 8726", "fetched")
        display.end("w\x1b[31m.bin", "failed")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("fetched torch/nn 8726 in 0.0 s (1 of 2")
    assert lines[1].startswith("failed w")
    assert "\x1b" not in lines[1]
    assert "(2 of 2" in lines[1]


def test_json_has_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with TransferDisplay(Output(as_json=True), 1, 0) as display:
        display.begin("x", 10)
        display.end("x", "fetched")
    assert capsys.readouterr().out == ""
