"""Options of runs that would have no effect, and cards that no host can have, are refused before a host is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuraltalk_provision.cli import main
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.runs.request import spec

GIVEN = ["-input_h5", "/a", "-input_json", "/b"]


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.yml").write_text("id: s\noptions: {input_h5: /a, input_json: /b}\ngrid: {seed: [1, 2]}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train --host node1 --sbatch=--partition=gpu", "--sbatch has an effect only with --launcher slurm"),
        ("eval --host node1 --sbatch=--partition=gpu", "--sbatch has an effect only with --launcher slurm"),
        ("sweep s.yml --sbatch=--partition=gpu", "--sbatch has an effect only with --launcher slurm"),
        ("train --host node1 --gpu-memory 100", "--gpu-memory has an effect only with --gpu"),
        ("eval --host node1 --gpu none --gpu-memory 100", "--gpu-memory has an effect only with --gpu"),
        ("sweep s.yml --gpu none --gpu-memory 100", "--gpu-memory has an effect only with --gpu"),
        ("sweep s.yml --launcher slurm --host node1 --limit node2", "--limit has no effect with --launcher slurm"),
        ("sweep s.yml --host node1 --limit node2", "--host and --limit exclude each other"),
        ("sweep s.yml --gpu 1", "--gpu 1: a sweep takes the free GPUs of its hosts"),
    ],
)
def test_option_without_effect_is_refused(capsys: pytest.CaptureFixture[str], words: str, message: str) -> None:
    verb = words.split()[0]
    given = {"train": GIVEN, "eval": ["-model", "/m.t7"], "sweep": []}[verb]
    assert main.boundary([*words.split(), "--plan", "--", *given]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("gpu", ["none", "auto", "0", "15", "GPU-1", "GPU-0a1b2c3d-1111-2222-3333-444455556666"])
def test_card_that_a_host_can_have(gpu: str) -> None:
    assert spec.parse("train.lua", "r", GIVEN, gpu=gpu).gpu == gpu


@pytest.mark.parametrize("gpu", ["nine", "-1", "0,1", "cuda:0", "Auto", "1.5", "GPU 0"])
def test_card_that_no_host_can_have_is_refused(gpu: str) -> None:
    with pytest.raises(UsageError) as caught:
        spec.parse("train.lua", "r", GIVEN, gpu=gpu)
    assert caught.value.message == f"--gpu {gpu!r} is not a GPU"
    assert "`none` for the CPU" in caught.value.advice
