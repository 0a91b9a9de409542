"""What is wrong with a field of a file that a person wrote: in words of that file, not of Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.runs.request import document
from neuraltalk_provision.runs.verdict import envelope


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("forks: many", "forks: must be a whole number, and is 'many'"),
        ("forks: '2'", "forks: must be a whole number, and is '2'"),
        ("forks: 2.5", "forks: must be a whole number, and is 2.5"),
        ("forks: true", "forks: must be a whole number, and is true"),
        ("forks: 0", "forks: must be at least 1, and is 0"),
        ("forks:", "forks: is empty: write a whole number, or leave the line out"),
        ("cache: 1", "cache: must be true or false, and is 1"),
        ("mirror:", "mirror: is empty: write a file or directory, or leave the line out"),
        ("mirror: [a]", "mirror: must be a file or directory, and is a list of values"),
        ("artifact_ca: 5", "artifact_ca: must be a file or directory, and is 5"),
        ("return_after: 2d", "return_after: must be at most 86400, and is 172800"),
        ("builders: node1", "builders: must be a list such as [a, b], and is 'node1'"),
        ("builders: ['']", "builders.0: must have at least 1 character"),
        ("pip: none", "pip: must be `name: value` lines, and is 'none'"),
        ("pip:", "pip: is empty: write `name: value` lines, or leave the line out"),
        ("profile: gpu", "profile: must be 'auto', 'cpu', 'legacy' or 'modern', and is 'gpu'"),
        ("run_user: Root", "run_user: must match ^[a-z_][a-z0-9_-]{0,31}$, and is 'Root'"),
        ("slurm: 5", "slurm: must be text, and is 5"),
    ],
)
def test_setting(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "provision.yml"
    file.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        settings_file.load(file)
    assert caught.value.message == f"{file}: {words}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gpu_memory: -1", "gpu_memory: must be at least 0, and is -1"),
        ("gpu: [0]", "gpu: must be text or a whole number, and is a list of values"),
        ("options: [1]", "options: must be `name: value` lines, and is a list of values"),
        (
            "options: {input_h5: [a]}",
            "options.input_h5: must be text, a whole number or a number, and is a list",
        ),
        ("options: {input_h5: }", "options.input_h5: it cannot be true, false or empty: write a number or a name"),
        ("stages: {base: {until: {plateau: 0}}}", "stages.base.until.plateau: must be at least 1, and is 0"),
        ("host: 5", "host: must be text, and is 5"),
        ("- a", "the whole file: must be `name: value` lines, and is a list of values"),
    ],
)
def test_file_of_a_run(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "training.yml"
    file.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        document.read(file)
    assert caught.value.message.startswith(f"{file}: {words}")
    assert len(caught.value.message.splitlines()) == 1


def test_envelope(tmp_path: Path) -> None:
    file = tmp_path / "envelope.yml"
    file.write_text("ranges: {loss: [{iteration: 1, least: 5, most: x}, {iteration: 2, least: 3, most: 1}]}\n")
    with pytest.raises(UsageError) as caught:
        envelope.read(file)
    assert caught.value.message.splitlines() == [
        f"{file}: name: it is missing",
        f"{file}: ranges.loss.0.most: must be a number, and is 'x'",
        f"{file}: ranges.loss.1: at iteration 2 least 3 is greater than most 1",
    ]
