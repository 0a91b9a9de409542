"""What leads runs on a host: stages one after the other, their ends, what they take, and Slurm's way there."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from plugins.module_utils.runs import sampling, stage_end
from tests.unit.conftest import program
from tests.unit.modules import ModuleError
from tests.unit.test_stack_run import cards, data, ended, root, start, start_all
from tests.unit.waiting import until

pytestmark = pytest.mark.slow

__all__ = ["cards", "data", "root"]
Run = Callable[..., dict[str, Any]]

# train.lua in a few lines: a report and a model every 5 iterations, whose validation losses are LOSSES.
TRAINING = """
import json, sys, time
given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
place = given["-checkpoint_path"] + "/model_id" + given["-id"]
losses, best, iteration = LOSSES, None, 0
print("starts from", given.get("-start_from"), flush=True)
history = {}
while iteration < int(given.get("-max_iters", 1000)):
    print("iter %d: %f\\t" % (iteration, 5.0), flush=True)
    if iteration % 5 == 0:
        loss = losses[min(iteration // 5, len(losses) - 1)]
        history[str(iteration)] = loss
        json.dump({"iter": iteration, "val_loss_history": history}, open(place + ".json", "w"))
        better = best is None or loss < best
        best = loss if better else best
        if iteration:
            file = place + (".t7" if better else ".last.t7")
            open(file, "w").write(str(iteration))
            print("wrote checkpoint to %s\\t" % file, flush=True)
    iteration += 1
    time.sleep(0.02)
"""


def train(generation: Path, losses: list[float]) -> None:
    file = generation / "bin" / "train.py"
    file.write_text(TRAINING.replace("LOSSES", repr(losses)))
    program(generation, "th", f'exec {sys.executable} "$(dirname "$0")/{file.name}" "$@"')


def all_of(run_module: Run, root: Path, id_: str) -> dict[str, Any]:
    """All that is told of a run."""
    (said,) = run_module("stack_run_info", stack_root=root, ids=[id_], state="listed")["runs"]
    told: dict[str, Any] = said
    return told


def training(id_: str, data: Path, **more: Any) -> dict[str, Any]:
    arguments = {"input_h5": str(data / "c.h5"), **more.pop("arguments", {})}
    return {"id": id_, "program": "train.lua", "requested": arguments, "files": ["input_h5"], **more}


@pytest.fixture
def supervisor(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load("runs.supervisor")


@pytest.fixture
def runs(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("runs.files")


@pytest.fixture
def listing(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("runs.summary")


@pytest.mark.parametrize(
    ("history", "patience", "since"),
    [
        ([(5, -3.0), (10, -2.0), (15, -2.0), (20, -2.1)], 2, 10),
        ([(5, -3.0), (10, -2.0), (15, -2.0), (20, -1.9)], 2, None),
        ([(5, -3.0), (10, -2.0)], 2, None),
        ([(5, -1.0), (10, -2.0), (15, -3.0)], 2, 5),
        ([], 1, None),
    ],
)
def test_plateau_is_where_no_checkpoint_was_better_for_so_long(
    supervisor: ModuleType, history: list[tuple[int, float]], patience: int, since: int | None
) -> None:
    reason = stage_end.plateau("validation loss", history, patience)
    assert (reason is None) == (since is None)
    if reason:
        assert f"after iteration {since}, and did not improve in the" in reason["evidence"]
        assert (reason["by"], reason["iteration"]) == ("plateau", history[-1][0])


def test_models_are_judged_as_the_program_judges_them(supervisor: ModuleType) -> None:
    report = {"val_loss_history": {"0": 9.0, "10": 2.0, "5": 3.0}}
    assert stage_end.quality_history(report) == ("validation loss", [(5, -3.0), (10, -2.0)])
    report["val_lang_stats_history"] = {"0": {"CIDEr": 0.1}, "5": {"CIDEr": 0.4}, "10": {"CIDEr": 0.3}}
    assert stage_end.quality_history(report) == ("CIDEr", [(5, 0.4), (10, 0.3)])
    assert stage_end.quality_history({"val_loss_history": [3.0, 2.0]}) == ("validation loss", [(1, -3.0), (2, -2.0)])


def test_stage_ends_at_a_plateau_and_the_next_starts_from_its_best_model(
    run_module: Run, root: Path, generation: Path, data: Path
) -> None:
    train(generation, [5.0, 4.0, 3.0, 3.5, 3.5, 3.5])
    base = training("x-base", data, stage="base", until={"plateau": 2})
    parent = {"id": "x-base", "choose": "best"}
    tune = training("x-fine", data, stage="finetune", needs="x-base", parent=parent, arguments={"max_iters": "12"})
    started = start_all(root, [base, tune])
    assert started["id"] == "x-base"
    listed = {run["id"]: run for run in run_module("stack_run_info", stack_root=root, state="listed")["runs"]}
    assert (listed["x-fine"]["waiting"], listed["x-fine"]["begun"]) == (True, False)
    first = ended(run_module, root, "x-base")
    assert first["ended"]["by"] == "plateau"
    assert "validation loss was best (3) after iteration 10, and did not improve in the " in first["ended"]["evidence"]
    last = ended(run_module, root, "x-fine")
    best = root / "runs" / "x-base" / "checkpoint" / "model_idx-base.t7"
    assert last["exit_code"] == 0
    assert f"starts from {best}" in last["text"]
    told = all_of(run_module, root, "x-fine")
    assert (told["begins"], told["parent"]) == (10, parent)
    told = all_of(run_module, root, "x-base")
    models = {Path(model["file"]).name: model["iteration"] for model in told["models"]}
    assert models["model_idx-base.t7"] == 10
    assert models["model_idx-base.last.t7"] >= 20


def test_stage_ends_after_the_checkpoint_at_an_iteration(
    run_module: Run, root: Path, generation: Path, data: Path
) -> None:
    train(generation, [5.0, 4.0, 3.0, 2.0, 1.0])
    start_all(root, [training("x", data, until={"iterations": 7})])
    said = ended(run_module, root, "x")
    end = said["ended"]
    assert (end["by"], end["evidence"]) == ("iterations", f"iteration {end['iteration']}")
    assert end["iteration"] >= 10
    assert "wrote checkpoint" in said["text"].split(f"iter {end['iteration']}:")[1]


def test_stage_whose_first_one_fails_is_skipped_and_another_run_goes_on(
    run_module: Run, root: Path, generation: Path, data: Path
) -> None:
    program(generation, "th", 'case "$*" in *a-base*) exit 3;; esac; echo ran')
    parent = {"id": "a-base", "choose": "best"}
    start_all(
        root, [training("a-base", data), training("a-fine", data, needs="a-base", parent=parent), training("b", data)]
    )
    assert ended(run_module, root, "a-base")["exit_code"] == 3
    skipped = ended(run_module, root, "a-fine")
    assert (skipped["ended"]["by"], skipped["begun"]) == ("skipped", False)
    assert "a-base, which it continues, did not end successfully" in skipped["ended"]["evidence"]
    assert ended(run_module, root, "b")["exit_code"] == 0


def test_run_that_is_stopped_leaves_those_that_do_not_need_it(
    run_module: Run, root: Path, generation: Path, data: Path
) -> None:
    program(generation, "th", 'case "$*" in *"-id a "*) exec sleep 60;; esac; echo ran')
    start_all(root, [training(name, data) for name in ("a", "b", "c")])
    assert run_module("stack_run", stack_root=root, id="b", state="stopped", check=True)["changed"]
    assert run_module("stack_run_info", stack_root=root, id="a", state="followed")["run"]["running"]
    # What waits is only marked: its turn comes, and it is passed over.
    said = run_module("stack_run", stack_root=root, id="b", state="stopped")
    assert (said["changed"], said["run"]["waiting"], said["run"]["stopped"]) == (True, True, True)
    assert run_module("stack_run_info", stack_root=root, id="a", state="followed")["run"]["running"]
    done = run_module("stack_run", stack_root=root, id="a", state="stopped")
    assert (done["changed"], done["run"]["exit_code"], done["run"]["stopped"]) == (True, -15, True)
    assert ended(run_module, root, "c")["exit_code"] == 0
    passed = ended(run_module, root, "b")
    assert (passed["ended"]["by"], passed["begun"]) == ("stopped", False)
    assert not run_module("stack_run", stack_root=root, id="a", state="stopped")["changed"]


def test_place_of_a_run_that_never_began_can_be_taken(
    run_module: Run, root: Path, data: Path, runs: ModuleType
) -> None:
    """What a host that lost its power leaves of the stages that were still to come."""
    idle = runs.Run(str(root), "x-fine")
    Path(idle.path).mkdir(parents=True)
    Path(idle.record).write_text(json.dumps({"supervisor": idle.path, "generation": "g", "id": "x-fine"}))
    assert idle.idle()
    start_all(root, [training("x-fine", data)])
    assert ended(run_module, root, "x-fine")["exit_code"] == 0


def test_place_of_a_run_that_waits_on_another_host_of_a_shared_disk_cannot(runs: ModuleType, root: Path) -> None:
    there = runs.Run(str(root), "x")
    Path(there.path).mkdir(parents=True)
    Path(there.record).write_text(json.dumps({"supervisor": there.path}))
    Path(there.path, "state.json").write_text(json.dumps({"node": "another", "pid": os.getpid(), "start": "1"}))
    assert there.status()["elsewhere"] == "another"
    assert not there.idle()


def test_what_a_run_takes_is_written_down(run_module: Run, root: Path, generation: Path, data: Path) -> None:
    # It runs until it has had so much processor time, however long that takes on a busy machine.
    busy = "import time\nprint('iter 7: 1.0', flush=True)\nwhile time.process_time() < 0.25: pass\n"
    program(generation, "th", f'exec {sys.executable} -c "{busy}"')
    started = start_all(root, [training("x", data)])
    ended(run_module, root, "x")
    samples = all_of(run_module, root, "x")["samples"]
    assert started["pid"] in samples[0]["pids"]
    assert samples[-1]["pids"] == []
    assert samples[-1]["iteration"] == 7
    assert samples[-1]["cpu"] > 0.2


def replace_program(file: Path, text: str) -> None:
    """Replace a program that can be running: nobody can write to the file of one."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o755)
    new.replace(file)


def test_card_is_seen_with_the_process_on_it(
    cards: None, run_module: Run, root: Path, data: Path, tmp_path: Path, supervisor: ModuleType, runs: ModuleType
) -> None:
    started = start(root, "one", "eval.lua", {"model": str(data / "m.t7")}, gpu="auto")
    smi = tmp_path / "smi" / "nvidia-smi"
    replace_program(
        smi, smi.read_text().replace("esac", f"--query-compute-apps=*) echo '{started['pid']}, GPU-1, 3007';;\nesac")
    )
    sample = sampling.sample(runs.Run(str(root), "one"), started["pid"], started["card"], time.time())
    assert sample["on"] == [{"pid": started["pid"], "uuid": "GPU-1", "memory": 3007}]
    assert (sample["used"], sample["utilization"]) == (63, 0)
    (tmp_path / "go").touch()
    ended(run_module, root, "one")


def test_nvidia_smi_that_hangs_keeps_nobody_from_seeing_the_end(
    cards: None, run_module: Run, root: Path, generation: Path, data: Path, tmp_path: Path
) -> None:
    program(generation, "th", f"while ! test -e '{tmp_path}/go'; do sleep 0.05; done")
    start(root, "one", "eval.lua", {"model": str(data / "m.t7")}, gpu="auto")
    replace_program(tmp_path / "smi" / "nvidia-smi", "#!/bin/sh\nexec sleep 30\n")
    until(lambda: "nvidia-smi does not answer" in (root / "runs" / "one" / "samples").read_text())
    (tmp_path / "go").touch()
    assert ended(run_module, root, "one")["exit_code"] == 0
    assert any(sample.get("problem") for sample in all_of(run_module, root, "one")["samples"])


@pytest.mark.skipif(os.geteuid() != 0, reason="units are for root")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it is meant to outlive us
def test_systemd_that_takes_no_unit_is_told_and_the_run_goes_on_by_itself(
    load: Callable[[str], ModuleType], runs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, words in (("systemd-run", "echo no bus >&2; exit 1"), ("systemctl", "exit 1")):
        (tools / name).write_text(f"#!/bin/sh\n{words}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    module = load("runs.unit")
    monkeypatch.setattr(module, "SYSTEMD", str(tmp_path))
    run = runs.Run(str(tmp_path), "x")
    Path(run.path).mkdir(parents=True)
    Path(run.path, "supervisor.zip").write_text("import sys; open(sys.argv[1] + '/began', 'w')")
    plan = {"card": None, "python": sys.executable}
    assert "systemd-run reported: no bus" in module.start_supervisor(run, None, [run.path], plan)[0]
    until(Path(run.path, "began").exists)


def test_samples_are_thinned_evenly_and_the_last_stays(listing: ModuleType) -> None:
    assert listing.thinned(list(range(10)), 4) == [0, 3, 6, 9]
    assert listing.thinned([1, 2], 4) == [1, 2]
    assert listing.thinned([], 4) == []


def scorer(generation: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A scorer that can be called: coco-caption, a Python and a java that do nothing."""
    place = generation / "neuraltalk2" / "coco-caption"
    for folder in ("annotations", "pycocoevalcap/tokenizer", "pycocotools"):
        (place / folder).mkdir(parents=True)
    (place / "pycocoevalcap/tokenizer/x.jar").touch()
    known: dict[str, Any] = {"images": [{"id": 7}], "annotations": [{"image_id": 7, "caption": "a cat"}]}
    known.update({"info": {}, "type": "captions", "licenses": []})
    (place / "annotations/captions_val2014.json").write_text(json.dumps(known))
    for file in (
        "pycocoevalcap/__init__.py",
        "pycocoevalcap/eval.py",
        "pycocotools/__init__.py",
        "pycocotools/coco.py",
    ):
        (place / file).touch()
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "java").write_text("#!/bin/sh\n")
    (tools / "java").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return place


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("pycocoevalcap", "the scorer: coco-caption is not installed"),
        ("annotations/captions_val2014.json", "the annotations: .*captions_val2014.json"),
        ("pycocoevalcap/tokenizer/x.jar", "the jars of .*tokenizer"),
        ("java", "lacks java"),
        ("pycocotools/coco.py", "a scorer that .*python.* can load: ModuleNotFoundError: .*pycocotools.coco"),
    ],
)
def test_scores_are_refused_where_nothing_could_give_them(
    root: Path, generation: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, words: str
) -> None:
    place = scorer(generation, monkeypatch, tmp_path)
    if missing == "java":
        (tmp_path / "tools" / "java").rename(tmp_path / "tools" / "python3")
        monkeypatch.setenv("PATH", str(tmp_path / "tools"))
    else:
        subprocess.run(["rm", "-r", place / missing], check=True)
    with pytest.raises(ModuleError, match="-language_eval 1 is not possible on this host. It .*" + words):
        start_all(root, [training("x", data, arguments={"language_eval": "1"})])
    assert not (root / "runs" / "x").exists()


def test_scorer_gets_a_folder_of_the_runs_own(
    run_module: Run, root: Path, generation: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = scorer(generation, monkeypatch, tmp_path)
    (place / "valx.json_out.json").write_text("an old one")
    program(generation, "th", "ls coco-caption; echo new > coco-caption/valx.json")
    start_all(root, [training("x", data, arguments={"language_eval": "1"})])
    assert "valx" not in ended(run_module, root, "x")["text"]
    assert not (place / "valx.json").exists()
    told = all_of(run_module, root, "x")
    assert told["scorer"]["given"] > 0
    assert told["scorer"]["scored"] is None


def test_anothers_checkpoint_is_not_overwritten(root: Path, generation: Path, data: Path, tmp_path: Path) -> None:
    place = tmp_path / "models"
    place.mkdir()
    (place / "model_idx.t7").touch()
    with pytest.raises(ModuleError, match=r"-checkpoint_path .*: this would overwrite .*model_idx.t7"):
        start_all(root, [training("x", data, arguments={"checkpoint_path": str(place)})])
    with pytest.raises(ModuleError, match=r"-checkpoint_path .* belongs to another run"):
        other = str(root / "runs" / "base" / "checkpoint")
        start_all(root, [training("x", data, arguments={"checkpoint_path": other})])


SLURM = """#!/bin/sh
# Stand-in for Slurm's commands: takes one job and runs it at once.
case "$(basename "$0")" in
    sbatch)
        for last in "$@"; do :; done
        echo "$@" > "$PLACE/words"
        SLURM_JOB_ID=41 sh "$last" > "$PLACE/out" 2>&1
        echo "41;one" ;;
    squeue) cat "$PLACE/state" ;;
    scancel) echo "$1" > "$PLACE/cancelled" ;;
esac
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "slurm"
    place.mkdir()
    for name in ("sbatch", "squeue", "scancel"):
        (place / name).write_text(SLURM)
        (place / name).chmod(0o755)
    (place / "state").write_text("40|RUNNING|node1|None\n41|PENDING||Resources\n")
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setenv("PLACE", str(place))
    return place


def test_job_of_slurms_makes_its_runs_where_it_is(
    slurm: Path, run_module: Run, root: Path, generation: Path, data: Path
) -> None:
    train(generation, [5.0, 4.0])
    asked = [training("x", data, arguments={"max_iters": "12"})]
    words = ["--partition=gpu"]
    said = run_module("stack_run", stack_root=root, runs=asked, slurm=words, state="submitted")["run"]
    assert (said["job"], said["id"]) == ("41", "x")
    given = (slurm / "words").read_text()
    assert "--job-name=neuraltalk-x" in given
    assert "--partition=gpu" in given
    assert "--gres" not in given
    assert (slurm / "out").read_text() == ""
    told = run_module("stack_run_info", stack_root=root, state="listed")
    mine = all_of(run_module, root, "x")
    assert (mine["exit_code"], mine["job"], [m["iteration"] for m in mine["models"]]) == (0, "41", [10, 5])
    assert [(entry["id"], entry["state"], entry["reason"]) for entry in told["queued"]] == [
        ("x", "PENDING", "Resources")
    ]
    with pytest.raises(ModuleError, match="x is already the Slurm job 41"):
        run_module("stack_run", stack_root=root, runs=asked, state="submitted")
    assert run_module("stack_run", stack_root=root, id="x", state="cancelled", check=True)["changed"]
    assert not (slurm / "cancelled").exists()
    assert run_module("stack_run", stack_root=root, id="x", state="cancelled")["changed"]
    assert (slurm / "cancelled").read_text() == "41\n"
    (slurm / "state").write_text("41|COMPLETED|node2|None\n")
    assert not run_module("stack_run", stack_root=root, id="x", state="cancelled")["changed"]


def test_programs_of_slurm_are_found_although_sudo_resets_the_path(
    slurm: Path,
    run_module: Run,
    root: Path,
    data: Path,
    load: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are searched where those for drains are."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(load("slurm.nodes"), "PLACES", (str(slurm),))
    run_module("stack_run", stack_root=root, runs=[training("x", data)], state="submitted")
    (entry,) = run_module("stack_run_info", stack_root=root, state="listed")["queued"]
    assert (entry["id"], entry["state"]) == ("x", "PENDING")


def test_job_that_cannot_be_recorded_is_cancelled(
    slurm: Path,
    run_module: Run,
    root: Path,
    data: Path,
    load: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise it would train, and the same command would submit a second one."""
    asked = [training("x", data), training("y", data)]
    module, written = load("runs.slurm"), []
    write = module.write_json

    def full(path: str, value: Any) -> None:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device", path)
        written.append(path)
        write(path, value)

    monkeypatch.setattr(module, "write_json", full)
    with pytest.raises(ModuleError, match=r"y\.json: No space left.*job 41, .* was cancelled") as caught:
        run_module("stack_run", stack_root=root, runs=asked, state="submitted")
    assert caught.value.result["code"] == "disk.full"
    assert (slurm / "cancelled").read_text() == "41\n"
    assert run_module("stack_run_info", stack_root=root, state="listed")["queued"] == []


@pytest.mark.usefixtures("cards")
def test_card_that_slurm_gave_is_the_runs(
    slurm: Path, run_module: Run, root: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "go").touch()
    asked = [{"id": "x", "program": "eval.lua", "requested": {"model": str(data / "m.t7")}}]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    run_module("stack_run", stack_root=root, runs=asked, gpu="auto", state="submitted")
    assert "--gres=gpu:1" in (slurm / "words").read_text()
    assert "sees [GPU-1] eval.lua -backend nn -gpuid 0" in (root / "runs" / "x" / "log").read_text()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (slurm / "state").write_text("41|FAILED|node2|None\n")
    asked[0]["id"] = "y"
    run_module("stack_run", stack_root=root, runs=asked, gpu="auto", state="submitted")
    told = {run["id"]: run for run in run_module("stack_run_info", stack_root=root, state="listed")["runs"]}
    assert told["y"]["ended"]["by"] == "refused"
    assert "Slurm gave this job no card" in told["y"]["ended"]["evidence"]


def test_sbatch_that_takes_no_job_says_why(slurm: Path, run_module: Run, root: Path, data: Path) -> None:
    (slurm / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition'; exit 1\n")
    with pytest.raises(ModuleError, match="sbatch did not accept the job: sbatch: error: invalid partition"):
        run_module("stack_run", stack_root=root, runs=[training("x", data)], state="submitted")
    (slurm / "sbatch").unlink()
    with pytest.raises(ModuleError, match=r"sbatch: .*. Is Slurm's client installed on this host\?"):
        run_module("stack_run", stack_root=root, runs=[training("x", data)], state="submitted")


def test_queue_that_does_not_answer_or_has_forgotten_is_told(
    slurm: Path, run_module: Run, root: Path, data: Path
) -> None:
    run_module("stack_run", stack_root=root, runs=[training("x", data)], state="submitted")
    (slurm / "state").write_text("")
    (entry,) = run_module("stack_run_info", stack_root=root, state="listed")["queued"]
    assert entry["state"] == "GONE"
    (slurm / "squeue").write_text("#!/bin/sh\necho 'Unable to contact slurm controller'; exit 1\n")
    (entry,) = run_module("stack_run_info", stack_root=root, state="listed")["queued"]
    assert (entry["state"], entry["reason"]) == ("SILENT", "squeue: Unable to contact slurm controller")


def test_files_of_a_run_are_read_and_no_others(run_module: Run, root: Path, data: Path) -> None:
    start_all(root, [training("x", data)])
    ended(run_module, root, "x")
    names = ["log", "../x/log", "../../current/stamps", "/etc/passwd", "none"]
    files = run_module("stack_run_info", stack_root=root, id="x", files=names, state="read")["run"]["files"]
    assert set(files) == {"log", "../x/log"}
    assert (
        run_module("stack_run_info", stack_root=root, id="x", files=["log"], most=1, state="read")["run"]["files"] == {}
    )
