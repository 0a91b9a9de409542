"""The verification: every check reports evidence, all checks are run, and one failure fails the host."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import pwd
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from neuraltalk_provision.results import base
from neuraltalk_provision.results.checks import StackVerifyResult
from tests.unit.conftest import program
from tests.unit.modules import ModuleError

pytestmark = pytest.mark.slow

Run = Callable[..., dict[str, Any]]
WEIGHTS = b"weights" * 100


def part(name: str, loads: tuple[str, ...] = (), files: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"name": name, "digest": f"d-{name}", "loads": list(loads), "tries": [], "files": list(files)}


VGG = {"name": "w", "file": "w.caffemodel", "sha256": hashlib.sha256(WEIGHTS).hexdigest(), "size": len(WEIGHTS)}
PARTS = [part("torch", ("torch",)), part("neuraltalk2"), part("vgg16", files=(VGG,))]


@pytest.fixture
def whole(generation: Path, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sealed generation in which everything works, below the home of its user."""
    for one in PARTS:
        (generation / "stamps" / f"{one['name']}.json").write_text(json.dumps({"digest": one["digest"]}))
    (generation / "neuraltalk2" / "model" / "w.caffemodel").write_bytes(WEIGHTS)
    program(generation, "th", "echo 'é options of' $1; echo '  -language_eval 0'; echo '  -seed 1'")
    monkeypatch.setattr(load("host.readers"), "private_parent", lambda _generation: "/home/own")
    seal(load("host.manifest"), generation)
    return generation


def seal(manifest: ModuleType, generation: Path) -> None:
    """Write manifest and seal."""
    noted = manifest.write(str(generation))
    (generation / "generation.json").write_text(json.dumps({"id": generation.name, "manifest": noted}))


def verify(run_module: Run, generation: Path, parts: list[dict[str, Any]] = PARTS, **more: Any) -> dict[str, Any]:
    return run_module(
        "stack_verify", generation=generation, parts=parts, log=generation / "logs" / "verify.log", **more
    )


def test_whole_generation_passes_with_evidence_for_every_check(run_module: Run, whole: Path) -> None:
    said = verify(run_module, whole)
    saw = {check["name"]: check["saw"] for check in said["checks"]}
    assert list(saw) == ["stamps", "files", "readable by other users", "load torch", "train.lua", "eval.lua", "vgg16"]
    assert saw["stamps"] == "3 stamps as the recipe says"
    assert saw["files"] == "8 files unchanged since they were sealed"
    assert saw["readable by other users"] == "other users may not enter /home/own: this stack is private to its user"
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
    failed = {check["name"]: check for check in caught.value.result["checks"] if not check["passed"]}["load cutorch"]
    assert "it is not known whether this host has a card: NVIDIA-SMI has failed" in failed["saw"]


def test_rocks_for_the_card_are_loaded_with_one_card(
    run_module: Run, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Path(__file__).parents[1] / "standin" / "nvidia_smi"
    smi = tmp_path / "nvidia-smi"
    smi.write_text(f'#!/bin/sh\nSTANDIN_NVIDIA_SMI={made}/mixed exec sh {made}/nvidia-smi "$@"\n')
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (whole / "stamps" / "cutorch.json").write_text('{"digest": "d-cutorch"}')
    program(whole, "luajit", 'echo "loaded cutorch $CUDA_VISIBLE_DEVICES"')
    with pytest.raises(ModuleError) as caught:
        verify(run_module, whole, [{**part("cutorch", ("cutorch",)), "role": "gpu_stack"}])
    (saw,) = [check["saw"] for check in caught.value.result["checks"] if check["name"] == "load cutorch"]
    # The V100 is held alone by a process; the K80 are older, and one of them is prohibited.
    assert saw.startswith("cutorch GPU-5ad1a1d0-0004-4a00-8000-000000000004 in")
    seal = json.loads((whole / "generation.json").read_text())
    for archs, words in (("3.5", "cutorch GPU-5ad1a1d0-0002"), ("9.0", "no card of this host can be used: card 0 (")):
        (whole / "generation.json").write_text(json.dumps({**seal, "architectures": archs}))
        with pytest.raises(ModuleError) as caught:
            verify(run_module, whole, [{**part("cutorch", ("cutorch",)), "role": "gpu_stack"}])
        (saw,) = [check["saw"] for check in caught.value.result["checks"] if check["name"] == "load cutorch"]
        assert saw.startswith(words), saw


def test_trial_that_fails_because_no_card_was_free_says_what_uses_the_cards(
    run_module: Run, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = "0, GPU-0, Tesla K80, 11519, 63, Exclusive_Process, 0, 470.1, 3.7, [N/A]"
    program_ = f'#!/bin/sh\ncase "$1" in --query-gpu=*) echo "{row}" ;; *) echo "4711, GPU-0, 2844" ;; esac\n'
    (tmp_path / "nvidia-smi").write_text(program_)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    program(whole, "luajit", 'echo "all CUDA-capable devices are busy or unavailable"; exit 1')
    with pytest.raises(ModuleError) as caught:
        verify(run_module, whole, [{**part("cutorch", ("cutorch",)), "role": "gpu_stack"}])
    (saw,) = [check["saw"] for check in caught.value.result["checks"] if check["name"] == "load cutorch"]
    words = (
        "No card was free for the test: card 0 (Tesla K80): pid 4711 computes on it, and its compute mode is Exclusive"
    )
    assert words in saw
    assert "all CUDA-capable devices are busy or unavailable" in saw


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
        (spoil_stamp, ["stamps", "files"], "not built as the recipe says: torch"),
        (spoil_load, ["files", "load torch"], "torch was installed, but"),
        (spoil_program, ["files", "train.lua", "eval.lua"], "th train.lua -help does not print its options"),
        (spoil_program_code, ["files", "train.lua", "eval.lua"], "th eval.lua -help does not print its options"),
        (spoil_weights, ["files", "vgg16"], "w.caffemodel is no longer the mirror's file"),
        (lose_weights, ["files", "vgg16"], "w.caffemodel is missing"),
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
    assert len(checks) == 7
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
        verify(run_module, whole, parts, files=False)
    assert [check["name"] for check in caught.value.result["checks"] if not check["passed"]] == ["load nn"]


def test_log_is_that_of_this_verification(run_module: Run, whole: Path) -> None:
    verify(run_module, whole)
    first = (whole / "logs" / "verify.log").read_text(encoding="utf-8")
    verify(run_module, whole, check=True)
    assert len((whole / "logs" / "verify.log").read_text(encoding="utf-8").splitlines()) == len(first.splitlines())


def failing(run_module: Run, whole: Path, **more: Any) -> dict[str, str]:
    with pytest.raises(ModuleError) as caught:
        verify(run_module, whole, **more)
    return {check["name"]: check["saw"] for check in caught.value.result["checks"] if not check["passed"]}


def test_every_file_that_differs_from_the_manifest_is_named(run_module: Run, whole: Path) -> None:
    (whole / "torch").mkdir()
    for name in ("altered", "longer", "gone", "opened", "linked", "was"):
        (whole / "torch" / name).write_text(name)
    (whole / "torch" / "link").symlink_to("was")
    (whole / "torch" / "café 'x'").write_text("x")
    seal(load_manifest(), whole)
    (whole / "torch" / "altered").write_text("ALTERED")
    (whole / "torch" / "longer").write_text("much longer")
    (whole / "torch" / "gone").unlink()
    (whole / "torch" / "opened").chmod(0o666)
    (whole / "torch" / "linked").unlink()
    (whole / "torch" / "linked").symlink_to("was")
    (whole / "torch" / "link").unlink()
    (whole / "torch" / "link").symlink_to("altered")
    (whole / "torch" / "extra.lua").touch()
    said = failing(run_module, whole)
    assert list(said) == ["files"]
    assert said["files"].startswith(
        "7 files have changed since they were sealed: torch/altered was changed, torch/extra.lua was added, "
        "torch/gone is missing, torch/link has target altered, was was, torch/linked has type link, was file, "
        "torch/longer was changed, torch/opened has mode 0666, was 0644"
    )
    assert "`provision drift` gives the commands" in said["files"] and "rm -r" not in said["files"]


def load_manifest() -> ModuleType:
    return importlib.import_module("plugins.module_utils.host.manifest")


def test_many_files_that_differ_are_counted(run_module: Run, whole: Path) -> None:
    for number in range(300):
        (whole / f"extra{number:03}").touch()
    said = failing(run_module, whole)["files"]
    assert said.startswith("300 files have changed since they were sealed")
    assert "extra019 was added and 280 more" in said
    assert "extra020" not in said


@pytest.mark.parametrize(
    "name",
    [
        "logs/verify.log",
        "logs/sub/x",
        "python/h5py/__pycache__/x.cpython-311.pyc",
        "python/x.pyc",
        "neuraltalk2/model/v.prototxt.lua",
        "neuraltalk2/vis/vis.json",
    ],
)
def test_what_changes_by_use_is_no_difference(run_module: Run, whole: Path, name: str) -> None:
    for folder in ("logs/sub", "python/h5py/__pycache__", "neuraltalk2/vis"):
        (whole / folder).mkdir(parents=True)
    seal(load_manifest(), whole)
    (whole / name).write_text("new")
    verify(run_module, whole)


@pytest.mark.parametrize("name", ["neuraltalk2/logs", "torch/manifest", "neuraltalk2/evil.lua"])
def test_what_only_looks_like_that_is_a_difference(run_module: Run, whole: Path, name: str) -> None:
    (whole / "torch").mkdir()
    seal(load_manifest(), whole)
    (whole / name).write_text("new")
    assert f"1 files have changed since they were sealed: {name} was added" in failing(run_module, whole)["files"]


def test_weights_are_hashed_once(run_module: Run, whole: Path, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    real = load("host.files").file_sha256

    def file_sha256(path: str) -> str:
        hashed.append(Path(path).name)
        return str(real(path))

    monkeypatch.setattr(load("stack_verify"), "file_sha256", file_sha256)
    monkeypatch.setattr(load("host.manifest"), "file_sha256", file_sha256)
    verify(run_module, whole)
    assert hashed.count("w.caffemodel") == 1
    hashed.clear()
    names = [check["name"] for check in verify(run_module, whole, files=False)["checks"]]
    assert "files" not in names
    assert hashed == []


def test_generation_sealed_before_manifests_is_red_with_the_cure(run_module: Run, whole: Path) -> None:
    (whole / "generation.json").write_text('{"id": "x", "sealed": 1}')
    said = failing(run_module, whole)
    assert list(said) == ["files"]
    assert "sealed before manifests existed" in said["files"]
    assert "run `provision site`" in said["files"]


@pytest.mark.parametrize("how", ["other", "gone"])
def test_manifest_that_was_exchanged_is_seen(run_module: Run, whole: Path, how: str) -> None:
    (whole / "neuraltalk2" / "evil.lua").touch()
    if how == "gone":
        (whole / "manifest").unlink()
    else:
        load_manifest().write(str(whole))
    assert "is missing, or is not the one that was sealed" in failing(run_module, whole)["files"]


@pytest.fixture
def public(whole: Path, load: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same generation where every user may go."""
    monkeypatch.undo()
    place = Path(tempfile.mkdtemp(dir="/var/tmp"))
    place.chmod(0o755)
    shutil.copytree(whole, place / "stack" / "generations" / "0a1b", symlinks=True)
    seal(load_manifest(), place / "stack" / "generations" / "0a1b")
    yield place / "stack" / "generations" / "0a1b"
    shutil.rmtree(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_user_reads_and_runs_it(run_module: Run, public: Path) -> None:
    program(public, "luajit", 'case "$2" in *torch*) printf "loaded torch by %s\\n" "$(id -u)" ;; esac')
    seen = {check["name"]: check["saw"] for check in verify(run_module, public, files=False)["checks"]}
    assert seen["readable by other users"].startswith("user 65534 loads torch in ")
    seen = {check["name"]: check["saw"] for check in verify(run_module, public, PARTS[1:], files=False)["checks"]}
    assert seen["readable by other users"].startswith("user 65534 runs it in ")
    (public / "logs" / "verify.log").unlink()
    verify(run_module, public, files=False)
    assert "loaded torch by 65534" in (public / "logs" / "verify.log").read_text(encoding="utf-8")


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_what_another_user_cannot_load_is_red_whatever_the_modes_say(run_module: Run, public: Path) -> None:
    program(public, "luajit", 'test "$(id -u)" = 0 && echo "loaded torch 1.0" || { echo "no rights" >&2; exit 1; }')
    said = failing(run_module, public, files=False)
    assert "a user without rights (65534) cannot use it" in said["readable by other users"]
    assert "no rights" in said["readable by other users"]


@pytest.mark.parametrize(
    ("closed", "mode"),
    [("../..", 0o700), (".", 0o750), ("neuraltalk2/model", 0o700), ("bin/th", 0o744), ("environment", 0o640)],
)
def test_first_path_that_is_closed_to_others_is_named(run_module: Run, public: Path, closed: str, mode: int) -> None:
    (public / "environment").touch()
    path = (public / closed).resolve()
    path.chmod(mode)
    assert (
        f"{path} is closed to them (mode {mode:04o})"
        in failing(run_module, public, files=False)["readable by other users"]
    )


def test_stack_in_a_closed_home_is_its_users_own(public: Path, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("host.readers")
    home = public.parents[2]
    monkeypatch.setattr(module.pwd, "getpwuid", lambda _uid: SimpleNamespace(pw_dir=str(home)))
    assert module.private_parent(str(public)) == ""
    home.chmod(0o700)
    assert module.private_parent(str(public)) == str(home)
    assert module.private_parent("/opt/neuraltalk") == ""
    monkeypatch.setattr(module.pwd, "getpwuid", {}.__getitem__)  # a uid without an entry, as in some containers
    assert module.private_parent(str(public)) == ""


def listed(run_module: Run, whole: Path, **more: Any) -> dict[str, Any]:
    """What the failed result says about the files, read by the controller's type."""
    with pytest.raises(ModuleError) as caught:
        verify(run_module, whole, **more)
    read = base.read(StackVerifyResult, caught.value.result)
    assert not isinstance(read, str), read
    files: dict[str, Any] = caught.value.result["files"]
    return files


def test_file_that_differs_is_listed_with_its_owner_and_its_times(run_module: Run, whole: Path) -> None:
    (whole / "torch").mkdir()
    for name in ("altered", "gone", "opened"):
        (whole / "torch" / name).write_text(name)
    (whole / "torch" / "link").symlink_to("altered")
    seal(load_manifest(), whole)
    (whole / "torch" / "altered").write_text("ALTERED")
    os.utime(whole / "torch" / "altered", (1_000_000_000, 1_000_000_000))
    (whole / "torch" / "gone").unlink()
    (whole / "torch" / "opened").chmod(0o666)
    (whole / "torch" / "link").unlink()
    (whole / "torch" / "link").symlink_to("opened")
    (whole / "torch" / "extra").touch()
    files = listed(run_module, whole)
    assert (files["compared"], files["differing"]) == (True, 5)
    found = {file["path"]: file for file in files["listed"]}
    assert {path: file["kind"] for path, file in found.items()} == {
        "torch/altered": "content",
        "torch/extra": "added",
        "torch/gone": "missing",
        "torch/link": "target",
        "torch/opened": "mode",
    }
    me = pwd.getpwuid(os.getuid())
    altered = found["torch/altered"]
    assert (altered["uid"], altered["user"], altered["mtime"], altered["of"]) == (me.pw_uid, me.pw_name, 10**9, "")
    assert altered["ctime"] == int((whole / "torch" / "altered").stat().st_ctime) > 10**9
    # A file that is gone has no times; those of its directory changed when it was removed.
    assert found["torch/gone"]["of"] == "torch"
    assert found["torch/gone"]["mtime"] == int((whole / "torch").stat().st_mtime)
    assert found["torch/opened"]["words"] == "has mode 0666, was 0644"


def test_directory_that_is_gone_has_the_times_of_what_is_left_above_it(run_module: Run, whole: Path) -> None:
    (whole / "a" / "b").mkdir(parents=True)
    (whole / "a" / "b" / "c").touch()
    seal(load_manifest(), whole)
    shutil.rmtree(whole / "a")
    assert {file["path"]: file["of"] for file in listed(run_module, whole)["listed"]} == dict.fromkeys(
        ("a", "a/b", "a/b/c"), "."
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_owner_without_a_name_is_a_number(run_module: Run, whole: Path) -> None:
    os.chown(whole / "bin" / "th", 4_000_123, -1)
    (file,) = listed(run_module, whole)["listed"]
    assert (file["kind"], file["uid"], file["user"]) == ("owner", 4_000_123, "")


def test_list_of_files_that_differ_is_bounded_and_their_number_is_not(run_module: Run, whole: Path) -> None:
    for number in range(300):
        (whole / f"extra{number:03}").touch()
    files = listed(run_module, whole)
    assert (files["differing"], len(files["listed"])) == (300, 100)
    for number in range(300):
        (whole / f"extra{number:03}").unlink()
    deep = whole
    for _ in range(12):
        deep = deep / ("\x1b" * 250)
        deep.mkdir()
    for number in range(40):
        (deep / f"{number:02}").touch()
    files = listed(run_module, whole)
    assert files["differing"] == 52
    assert 0 < len(files["listed"]) < 52
    assert len(json.dumps(files)) < 110_000


def test_files_that_could_not_be_compared_are_not_unchanged(run_module: Run, whole: Path) -> None:
    (whole / "manifest").unlink()
    assert listed(run_module, whole) == {"compared": False, "differing": 0, "listed": []}


def test_unchanged_files_are_compared_and_none_is_listed(run_module: Run, whole: Path) -> None:
    assert verify(run_module, whole)["files"] == {"compared": True, "differing": 0, "listed": []}
    assert verify(run_module, whole, files=False)["files"]["compared"] is False


def test_without_programs_nothing_is_run_and_the_log_of_the_last_verification_stays(
    run_module: Run, whole: Path, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify(run_module, whole)
    before = (whole / "logs" / "verify.log").read_bytes()
    for name in ("luajit", "th", "with-stack"):
        monkeypatch.setattr(load("stack_verify"), "run_logged", None)
        monkeypatch.setattr(load("stack_verify"), "try_part", None)
        assert (whole / "bin" / name).exists()
    names = [check["name"] for check in verify(run_module, whole, programs=False)["checks"]]
    assert names == ["stamps", "files", "readable by other users", "vgg16"]
    assert (whole / "logs" / "verify.log").read_bytes() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_without_programs_other_users_are_judged_by_the_modes(run_module: Run, public: Path) -> None:
    seen = {check["name"]: check["saw"] for check in verify(run_module, public, programs=False)["checks"]}
    assert seen["readable by other users"] == "modes let every user read and run it"
