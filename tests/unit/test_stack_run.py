"""Runs on a host: laid out apart, images that do not load set aside, started, followed, their end noticed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit import contract
from tests.unit.conftest import program
from tests.unit.modules import ModuleError
from tests.unit.waiting import until

pytestmark = pytest.mark.slow

Run = Callable[..., dict[str, Any]]
PPM = b"P6 1 1 255 abc"
APPLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X"
PROTO, MODEL = "VGG_ILSVRC_16_layers_deploy.prototxt", "VGG_ILSVRC_16_layers.caffemodel"


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("runs.launch")


@pytest.fixture
def runs(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("runs.files")


@pytest.fixture
def root(generation: Path) -> Path:
    """A stack root with a current generation whose th prints its arguments and ends well."""
    (generation / "neuraltalk2" / "train.lua").touch()
    for name in (PROTO, MODEL):
        (generation / "neuraltalk2" / "model" / name).write_text(name)
    program(generation, "th", 'for word in "$@"; do echo "[$word]"; done; echo "in $(pwd)"')
    place = generation.parents[1]
    (place / "current").symlink_to(f"generations/{generation.name}")
    return place


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What a user has on the host, at a path with a space and a quote."""
    place = tmp_path / "ops' data"
    place.mkdir()
    for name in ("c.h5", "c.json", "m.t7"):
        (place / name).touch()
    return place


def start(
    root: Path, id_: str, program_: str, arguments: dict[str, Any], files: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    """The module as Ansible runs it: a process that ends while the run goes on."""
    run = {"id": id_, "program": program_, "requested": arguments, "files": files}
    return start_all(root, [run], **more)


def start_all(root: Path, runs: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Several runs, one after the other."""
    given = {"stack_root": str(root), "runs": runs, **more}
    words = (
        "import sys, runpy\n"
        "from tests.unit import modules; import json\n"
        "with modules.arguments(json.loads(sys.argv.pop(1))):\n"
        "    runpy.run_module('plugins.modules.stack_run', run_name='__main__')"
    )
    argv = [sys.executable, "-c", words, json.dumps({**given, "state": "started"})]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    if result.get("failed"):
        raise ModuleError(result)
    contract.check("stack_run", {"state": "started"}, result)
    told: dict[str, Any] = result["run"]
    return told


def ended(run_module: Run, root: Path, id_: str, offset: int = 0) -> dict[str, Any]:
    """What is said of a run once it does not run any more."""
    options = {"id": id_, "state": "followed", "offset": offset, "wait": 60}
    said: dict[str, Any] = run_module("stack_run_info", stack_root=root, **options)["run"]
    assert (said["running"], said["waiting"]) == (False, False)
    return said


def test_training_runs_in_a_directory_of_its_own_with_the_stacks_weights(
    run_module: Run, root: Path, data: Path
) -> None:
    given = {"input_h5": str(data / "c.h5"), "input_json": str(data / "c.json"), "gpuid": "-1"}
    started = start(root, "run-1", "train.lua", given, ("input_h5", "input_json"))
    assert (started["begun"], started["id"], started["log"]) == (True, "run-1", str(root / "runs" / "run-1" / "log"))
    said = ended(run_module, root, "run-1")
    words = said["text"].splitlines()
    work = root / "runs" / "run-1" / "work"
    assert said["exit_code"] == 0
    assert words[0] == "[train.lua]"
    assert words[-1] == f"in {work}"
    pairs = dict(zip(words[1:-1:2], words[2:-1:2], strict=True))
    assert pairs["[-input_h5]"] == f"[{data / 'c.h5'}]"
    assert pairs["[-checkpoint_path]"] == f"[{root / 'runs' / 'run-1' / 'checkpoint'}]"
    assert pairs["[-cnn_proto]"] == f"[{work / 'model' / PROTO}]"
    assert pairs["[-id]"] == "[run-1]"
    assert not (work / "model" / PROTO).is_symlink()
    assert (work / "train.lua").resolve() == (root / "current" / "neuraltalk2" / "train.lua").resolve()
    assert said["wrote"] == {"checkpoints": [], "captions": [], "set_aside": []}


def test_exit_code_and_what_was_written_are_kept(run_module: Run, root: Path, generation: Path, data: Path) -> None:
    program(generation, "th", "echo 12345 > ../checkpoint/model_idrun-1.t7; exit 7")
    start(root, "run-1", "train.lua", {"input_h5": str(data / "c.h5")})
    said = ended(run_module, root, "run-1")
    assert said["exit_code"] == 7
    wrote = said["wrote"]["checkpoints"]
    assert [(entry["file"], entry["bytes"]) for entry in wrote] == [
        (str(root / "runs" / "run-1" / "checkpoint" / "model_idrun-1.t7"), 6)
    ]


def test_captions_come_back_under_the_names_that_the_images_came_with(
    run_module: Run, root: Path, generation: Path, data: Path
) -> None:
    folder = data / "pictures"
    (folder / "below").mkdir(parents=True)
    (folder / "my 'cat'.jpg").write_bytes(PPM)
    (folder / "below" / os.fsdecode(b"\xff\n.jpg")).write_bytes(PPM)
    (folder / "._x.jpg").write_bytes(APPLE)
    (folder / "cut.jpg").write_bytes(PPM + b"undecodable")
    entry = '[{"caption": "a cat", "file_name": "/r/images/000001.ppm"}, {"file_name": "images/000002.ppm"}]'
    program(generation, "th", f"echo '{entry}' > vis/vis.json")
    given = {"model": str(data / "m.t7"), "image_folder": str(folder)}
    started = start(root, "e", "eval.lua", given, ("model", "image_folder"))
    aside = {"._x.jpg": "it is an AppleDouble file, which a Mac leaves beside the real one"}
    aside["cut.jpg"] = "image.load: [read] broken"
    assert started["images"] == 2
    assert {file["file"]: file["reason"] for file in started["set_aside"]} == aside
    assert started["effective"]["num_images"] == 2
    said = ended(run_module, root, "e")
    cat = {"file": "my 'cat'.jpg", "caption": "a cat", "image_id": None, "place": "images/000001.ppm"}
    odd = {"file": "below/\\xff\\x0a.jpg", "caption": "", "image_id": None, "place": "images/000002.ppm"}
    assert said["wrote"]["captions"] == [cat, odd]
    assert {file["file"]: file["reason"] for file in said["wrote"]["set_aside"]} == aside
    assert said["text"].splitlines()[:2] == [
        f"checking the pictures of {folder}",
        "2 of 4 files are captioned; set aside: 1 AppleDouble, 1 not decodable. Their names are in images.json",
    ]


def test_stop_ends_the_look_at_the_pictures(run_module: Run, root: Path, data: Path) -> None:
    (data / "pictures").mkdir()
    (data / "pictures" / "x.jpg").write_bytes(PPM + b"slow")
    given = {"model": str(data / "m.t7"), "image_folder": str(data / "pictures")}

    def stop() -> None:
        until((root / "runs" / "e" / "log").exists)
        run_module("stack_run", stack_root=root, id="e", state="stopped")

    stopping = threading.Thread(target=stop)
    stopping.start()
    started = start(root, "e", "eval.lua", given, ("model", "image_folder"))
    stopping.join()
    assert not started["begun"]
    assert started["ended"] == {"by": "stopped", "evidence": "before its program was started"}
    assert "pid" not in json.loads((root / "runs" / "e" / "ended.json").read_text())


def test_start_does_not_wait_for_a_look_at_many_pictures(run_module: Run, root: Path, data: Path) -> None:
    (data / "pictures").mkdir()
    (data / "pictures" / "x.jpg").write_bytes(PPM + b"slow")
    given = {"model": str(data / "m.t7"), "image_folder": str(data / "pictures")}
    started = start(root, "e", "eval.lua", given, ("model", "image_folder"))
    assert (started["begun"], started["waiting"], started["pid"]) == (False, True, None)
    said = run_module("stack_run_info", stack_root=root, id="e", state="followed")["run"]
    assert (said["waiting"], "checking the pictures of" in said["text"]) == (True, True)
    run_module("stack_run", stack_root=root, id="e", state="stopped")


def test_folder_of_which_nothing_can_be_read_starts_no_run(root: Path, data: Path) -> None:
    given = {"model": str(data / "m.t7"), "image_folder": str(data)}
    words = (
        r"contains no picture that image.load can read \(3 set aside: c.h5: it is empty; c.json: it is "
        "empty; m.t7: it is"
    )
    with pytest.raises(ModuleError, match=words):
        start(root, "e", "eval.lua", given, ("model", "image_folder"))
    assert not (root / "runs" / "e").exists()


def test_result_about_a_run_that_goes_on_comes_after_the_given_seconds(
    run_module: Run, root: Path, generation: Path, data: Path
) -> None:
    program(generation, "th", "sleep 0.5; echo late; exec sleep 60")
    start(root, "run-1", "train.lua", {"input_h5": str(data / "c.h5")})
    said = run_module("stack_run_info", stack_root=root, id="run-1", state="followed", wait=1)["run"]
    assert (said["running"], "late" in said["text"]) == (True, True)
    run_module("stack_run", stack_root=root, id="run-1", state="stopped")


def test_killed_program_is_noticed_with_the_signal(run_module: Run, root: Path, generation: Path, data: Path) -> None:
    program(generation, "th", "exec sleep 60")
    started = start(root, "run-1", "train.lua", {"input_h5": str(data / "c.h5")})
    said = run_module("stack_run_info", stack_root=root, id="run-1", state="followed")["run"]
    assert (said["running"], said["exit_code"]) == (True, None)
    os.killpg(started["pid"], signal.SIGKILL)
    said = ended(run_module, root, "run-1")
    assert (said["exit_code"], said["running"]) == (-9, False)
    assert said["wrote"]["checkpoints"] == []


def test_killed_supervisor_takes_the_program_with_it(
    run_module: Run, runs: ModuleType, root: Path, generation: Path, data: Path
) -> None:
    program(generation, "th", "exec sleep 60")
    started = start(root, "run-1", "train.lua", {"input_h5": str(data / "c.h5")})
    os.kill(runs.Run(str(root), "run-1").supervisor()["pid"], signal.SIGKILL)
    said = ended(run_module, root, "run-1")
    assert (said["exit_code"], said["running"], said["begun"]) == (None, False, True)
    assert runs.is_alive(started["pid"], runs.read_object(f"{root}/runs/run-1/process.json")["start"]) is False


def test_run_outlives_who_started_it_and_has_no_input(
    run_module: Run, root: Path, generation: Path, data: Path
) -> None:
    program(generation, "th", "cat; sleep 0.3; echo still here")
    start(root, "run-1", "train.lua", {"input_h5": str(data / "c.h5")})
    assert ended(run_module, root, "run-1")["text"] == "still here\n"


def test_number_that_another_process_has_got_is_not_the_run(runs: ModuleType, root: Path) -> None:
    """After a restart of the host, for instance."""
    run = runs.Run(str(root), "old")
    (root / "runs" / "old" / "checkpoint").mkdir(parents=True)
    Path(run.record).write_text("{}")
    for file in (run.process, f"{run.path}/state.json"):
        Path(file).write_text(json.dumps({"pid": os.getpid(), "start": "1"}))
    assert run.status()["running"] is False


def test_run_that_ends_between_two_looks_is_not_taken_for_a_killed_one(
    runs: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.Run(str(root), "quick")
    (root / "runs" / "quick").mkdir(parents=True)
    Path(run.record).write_text("{}")
    Path(run.process).write_text('{"pid": 7, "start": "1"}')

    def ends_now(_pid: int, _start: str) -> bool:
        (root / "runs" / "quick" / "exit").write_text("0\n")
        return False

    monkeypatch.setattr(runs, "is_alive", ends_now)
    said = run.status()
    assert (said["running"], said["exit_code"]) == (False, 0)


@pytest.mark.parametrize(
    ("missing", "words"),
    [("input_h5", "-input_h5 .*: there is no such file on this host"), ("cnn_model", "no such file for -cnn_model")],
)
def test_missing_file_is_refused_and_leaves_nothing(root: Path, data: Path, missing: str, words: str) -> None:
    given = {"input_h5": str(data / "c.h5"), missing: str(data / "none")}
    with pytest.raises(ModuleError, match=words):
        start(root, "run-1", "train.lua", given, ("input_h5",))
    assert not (root / "runs" / "run-1").exists()


def test_id_that_is_taken_is_refused_and_the_first_run_untouched(run_module: Run, root: Path, data: Path) -> None:
    start(root, "run-1", "train.lua", {"input_h5": str(data / "c.h5")})
    first = ended(run_module, root, "run-1")
    with pytest.raises(ModuleError, match="this host already has a run called run-1: choose another id"):
        start(root, "run-1", "train.lua", {"input_h5": str(data / "c.h5")})
    assert ended(run_module, root, "run-1") == first


def test_host_without_a_stack_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModuleError, match=r"nothing is installed at .*: run `provision site` first"):
        start(tmp_path, "run-1", "train.lua", {})


def test_log_is_read_on_from_where_it_was_left(
    load: Callable[[str], ModuleType],
    run_module: Run,
    root: Path,
    generation: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program(generation, "th", "echo 0123456789; echo é")
    start(root, "run-1", "train.lua", {"input_h5": str(data / "c.h5")})
    assert ended(run_module, root, "run-1")["more"] is False
    monkeypatch.setattr(load("runs.summary"), "CHUNK", 4)
    said = ended(run_module, root, "run-1", offset=8)
    assert (said["text"], said["offset"], said["more"]) == ("89\n", 11, True)
    said = ended(run_module, root, "run-1", offset=11)
    assert (said["text"], said["offset"], said["more"]) == ("é\n", 14, False)


def test_run_that_was_never_started_cannot_be_followed(run_module: Run, root: Path) -> None:
    with pytest.raises(ModuleError, match="there is no run called none on this host"):
        run_module("stack_run_info", stack_root=root, id="none", state="followed")


def test_check_mode_starts_nothing(run_module: Run, root: Path) -> None:
    asked = [{"id": "run-1", "program": "train.lua", "requested": {}}]
    assert run_module("stack_run", check=True, stack_root=root, runs=asked, state="started")["changed"]
    assert not (root / "runs").exists()


SMI = """#!/bin/sh
# Stand-in for nvidia-smi: two idle cards, in the fields that this project asks for.
case "$1" in
    --query-gpu=*compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2 ;;
    --query-gpu=*mig*) echo 'Field "mig.mode.current" is not a valid field to query.'; exit 2 ;;
    --query-gpu=*) for n in 0 1; do echo "$n, GPU-$n, Tesla K80, 11519, 63, Default, 0, 352.79"; done ;;
esac
"""


@pytest.fixture
def cards(root: Path, generation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with two cards and a stack that was built for them; its th waits to be let go, then tells what it sees."""
    file = tmp_path / "smi" / "nvidia-smi"
    file.parent.mkdir()
    file.write_text(SMI)
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{file.parent}:{os.environ['PATH']}")
    (generation / "stamps" / "cutorch.json").write_text('{"digest": "d"}')
    waiting = f"while ! test -e '{tmp_path}/go'; do sleep 0.02; done"
    program(generation, "th", f'{waiting}\necho "sees [$CUDA_VISIBLE_DEVICES] $*"')


def test_two_runs_never_get_one_card_and_see_no_other(
    cards: None, run_module: Run, root: Path, data: Path, tmp_path: Path
) -> None:
    arguments = {"model": str(data / "m.t7")}
    one = start(root, "one", "eval.lua", arguments, gpu="auto", memory=3000)
    two = start(root, "two", "eval.lua", arguments, gpu="auto", memory=3000)
    assert {one["card"]["uuid"], two["card"]["uuid"]} == {"GPU-0", "GPU-1"}
    for asked in ("auto", "1", one["card"]["uuid"]):
        with pytest.raises(ModuleError, match=r"no card for this run: .*: run (one|two) uses it"):
            start(root, "three", "eval.lua", arguments, gpu=asked)
    assert not (root / "runs" / "three").exists()
    (tmp_path / "go").touch()
    text = ended(run_module, root, "one")["text"]
    assert f"sees [{one['card']['uuid']}] eval.lua -backend nn -gpuid 0" in text
    ended(run_module, root, "two")
    assert start(root, "three", "eval.lua", arguments, gpu=one["card"]["uuid"])["card"]["uuid"] == one["card"]["uuid"]


def test_run_on_the_processor_sees_no_card(
    cards: None, run_module: Run, root: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    assert start(root, "cpu", "eval.lua", {"model": str(data / "m.t7"), "gpuid": "-1"})["card"] is None
    assert "sees [] eval.lua -gpuid -1" in ended(run_module, root, "cpu")["text"]


@pytest.mark.parametrize(
    ("stamp", "arguments", "words"),
    [
        (False, {}, "was built without GPU support: it has no cutorch"),
        (True, {"backend": "cudnn"}, "-backend cudnn: the cudnn rock is not installed on this host"),
    ],
)
def test_card_is_no_use_to_a_stack_that_was_built_without(
    cards: None, generation: Path, root: Path, data: Path, stamp: bool, arguments: dict[str, str], words: str
) -> None:
    if not stamp:
        (generation / "stamps" / "cutorch.json").unlink()
    with pytest.raises(ModuleError, match=words):
        start(root, "x", "eval.lua", {"model": str(data / "m.t7"), **arguments}, gpu="auto")
    assert not (root / "runs" / "x").exists()


@pytest.mark.parametrize(
    ("words", "pictures", "sets", "told"),
    [
        (3, 2, ("images", "labels", "label_start_ix", "label_end_ix", "label_length"), ""),
        (2, 2, ("images", "labels", "label_start_ix", "label_end_ix", "label_length"), "has a label 3, but .* 2 words"),
        (3, 1, ("images", "labels", "label_start_ix", "label_end_ix", "label_length"), "2 pictures, but .* lists 1"),
        (
            3,
            1,
            ("images", "labels", "label_start_ix", "label_end_ix", "label_length"),
            "no picture has the split val",
        ),
        (3, 2, ("images", "labels"), "lacks label_start_ix, label_end_ix, label_length: it is not what prepro.py"),
    ],
)
def test_labels_that_do_not_go_with_the_vocabulary_are_refused(
    run_module: Run,
    root: Path,
    generation: Path,
    data: Path,
    words: int,
    pictures: int,
    sets: tuple[str, ...],
    told: str,
) -> None:
    import h5py
    import numpy

    (generation / "python" / "h5py").mkdir(parents=True)
    places = numpy.array([1, 2], "uint32")
    with h5py.File(data / "c.h5", "w") as file:
        file.create_dataset("images", (2, 3, 256, 256), "uint8")
        file["labels"] = numpy.array([[1, 3], [2, 0]], "uint32")
        file["label_length"] = numpy.array([2, 1], "uint32")
        file["label_start_ix"] = file["label_end_ix"] = places
        for name in set(file) - set(sets):
            del file[name]
    told_of = [{"split": split} for split in ("train", "val")[:pictures]]
    listed = {"ix_to_word": {str(n + 1): "w" for n in range(words)}, "images": told_of}
    (data / "c.json").write_text(json.dumps(listed))
    given = {"input_h5": str(data / "c.h5"), "input_json": str(data / "c.json")}
    if told:
        with pytest.raises(ModuleError, match=f"do not belong together: .*{told}"):
            start(root, "x", "train.lua", given, ("input_h5", "input_json"))
        assert not (root / "runs" / "x").exists()
        return
    start(root, "x", "train.lua", given, ("input_h5", "input_json"))
    assert ended(run_module, root, "x")["exit_code"] == 0


def test_data_set_that_cannot_be_read_is_refused_with_the_reason(root: Path, generation: Path, data: Path) -> None:
    (generation / "python" / "h5py").mkdir(parents=True)
    (data / "c.json").write_text("{")
    given = {"input_h5": str(data / "c.h5"), "input_json": str(data / "c.json")}
    with pytest.raises(ModuleError, match=r"c\.json: it is not JSON: .*; .*c\.h5: it is empty"):
        start(root, "x", "train.lua", given, ("input_h5", "input_json"))


def test_log_of_any_size_and_runs_by_the_hundred_come_through_ansible_whole(tmp_path: Path) -> None:
    """ansible-runner drops a result above 700,000 characters; these go by file."""
    from neuraltalk_provision.runs import hosts
    from neuraltalk_provision.settings import Settings

    place = tmp_path / "stack" / "runs" / "big"
    place.mkdir(parents=True)
    text = "".join(f"iter {n}: 5.{n:06d}\t\n" for n in range(60_000))
    record_ = {"id": "big", "program": "train.lua", "requested": {}, "generation": "g", "started": 1}
    (place / "run.json").write_text(json.dumps({**record_, "supervisor": str(place)}))
    (place / "process.json").write_text('{"pid": 4194304, "start": "1", "effective": {"seed": "1"}}')
    (place / "log").write_text(text)
    (place / "exit").write_text("0\n")
    inventory = tmp_path / "hosts.yml"
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory.write_text(json.dumps({"all": {"hosts": {"here": local}}}))
    settings = Settings(inventory=inventory, stack_root=str(tmp_path / "stack"), run_user="root")
    shown: list[str] = []
    end = hosts.watch("big", "here", settings, shown.append)
    assert "".join(shown) == text
    assert (len(end.losses), end.losses[-1]) == (60_000, (59_999, 5.059999))
    assert len(text) > 1_000_000
    (row,) = hosts.runs(settings)
    assert (row.health.state, row.progress.iteration, len(row.progress.losses)) == ("ended", 59_999, 1)
    (whole,) = hosts.details([row], settings, points=100)
    assert 100 <= len(whole.progress.losses) <= 202
    assert whole.effective == {"seed": "1"}


def test_supervisor_that_lives_gets_its_time_and_one_that_is_gone_does_not(
    load: Callable[[str], ModuleType], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tens of thousands of pictures on a slow disk are not linked within half a minute."""
    module = load("runs.start")
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    run = module.Run(str(root), "slow")
    Path(run.path).mkdir(parents=True)
    told = {"pid": os.getpid(), "start": load("host.processes").start_of(os.getpid())}
    Path(run.path, "state.json").write_text(json.dumps(told))
    late = threading.Timer(0.5, Path(run.process).touch)
    late.start()
    module.await_file(None, None, run, run.process)
    late.join()
    Path(run.path, "state.json").write_text(json.dumps({**told, "start": "1"}))
    with pytest.raises(module.StackError, match=r"run slow did not begin within .*: there is no log"):
        module.await_file(None, None, run, run.ended)
