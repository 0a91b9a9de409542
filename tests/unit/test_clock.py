"""What waits on a host waits by a clock that nobody can set; the time of day is only recorded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from neuraltalk_provision import paths
from plugins.module_utils.host import commands

RECORDS = "written into a file or a log, for people"
AGES = "compared with the time of a file, which is a time of day"
ALLOWED = {
    RECORDS: {
        "activation/returning.py": {"give_back", "log"},
        "host/generations.py": {"point_at"},
        "host/lease.py": {"take"},
        "host/traffic.py": {"receive"},
        "host/manifest.py": {"write_seal"},
        "host/unpacking.py": {"stamp"},
        "modules/component_stamp.py": {"stamp"},
        "preparing/journal.py": {"begin"},
        "runs/admission.py": {"admit"},
        "runs/sampling.py": {"__init__", "take"},
        "runs/slurm.py": {"submit"},
        "runs/supervisor.py": {"start", "watch"},
        "scoring/scores.py": {"score"},
    },
    AGES: {
        "host/files.py": {"remove_remains"},
        "host/temporary.py": {"_remove_remains"},
        "host/own_log.py": {"own_log", "_changed"},
        "runs/files.py": {"silent"},
        "runs/removal.py": {"_idle"},
        "runs/summary.py": {"common"},
        "scoring/scores.py": {"remove_leftovers"},
    },
    "compared between hosts that share a disk, which have no other clock in common": {
        "runs/starts.py": {"refuse", "_left"},
    },
}


def uses(node: ast.AST, function: str = "") -> Iterator[str]:
    """The functions in which the time of day is asked for."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and ast.unparse(child.func) == "time.time":
            yield function
        yield from uses(child, child.name if isinstance(child, ast.FunctionDef) else function)


def test_time_of_day_is_recorded_and_never_waited_for() -> None:
    found = dict[str, set[str]]()
    for folder in (paths.plugins() / "modules", paths.plugins() / "module_utils"):
        for file in sorted(folder.rglob("*.py")):
            functions = set(uses(ast.parse(file.read_text(encoding="utf-8"))))
            if functions:
                found["/".join(file.parts[-2:])] = functions
    allowed = dict[str, set[str]]()
    for files in ALLOWED.values():
        for name, functions in files.items():
            allowed.setdefault(name, set()).update(functions)
    assert found == allowed


@pytest.mark.slow
@pytest.mark.parametrize("jump", [-365 * 86400, 365 * 86400])
def test_step_of_the_time_of_day_ends_no_command_and_keeps_none_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    real, asked = commands.time.time, list[float]()
    monkeypatch.setattr(commands.time, "time", lambda: asked.append(0.0) or real() + jump * (len(asked) > 1))
    assert commands.output_of(["sleep", "0.2"], timeout=60) == ("", 0)
    assert commands.run_logged(["sleep", "0.2"], str(tmp_path / "log"), timeout=60)["rc"] == 0
    assert commands.output_of(["sleep", "60"], timeout=0.1)[1] == 124
