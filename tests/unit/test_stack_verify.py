"""The validator: every check reports what it saw, one that fails fails the host, and all are made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import program
from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]
WEIGHTS = b"weights" * 100


def part(name: str, loads: tuple[str, ...] = (), files: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"name": name, "digest": f"d-{name}", "loads": list(loads), "tries": [], "files": list(files)}


VGG = {"name": "w", "file": "w.caffemodel", "sha256": hashlib.sha256(WEIGHTS).hexdigest(), "size": len(WEIGHTS)}
PARTS = [part("torch", ("torch",)), part("neuraltalk2"), part("vgg16", files=(VGG,))]


@pytest.fixture
def whole(generation: Path) -> Path:
    """A generation in which everything works."""
    for one in PARTS:
        (generation / "stamps" / f"{one['name']}.json").write_text(json.dumps({"digest": one["digest"]}))
    (generation / "neuraltalk2" / "model" / "w.caffemodel").write_bytes(WEIGHTS)
    program(generation, "th", "echo 'é options of' $1; echo '  -language_eval 0'; echo '  -seed 1'")
    return generation


def verify(run_module: Run, generation: Path, parts: list[dict[str, Any]] = PARTS, **more: Any) -> dict[str, Any]:
    return run_module(
        "stack_verify", generation=generation, parts=parts, log=generation / "logs" / "verify.log", **more
    )


def test_whole_generation_passes_with_evidence_for_every_check(run_module: Run, whole: Path) -> None:
    said = verify(run_module, whole)
    saw = {check["name"]: check["saw"] for check in said["checks"]}
    assert list(saw) == ["stamps", "load torch", "train.lua", "eval.lua", "vgg16"]
    assert saw["stamps"] == "3 stamps as the recipe says"
    assert saw["load torch"].startswith("torch 1.0 in ")
    assert saw["train.lua"].startswith("2 options in ")
    assert saw["vgg16"] == "1 files, 700 bytes, as the mirror has them"
    assert all(check["passed"] for check in said["checks"])
    assert said["changed"] is False


def test_nvidia_smi_that_fails_is_no_reason_to_leave_a_card_untried(
    run_module: Run, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho NVIDIA-SMI has failed\nexit 9\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (whole / "stamps" / "cutorch.json").write_text('{"digest": "d-cutorch"}')
    parts = [*PARTS, {**part("cutorch", ("cutorch",)), "role": "gpu_stack"}]
    with pytest.raises(ModuleError) as caught:
        verify(run_module, whole, parts)
    (failed,) = (check for check in caught.value.result["checks"] if not check["passed"])
    assert failed["name"] == "load cutorch"
    assert "it cannot be told whether there is a card: NVIDIA-SMI has failed" in failed["saw"]


def test_link_is_followed(run_module: Run, whole: Path) -> None:
    current = whole.parents[1] / "current"
    current.symlink_to(f"generations/{whole.name}")
    said = run_module("stack_verify", generation=current, parts=PARTS, log=whole / "logs" / "v.log")
    assert said["generation"] == str(whole)


def spoil_stamp(whole: Path) -> None:
    (whole / "stamps" / "torch.json").write_text('{"digest": "other"}')


def spoil_load(whole: Path) -> None:
    program(whole, "luajit", "exit 0")


def spoil_program(whole: Path) -> None:
    program(whole, "th", "echo '-seed 1'")


def spoil_program_code(whole: Path) -> None:
    program(whole, "th", "echo '-language_eval 0'; exit 1")


def spoil_weights(whole: Path) -> None:
    (whole / "neuraltalk2" / "model" / "w.caffemodel").write_bytes(WEIGHTS[:-1] + b"x")


def lose_weights(whole: Path) -> None:
    (whole / "neuraltalk2" / "model" / "w.caffemodel").unlink()


@pytest.mark.parametrize(
    ("spoil", "failing", "words"),
    [
        (spoil_stamp, ["stamps"], "not built as the recipe says: torch"),
        (spoil_load, ["load torch"], "torch was installed, but"),
        (spoil_program, ["train.lua", "eval.lua"], "th train.lua -help does not get to its options"),
        (spoil_program_code, ["train.lua", "eval.lua"], "th eval.lua -help does not get to its options"),
        (spoil_weights, ["vgg16"], "w.caffemodel is not the mirror's file any more"),
        (lose_weights, ["vgg16"], "w.caffemodel is gone"),
    ],
)
def test_check_that_fails_is_named_and_the_others_are_made_all_the_same(
    run_module: Run, whole: Path, spoil: Callable[[Path], None], failing: list[str], words: str
) -> None:
    spoil(whole)
    with pytest.raises(ModuleError) as caught:
        verify(run_module, whole)
    checks = caught.value.result["checks"]
    assert [check["name"] for check in checks if not check["passed"]] == failing
    assert len(checks) == 5
    assert words in str(caught.value)


def test_nothing_to_check_is_no_success(run_module: Run, whole: Path) -> None:
    with pytest.raises(ModuleError, match="there is no part"):
        verify(run_module, whole, [])


def test_host_without_a_generation_fails(run_module: Run, tmp_path: Path) -> None:
    with pytest.raises(ModuleError, match="nothing is installed there") as caught:
        run_module("stack_verify", generation=tmp_path / "current", parts=PARTS, log=tmp_path / "v.log")
    assert caught.value.result["checks"] == []


def test_module_that_loaded_for_one_part_does_not_vouch_for_the_next(run_module: Run, whole: Path) -> None:
    """The parts share a log, and several load the same modules."""
    once = 'test -f "$0.once" && exit 0; touch "$0.once"; echo "loaded nn 1.0"'
    program(whole, "luajit", once)
    parts = [part("torch", ("nn",)), part("nn", ("nn",))]
    (whole / "stamps" / "nn.json").write_text('{"digest": "d-nn"}')
    with pytest.raises(ModuleError) as caught:
        verify(run_module, whole, parts)
    assert [check["name"] for check in caught.value.result["checks"] if not check["passed"]] == ["load nn"]


def test_log_is_that_of_this_verification(run_module: Run, whole: Path) -> None:
    verify(run_module, whole)
    first = (whole / "logs" / "verify.log").read_text(encoding="utf-8")
    verify(run_module, whole, check=True)
    assert len((whole / "logs" / "verify.log").read_text(encoding="utf-8").splitlines()) == len(first.splitlines())
