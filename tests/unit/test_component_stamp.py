"""Stamps: none without evidence, removed before a build and written last."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]
EVIDENCE = [{"module": "nn", "seconds": 0.1, "version": "-"}]


def stamp(generation: Path) -> Path:
    return generation / "stamps" / "nn.json"


def begin(run_module: Run, generation: Path) -> None:
    run_module("component_stamp", generation=generation, component="nn", state="absent")


def test_component_is_stamped_with_its_evidence_once(run_module: Run, generation: Path) -> None:
    given = {"generation": generation, "component": "nn", "digest": "d", "evidence": EVIDENCE}
    begin(run_module, generation)
    said = run_module("component_stamp", **given)
    assert (said["changed"], said["component"]) == (True, {"name": "nn", "change": "build", "evidence": EVIDENCE})
    assert said["diff"]["before"] == "nn not built\n"
    written = json.loads(stamp(generation).read_text())
    assert (written["digest"], written["evidence"]) == ("d", EVIDENCE)
    again = run_module("component_stamp", **{**given, "evidence": []})
    assert (again["changed"], again["component"]) == (False, {"name": "nn", "change": "keep", "evidence": EVIDENCE})


@pytest.mark.parametrize("evidence", [[], "", {}, None])
def test_stamp_without_evidence_is_refused(run_module: Run, generation: Path, evidence: object) -> None:
    with pytest.raises(ModuleError, match="there is no evidence that nn works, so no stamp is written"):
        run_module("component_stamp", generation=generation, component="nn", digest="d", evidence=evidence)
    assert not stamp(generation).exists()


def test_check_mode_predicts_the_stamp_and_writes_none(run_module: Run, generation: Path) -> None:
    said = run_module("component_stamp", check=True, generation=generation, component="nn", digest="d")
    assert (said["changed"], said["component"]["change"], said["component"]["evidence"]) == (True, "build", None)
    assert not stamp(generation).exists()


def test_other_digest_is_another_build(run_module: Run, generation: Path) -> None:
    begin(run_module, generation)
    run_module("component_stamp", generation=generation, component="nn", digest="d", evidence=EVIDENCE)
    (generation / "building.json").write_text("{}")  # as if the build of the other one had been begun
    said = run_module("component_stamp", generation=generation, component="nn", digest="e", evidence=["other"])
    assert (said["component"]["change"], said["diff"]["before"], said["diff"]["after"]) == ("build", "nn d\n", "nn e\n")
    assert said["component"]["evidence"] == ["other"]


def test_stamp_is_taken_back(run_module: Run, generation: Path) -> None:
    begin(run_module, generation)
    run_module("component_stamp", generation=generation, component="nn", digest="d", evidence=EVIDENCE)
    absent = {"generation": generation, "component": "nn", "state": "absent"}
    assert run_module("component_stamp", check=True, **absent)["changed"] is True
    assert stamp(generation).exists()
    assert run_module("component_stamp", **absent)["changed"] is True
    assert not stamp(generation).exists()
    assert run_module("component_stamp", **absent)["changed"] is False


def test_stamp_that_was_cut_short_counts_for_nothing_and_is_removed(run_module: Run, generation: Path) -> None:
    stamp(generation).write_text('{"digest": "d"')
    said = run_module("component_stamp", check=True, generation=generation, component="nn", digest="d")
    assert said["component"]["change"] == "build"
    run_module("component_stamp", generation=generation, component="nn", state="absent")
    assert not stamp(generation).exists()


def test_generation_in_which_something_is_built_again_is_not_sealed_meanwhile(
    run_module: Run, generation: Path
) -> None:
    seal = generation / "generation.json"
    seal.write_text("{}")
    absent = {"generation": generation, "component": "nn", "state": "absent"}
    run_module("component_stamp", check=True, **absent)
    assert seal.exists()
    run_module("component_stamp", **absent)
    assert not seal.exists()


def test_what_was_built_is_on_the_disk_before_its_stamp_is_written(
    run_module: Run, generation: Path, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut a stamp must not be there without the files for which it stands."""
    module, seen = load("component_stamp"), list[tuple[str, bool]]()
    monkeypatch.setattr(module, "sync_tree", lambda path: seen.append((path, stamp(generation).exists())))
    monkeypatch.setattr(module, "sync", lambda path: seen.append((path, stamp(generation).exists())))
    begin(run_module, generation)
    run_module("component_stamp", generation=generation, component="nn", digest="d", evidence=EVIDENCE)
    begin(run_module, generation)
    assert seen == [(str(generation), False), (str(generation / "stamps"), False)]
