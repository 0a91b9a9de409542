"""`provision runs` and `provision sweep`: what is asked of hosts, what is printed, and with which code it ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.errors import HostError
from neuraltalk_provision.results.host_state import Card
from neuraltalk_provision.results.one_run import Caption, StartedRun, SubmittedRun
from neuraltalk_provision.results.run import QueuedRun, RunsResult
from neuraltalk_provision.rules import texts
from neuraltalk_provision.runs import hosts as runs_of_hosts
from neuraltalk_provision.runs.hosts import Site
from neuraltalk_provision.runs.progress import health, state
from neuraltalk_provision.runs.progress.history import History
from neuraltalk_provision.runs.progress.state import RunState
from neuraltalk_provision.runs.request.spec import RunSpec
from neuraltalk_provision.runs.verdict import checks, verify
from neuraltalk_provision.runs.verdict.gates import Gate, Verdict
from neuraltalk_provision.site import inventory_names, playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from tests.unit.runs import detail, job, of_detail, read, started_run
from tests.unit.test_cli import Capture, provision, site

__all__ = ["site"]
DATA = {"input_h5": "/d/c.h5", "input_json": "/d/c.json"}
FILE = {"file": "/r/base/checkpoint/model_idbase.t7", "bytes": 9, "modified": 5.0}
MODEL = {**FILE, "iteration": 20}
CARDS = {
    "one": (Card(index=0, uuid="GPU-a", name="K80"), Card(index=1, uuid="GPU-b", name="K80")),
    "two": (Card(index=0, uuid="GPU-c", name="K80"),),
    "three": (),
}
NONE_LEFT_OUT: dict[str, Any] = {"unusable": {}, "busy": {}}
LOG = "assigned 40 images to split train\n" + "".join(f"iter {n}: {3 - n / 100:.3f}\n" for n in range(26))


Started = list[tuple[tuple[RunSpec, ...], str]]


def told(run_id: str = "base", host: str = "one", **more: Any) -> RunState:
    """A training that was killed at iteration 25 and has a model of iteration 20, as its host tells of it."""
    killed = {
        "exit_code": -9, "silent": 1.0, "progress": read(LOG), "tail": LOG, "checkpoints": [FILE], "models": [MODEL],
        "requested": {**DATA, "gpuid": "-1", "backend": "nn", "max_iters": "100", "save_checkpoint_every": "10"},
    }  # fmt: skip
    return of_detail(detail(run_id, **{**killed, **more}), host)


def in_queue(run_id: str, **more: Any) -> RunState:
    """A run of the sweep s whose job is pending in Slurm."""
    return state.queued("one", QueuedRun.model_validate(job(run_id, "PENDING", **{"sweep": "s", **more})))


Hosts = Callable[..., None]


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """What the hosts tell when they are asked."""

    def tell(*runs: RunState, free: Mapping[str, tuple[Card, ...]] = CARDS, **others: Any) -> None:
        results = {
            host: RunsResult.model_construct(
                free=cards, **{kind: reasons.get(host, ()) for kind, reasons in {**NONE_LEFT_OUT, **others}.items()}
            )
            for host, cards in free.items()
        }
        monkeypatch.setattr(runs_of_hosts, "query", lambda *given, **more: Site(runs, results))

    return tell


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """What is started, and where; host two takes nothing that is called `bad`."""
    asked: Started = []

    def start(runs: Sequence[RunSpec], host: str, settings: object, *, only_idle: bool = False) -> StartedRun:
        assert only_idle == bool(runs[0].sweep)
        if any(run.id.startswith("bad") and host == "two" for run in runs):
            raise HostError("two: its disk is full")
        asked.append((tuple(runs), host))
        return started_run("/log")

    monkeypatch.setattr(runs_of_hosts, "start", start)
    return asked


def sweep_file(**more: Any) -> Path:
    file = Path("sweep.yml")
    file.write_text(json.dumps({"id": "s", "options": DATA, "grid": {"seed": [1, 2, 3, 4]}, **more}))
    return file


def test_sweep_is_dealt_out_over_the_free_cards_one_of_each_host_in_turn(
    capsys: Capture, hosts: Hosts, started: Started
) -> None:
    hosts()
    code, out, _ = provision(capsys, "sweep", sweep_file())
    assert code == 0
    placed = [(host, runs[0].gpu, [run.id for run in runs]) for runs, host in started]
    assert placed == [
        ("one", "GPU-a", ["s-1", "s-4"]),
        ("two", "GPU-c", ["s-2"]),
        ("one", "GPU-b", ["s-3"]),
    ]
    assert "one, GPU-a: s-1 runs, then s-4" in out
    assert [run.arguments["seed"] for runs, _host in started for run in runs] == ["1", "4", "2", "3"]


def test_sweep_on_the_processors_has_one_place_on_each_host(capsys: Capture, hosts: Hosts, started: Started) -> None:
    hosts()
    assert provision(capsys, "sweep", sweep_file(gpu="none"))[0] == 0
    assert [(host, runs[0].arguments["gpuid"]) for runs, host in started] == [
        ("one", "-1"),
        ("two", "-1"),
        ("three", "-1"),
    ]


def test_sweep_that_is_planned_starts_nothing_and_one_without_a_card_says_so(
    capsys: Capture, hosts: Hosts, started: Started
) -> None:
    hosts()
    code, out, _ = provision(capsys, "sweep", sweep_file(), "--plan")
    assert (code, out.count("would run on"), out.count("on GPU GPU-a, with")) == (0, 4, 2)
    code, out, _ = provision(capsys, "sweep", sweep_file(), "--plan", "--json")
    share = json.loads(out)["plan"][0]
    assert (share["slot"]["gpu"], share["runs"][0]["gpu"]) == ("GPU-a", "GPU-a")
    hosts(free={"one": (), "two": ()}, unusable={"one": ("card 1: x",)}, busy={"one": ("card 0: y",), "two": ("z",)})
    code, _, err = provision(capsys, "sweep", sweep_file())
    words = "no GPU is free on any host\none: not used: card 1: x; card 0: y\ntwo: not used: z"
    assert (code, words in err, started) == (2, True, [])


def test_sweep_tells_of_cards_that_it_cannot_use_and_not_of_those_in_use(
    capsys: Capture, hosts: Hosts, started: Started
) -> None:
    hosts(unusable={"two": ("card 1 (K80): reset the card",)}, busy={"two": ("card 2: run base uses it",)})
    code, out, _ = provision(capsys, "sweep", sweep_file())
    assert (code, out.count("not used")) == (0, 1)
    assert "two: not used: card 1 (K80): reset the card\n" in out


def test_hosts_are_asked_for_cards_that_every_run_of_a_sweep_can_use(
    capsys: Capture, hosts: Hosts, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first run was looked at: others were given to cards without room, or to a stack without cuDNN."""
    hosts()
    asked: list[dict[str, Any]] = []
    query = runs_of_hosts.query
    monkeypatch.setattr(runs_of_hosts, "query", lambda *given, **more: asked.append(more) or query(*given, **more))
    for grid in ({"batch_size": [16, 64]}, {"backend": ["nn", "cudnn"]}, {"backend": ["nn"]}):
        assert provision(capsys, "sweep", sweep_file(grid=grid))[0] == 0
    large, small = asked[0]["memory"], asked[1]["memory"]
    assert large > small == asked[2]["memory"]
    assert [one["backend"] for one in asked] == ["", "cudnn", ""]


def test_host_that_takes_none_of_a_sweep_does_not_keep_the_others(
    capsys: Capture, hosts: Hosts, started: Started
) -> None:
    hosts()
    code, out, _ = provision(capsys, "sweep", sweep_file(id="bad"), "--json")
    document = json.loads(out)
    assert (code, len(started)) == (1, 2)
    assert document["failures"] == [{"host": "two", "runs": ["bad-2"], "error": "two: its disk is full"}]


def test_sweep_goes_to_slurm_as_a_job_for_each_combination(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Any] = []

    def submit(runs: Sequence[RunSpec], host: str, words: Sequence[str], settings: object) -> SubmittedRun:
        jobs.append((runs[0].id, runs[0].gpu, host, list(words)))
        return SubmittedRun(id=runs[0].id, job=str(40 + len(jobs)))

    monkeypatch.setattr(runs_of_hosts, "submit", submit)
    words = ("--launcher", "slurm", "--host", "login", "--sbatch=--partition=gpu")
    code, out, _ = provision(capsys, "sweep", sweep_file(), *words)
    assert (code, "s-4 is Slurm job 44" in out) == (0, True)
    assert jobs[0] == ("s-1", "auto", "login", ["--partition=gpu"])
    code, _, err = provision(capsys, "sweep", sweep_file(), "--launcher", "slurm")
    assert (code, "no host is given" in err) == (2, True)


@pytest.mark.parametrize("accepted", [0, 2])
def test_sweep_of_which_slurm_refuses_a_job_tells_which_were_submitted(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, accepted: int
) -> None:
    """Nothing named the jobs that run."""

    def submit(runs: Sequence[RunSpec], *_: object) -> SubmittedRun:
        if runs[0].id == f"s-{accepted + 1}":
            raise HostError("login: Job violates limit", advice="Ask.", document={"failures": [{"host": "login"}]})
        return SubmittedRun(id=runs[0].id, job="4" + runs[0].id[-1])

    monkeypatch.setattr(runs_of_hosts, "submit", submit)
    code, out, _ = provision(capsys, "sweep", sweep_file(), "--launcher", "slurm", "--host", "login", "--json")
    told = json.loads(out)
    assert (code, told["kind"], told["failures"]) == (1, "HostError", [{"host": "login"}])
    if not accepted:
        assert (told["error"], told["advice"]) == ("login: Job violates limit", "Ask.")
        return
    assert told["error"] == (
        "s-3: login: Job violates limit\nOf 4 jobs of the sweep s, 2 were submitted before: s-1 (Slurm job 41), "
        "s-2 (Slurm job 42). After this error, no other one was submitted."
    )
    assert told["advice"] == "Ask. `provision runs list` shows the runs; `provision runs stop s` ends all of them."
    assert [job["job"] for job in told["jobs"]] == ["41", "42"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"grid": {"sead": [1]}}, "train.lua has no option -sead"),
        ({"grid": {}}, "all runs would be the same"),
        ({"draw": {"seed": {"least": 2, "most": 1}}}, "least 2 is greater than most 1"),
        ({"draw": {"batch_size": {"least": 1.4, "most": 3}}}, "draw: batch_size: 1.4 is not a whole number"),
        ({"drawn": 3}, "drawn is not a setting of a run's file; did you mean draw"),
    ],
)
def test_sweep_that_makes_no_sense_is_refused(capsys: Capture, more: dict[str, Any], words: str) -> None:
    code, _, err = provision(capsys, "sweep", sweep_file(**more))
    assert (code, words in err) == (2, True), err


def test_training_goes_on_with_what_is_left_and_the_stages_that_were_to_follow(
    capsys: Capture, hosts: Hosts, started: Started
) -> None:
    later = told(
        "fine", begun=False, exit_code=None, ended={"by": "skipped", "evidence": "x"}, needs="base", models=[],
        stage="finetune", parent={"id": "base", "choose": "best"}, progress=read(""),
        requested={**DATA, "gpuid": "-1", "backend": "nn", "finetune_cnn_after": "0"},
    )  # fmt: skip
    hosts(told(), later)
    code, out, _ = provision(capsys, "runs", "resume", "base", "--detach")
    assert code == 0
    assert "base-r2 continues from /r/base/checkpoint/model_idbase.t7 (iteration 20 of base)" in out
    ((runs, host),) = started
    assert (host, [run.id for run in runs]) == ("one", ["base-r2", "fine"])
    assert runs[0].arguments["max_iters"] == "80"
    assert (runs[0].parent, runs[1].needs) == ({"id": "base", "choose": "last"}, "base-r2")
    assert (runs[1].arguments["gpuid"], runs[1].arguments["finetune_cnn_after"]) == ("-1", "0")
    assert runs[1].parent == {"id": "base-r2", "choose": "best"}


def test_run_that_wrote_no_model_starts_again_with_its_own_options(
    capsys: Capture, hosts: Hosts, started: Started
) -> None:
    """Those of the run before it were taken: what had been changed for it after -- was lost."""
    own = {**told().requested, "max_iters": "900", "learning_rate": "1e-05"}
    hosts(told(), told("base-r2", parent={"id": "base", "choose": "last"}, begins=20, models=[], requested=own))
    assert provision(capsys, "runs", "resume", "base-r2", "--detach", "--", "-seed", "2")[0] == 0
    (((run,), _host),) = started
    assert (run.arguments["max_iters"], run.arguments["learning_rate"]) == ("900", "1e-05")
    assert (run.arguments["seed"], run.parent) == ("2", {"id": "base", "choose": "last"})


def test_run_that_wrote_no_model_starts_from_the_best_with_the_options_of_the_run_that_did_and_says_so(
    capsys: Capture, hosts: Hosts, started: Started
) -> None:
    """Its own options count iterations from another model."""
    last = {**MODEL, "file": FILE["file"].replace(".t7", ".last.t7")}
    base = told(models=[{**MODEL, "iteration": 10}, last])
    base = replace(base, progress=replace(base.progress, validations=((10, 2.0), (20, 2.1))))
    own = {**base.requested, "max_iters": "900"}
    hosts(base, told("base-r2", parent={"id": "base", "choose": "last"}, begins=20, models=[], requested=own))
    code, out, _ = provision(capsys, "runs", "resume", "base-r2", "--from", "best", "--detach")
    assert (code, started[0][0][0].arguments["max_iters"]) == (0, "90")
    assert (
        "base/checkpoint/model_idbase.t7 (iteration 10 of base), with the options of base and not those of base-r2"
        in out
    )


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ({"running": True, "exit_code": None}, "base is running"),
        ({"running": True, "exit_code": None, "silent": 901.0}, "base is hanging"),
        ({"program": "eval.lua"}, "only a training can be resumed"),
        (
            {"begun": False, "exit_code": None, "parent": {"id": "b", "choose": "best"}},
            "Resume b: its later stages are started too",
        ),
        ({"models": []}, "base wrote no model (.t7) to continue from"),
        ({"models": [{**MODEL, "iteration": 95}]}, "only 5 are left, not more than -save_checkpoint_every 10"),
    ],
)
def test_run_that_cannot_be_gone_on_with_says_why(
    capsys: Capture, hosts: Hosts, started: Started, run: dict[str, Any], words: str
) -> None:
    hosts(told(**run))
    code, _, err = provision(capsys, "runs", "resume", "base")
    assert (code, words in err, started) == (2, True, []), err


def test_run_is_watched_until_it_ends(capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [
        {"time": 0.0, "iteration": 5, "cpu": 1.0, "pids": [7]},
        {"time": 10.0, "iteration": 25, "cpu": 2.0, "pids": [7]},
    ]
    hosts(told(running=True, exit_code=None, samples=samples))
    code, out, _ = provision(capsys, "runs", "watch", "base", "--once")
    assert code == 0
    assert "base on one: running (pid 7, its log grew 1 s ago)" in out
    assert "iteration 25, loss 2.7500, epoch 10.00, 2.00 iterations/s, 38 s left" in out
    hosts(told(samples=samples))
    code, out, _ = provision(capsys, "runs", "watch", "base", "--json")
    assert (code, json.loads(out)["pace"]["rate"], json.loads(out)["pace"]["left"]) == (1, 2.0, None)

    def interrupt(*_given: object, **_more: object) -> Site:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs_of_hosts, "query", interrupt)
    code, _, err = provision(capsys, "runs", "watch", "base")
    assert (code, "base continues" in err) == (130, True)


def test_verdict_is_a_table_with_its_evidence_and_a_code(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts(told())
    asked: list[RunSpec | None] = []

    def gather(*given: Any) -> checks.Evidence:
        asked.append(given[4])
        return checks.Evidence((given[0],), History(), (), "it does not exist", None)

    monkeypatch.setattr(verify, "gather", gather)
    code, out, _ = provision(capsys, "runs", "verify", "base", "--out", "v.html")
    assert code == 1
    assert "models open" in out
    assert "there is no model (.t7)" in out
    assert "base is red" in out
    assert "there is no model (.t7)" in Path("v.html").read_text()
    assert asked[0] is not None
    assert asked[0].id == "base-check-1"
    assert asked[0].arguments["model"] == MODEL["file"]
    assert (asked[0].arguments["split"], asked[0].arguments["beam_size"]) == ("val", "1")
    monkeypatch.setattr(checks, "verdict", lambda evidence: Verdict((Gate("all", "green", "seen"),)))
    code, out, _ = provision(capsys, "runs", "verify", "base", "--no-evaluate", "--json")
    assert (code, json.loads(out)["green"], asked[-1]) == (0, True, None)
    assert json.loads(out)["gates"] == [{"name": "all", "colour": "green", "evidence": "seen"}]
    code, out, _ = provision(capsys, "runs", "verify", "base", "--plan")
    assert (code, "would be evaluated as base-check-1" in out, len(asked)) == (0, True, 2)
    hosts(told(running=True, exit_code=None))
    code, _, err = provision(capsys, "runs", "verify", "base")
    assert (code, "): a verdict needs a training that has ended" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--gpu none --gpu-memory 5000", "--gpu-memory has an effect only with --gpu"),
        ("--no-evaluate --gpu 0", "--gpu and --gpu-memory have no effect with --no-evaluate"),
        ("--no-evaluate --gpu-memory 0", "--gpu and --gpu-memory have no effect with --no-evaluate"),
    ],
)
def test_options_of_the_evaluation_without_effect_are_refused(
    capsys: Capture, hosts: Hosts, words: str, message: str
) -> None:
    hosts(told())
    code, _, err = provision(capsys, "runs", "verify", "base", "--plan", *words.split())
    assert (code, message in err) == (2, True), err


def test_envelope_that_is_none_is_refused_with_its_place(capsys: Capture, hosts: Hosts) -> None:
    hosts(told())
    Path("e.yml").write_text("name: x\nranges: {loss: [{iteration: 5, least: 2, most: 1}]}\n")
    code, _, err = provision(capsys, "runs", "verify", "base", "--envelope", "e.yml")
    assert (code, "e.yml: ranges.loss.0: " in err, "least 2 is greater than most 1" in err) == (2, True, True), err


def test_report_of_a_run_and_of_a_sweep_is_one_file(capsys: Capture, hosts: Hosts) -> None:
    many = [told(f"s-{n}", sweep="s", requested={**DATA, "seed": str(n)}) for n in (1, 2)]
    hosts(told(), *many)
    assert provision(capsys, "runs", "report", "base")[:2] == (0, "wrote base.html\n")
    page = Path("base.html").read_text()
    assert "<svg" in page
    assert "killed" in page
    code, out, _ = provision(capsys, "runs", "report", "s", "--out", "all.html", "--json")
    assert (code, json.loads(out)["runs"]) == (0, 2)
    assert all(word in Path("all.html").read_text() for word in ("s-1", "s-2", "seed"))
    assert "input_h5" not in Path("all.html").read_text()


def test_report_of_a_sweep_has_the_last_run_of_each_training(capsys: Capture, hosts: Hosts) -> None:
    goes_on = told("s-2-r2", sweep="s", parent={"id": "s-2", "choose": "last"})
    stages = [in_queue("s-3-base"), in_queue("s-3-fine", parent={"id": "s-3-base", "choose": "best"})]
    hosts(told("s-1", sweep="s"), told("s-2", sweep="s"), goes_on, *stages)
    assert provision(capsys, "runs", "report", "s")[0] == 0
    page = Path("s.html").read_text()
    names = ("s-1", "s-2", "s-2-r2", "s-3-base", "s-3-fine")
    assert [name for name in names if f">{name}<" in page] == ["s-1", "s-2-r2", "s-3-fine"]


def test_report_of_a_sweep_leaves_out_a_run_without_a_model_that_was_started_again(
    capsys: Capture, hosts: Hosts
) -> None:
    """What starts it again continues the run before it. A run that can still write a model stays.

    A request that never began (r6) replaces nothing.
    """
    after = {"sweep": "s", "parent": {"id": "s-1", "choose": "last"}}
    active = {**after, "running": True, "exit_code": None, "models": []}
    hosts(
        told("s-1", sweep="s"),
        told("s-1-r2", models=[], started=100, **after),
        told("s-1-r3", started=150, **after),
        told("s-1-r4", started=160, **active),
        told("s-1-r5", models=[], started=200, **after),
        told("s-1-r6", models=[], started=300, begun=False, exit_code=None, **after),
    )
    assert provision(capsys, "runs", "report", "s")[0] == 0
    page = Path("s.html").read_text()
    names = ("s-1", "s-1-r2", "s-1-r3", "s-1-r4", "s-1-r5", "s-1-r6")
    assert [name for name in names if f">{name}<" in page] == ["s-1-r3", "s-1-r4", "s-1-r5", "s-1-r6"]


def test_run_that_only_stands_in_the_queue_is_taken_back_from_slurm(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    monkeypatch.setattr(runs_of_hosts, "cancel", lambda run_id, *given, **more: taken.append(run_id) or True)
    hosts(told(supervisor=None, begun=False, waiting=True, exit_code=None, job="41"))
    code, out, _ = provision(capsys, "runs", "stop", "base")
    assert (code, out, taken) == (0, "base on one stopped\n", ["base"])
    taken.clear()
    hosts(in_queue("s-1"), in_queue("s-2"), in_queue("t-1", sweep="t"))
    assert provision(capsys, "runs", "stop", "s")[0] == 0
    assert taken == ["s-1", "s-2"]


def test_sweep_is_stopped_as_a_whole_and_what_is_over_left_alone(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[tuple[str, str]] = []
    monkeypatch.setattr(
        runs_of_hosts, "stop", lambda run_id, host, *given, **more: ended.append((run_id, host)) or True
    )
    active = {"running": True, "exit_code": None}
    hosts(told("s-1", sweep="s", **active), told("s-2", "two", sweep="s", **active), told("s-3", sweep="s"))
    code, out, _ = provision(capsys, "runs", "stop", "s")
    assert (code, ended) == (0, [("s-1", "one"), ("s-2", "two")])
    assert out == "s-1 on one stopped\ns-2 on two stopped\n"


def test_training_whose_loss_diverged_counts_as_active_until_it_ends(
    capsys: Capture, hosts: Hosts, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """train.lua goes on if the loss is NaN: nobody stopped it with its sweep, and it could be resumed beside itself."""
    ended: list[str] = []
    monkeypatch.setattr(runs_of_hosts, "stop", lambda run_id, *given, **more: ended.append(run_id) or True)
    nan = {"sweep": "s", "progress": read(LOG + "iter 26: nan\n")}
    hosts(told("s-1", running=True, exit_code=None, pid=7, **nan), told("s-2", exit_code=0, **nan))
    for command in ("resume", "verify", "score"):
        code, _, err = provision(capsys, "runs", command, "s-1")
        assert (code, started) == (2, []), (command, err)
        assert "s-1" in err and "is diverged (loss nan at iteration 26; pid 7 is still running)" in err, (command, err)
    _, out, _ = provision(capsys, "runs", "list", "--active", "--json")
    assert [(run["id"], run["running"]) for run in json.loads(out)["runs"]] == [("s-1", True)]
    assert provision(capsys, "runs", "stop", "s")[0] == 0
    assert ended == ["s-1"]


def test_run_of_a_sweep_that_cannot_be_stopped_does_not_keep_the_others(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(run_id: str, host: str, *given: object, **more: object) -> bool:
        if host == "one":
            raise HostError("one: no route", document={"failures": [{"host": "one"}]})
        return True

    monkeypatch.setattr(runs_of_hosts, "stop", stop)
    active = {"running": True, "exit_code": None}
    hosts(told("s-1", sweep="s", **active), told("s-2", "two", sweep="s", **active))
    code, out, err = provision(capsys, "runs", "stop", "s")
    assert (code, out) == (1, "s-2 on two stopped\n")
    assert "error: s-1 on one was not stopped: one: no route" in err
    code, out, _ = provision(capsys, "runs", "stop", "s", "--json")
    document = json.loads(out)
    assert [run["id"] for run in document["runs"]] == ["s-2"]
    assert document["failures"] == [{"run": "s-1", "host": "one", "error": "one: no route"}]


def test_run_that_another_has_gone_on_from_needs_nobody_any_more(capsys: Capture, hosts: Hosts) -> None:
    hosts(told("base"))
    code, out, _ = provision(capsys, "runs", "list")
    assert (code, "base on one is killed: pid 7 was ended by signal 9" in out) == (1, True)
    hosts(told("base"), told("base-r2", parent={"id": "base", "choose": "last"}, exit_code=0))
    code, out, _ = provision(capsys, "runs", "list")
    assert (code, "is killed" in out) == (0, False)
    hosts(told("base"), told("base-r2", "two", parent={"id": "base", "choose": "last"}, exit_code=0))
    assert provision(capsys, "runs", "list")[0] == 1


def test_stages_are_planned_with_what_each_comes_from(
    capsys: Capture, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory_names, "refuse_unknown", lambda *_given: None)
    Path("r.yml").write_text(json.dumps({"host": "one", "id": "x", "options": DATA}))
    code, out, _ = provision(capsys, "train", "r.yml", "--stages", "base,finetune", "--plan")
    assert code == 0
    first, second = out.splitlines()
    assert first.startswith("would run on one as x-base, until plateau 5: th train.lua")
    assert second.startswith("would run on one as x-finetune after x-base, from the best model of x-base: th train.lua")
    assert "-finetune_cnn_after 0" in second
    code, _, err = provision(capsys, "train", "r.yml", "--stages", "base,base")
    assert (code, "a stage is given twice" in err) == (2, True)


def test_report_of_many_captions_has_pages_and_brings_no_more_pictures_than_are_asked_for(
    capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [
        Caption(file=f"cat-{n}.jpg", caption=f"a cat {n}", image_id=n, place=f"images/{n:06d}.jpg") for n in range(5000)
    ]
    asked: list[Sequence[str]] = []

    def read(_run: str, _host: str, _settings: object, files: Sequence[str], **more: Any) -> dict[str, bytes]:
        asked.append(files)
        return dict.fromkeys(files[:2], b"\xff\xd8\xff")

    monkeypatch.setattr(runs_of_hosts, "captions", lambda *given: said)
    monkeypatch.setattr(runs_of_hosts, "read", read)
    hosts(told(program="eval.lua", models=[], requested={"model": "/m.t7"}))
    code, out, _ = provision(capsys, "runs", "report", "base", "--out", "many.html", "--pictures", "3", "--json")
    document = json.loads(out)
    assert (code, document["captions"], len(asked[0])) == (0, 5000, 3)
    assert document["files"] == ["many.html", "many-2.html", "many-3.html"]
    pages = [Path(name).read_text() for name in document["files"]]
    assert [page.count("data:image/jpeg") for page in pages] == [2, 0, 0]
    assert [page.count("a cat ") for page in pages] == [2002, 2000, 998]
    assert 'href="many-2.html"' in pages[0]
    assert 'href="many.html"' in pages[2]
    assert all(f"a cat {number}<" in "".join(pages) for number in (0, 2, 2001, 4999))


def test_report_of_a_run_that_prepared_data_is_refused(capsys: Capture, hosts: Hosts) -> None:
    hosts(told("coco", program="prepare"))
    code, _, err = provision(capsys, "runs", "report", "coco")
    assert (code, "coco ran prepare: a report needs a training or an evaluation" in err) == (2, True)


OFF = Failure("off1", "", "switched off", True, code="ssh.unreachable")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Which hosts are asked; host one has the run `base`, host two has none, and off1 does not answer."""
    requests: list[tuple[str, ...]] = []
    answers = {"one": {"runs": [detail("base", exit_code=0)], "queued": [], "free": []}}
    answers["two"] = {**answers["one"], "runs": []}

    def run(request: playbook.Request, *_more: object) -> playbook.Outcome:
        requests.append(tuple(request.limit))
        results = tuple((host, "stack_run_info", one) for host, one in answers.items())
        here = tuple(one for one in results if one[0] in (request.limit or answers))
        return playbook.Outcome(4, PlayResults(here, () if request.limit else (OFF,)))

    monkeypatch.setattr(playbook, "run", run)
    return requests


def test_runs_are_listed_though_a_host_is_off_which_is_an_error(capsys: Capture, asked: object, site: Path) -> None:
    code, out, err = provision(capsys, "runs", "list")
    assert code == 1
    assert "base" in out and "one" in out
    assert "error: off1: " in err and "switched off" in err
    code, out, _ = provision(capsys, "runs", "list", "--json")
    document = json.loads(out)
    assert code == 1 and [run["id"] for run in document["runs"]] == ["base"]
    assert [one["host"] for one in document["failures"]] == ["off1"]


@pytest.mark.parametrize("words", [("show", "base"), ("report", "base"), ("watch", "base", "--once")])
def test_run_is_shown_though_another_host_is_off(
    capsys: Capture, asked: object, site: Path, words: tuple[str, ...]
) -> None:
    code, out, err = provision(capsys, "runs", *words)
    assert (code, err) == (0, "")
    assert "base" in out


def test_run_that_may_be_on_a_host_that_is_off_is_not_said_to_be_nowhere(
    capsys: Capture, asked: object, site: Path
) -> None:
    for verb in ("show", "report", "watch", "logs"):
        code, _, err = provision(capsys, "runs", verb, "other")
        assert code == 1
        assert "no host that answered has a run called other\noff1: " in err and "--host HOST" in err


def test_run_is_not_stopped_while_a_host_that_may_have_another_one_of_that_name_is_off(
    capsys: Capture, asked: list[tuple[str, ...]], site: Path
) -> None:
    code, _, err = provision(capsys, "runs", "stop", "base")
    assert code == 1 and "--host one asks only this host" in err
    assert asked == [()]


def test_run_that_is_watched_is_asked_of_its_own_host_alone(
    capsys: Capture, asked: list[tuple[str, ...]], site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All hosts were asked again every five seconds."""
    looks = iter([health.Health("running", ""), health.Health("running", ""), None])
    details = runs_of_hosts.details

    def running(*given: Any, **more: Any) -> tuple[RunState, ...]:
        state = next(looks)
        return tuple(replace(run, health=state) if state else run for run in details(*given, **more))

    monkeypatch.setattr(runs_of_hosts, "details", running)
    monkeypatch.setattr("neuraltalk_provision.cli.watch.time.sleep", lambda _seconds: None)
    assert provision(capsys, "runs", "watch", "base")[0] == 0
    assert asked.count(()) == 1 and set(asked[1:]) == {("one",)}


def test_runs_that_have_not_ended_are_found_among_thousands(capsys: Capture, hosts: Hosts) -> None:
    old = [told(f"old{number}") for number in range(300)]
    hosts(*old, told("now", running=True, exit_code=None), told("ended", exit_code=0))
    code, out, _ = provision(capsys, "runs", "list", "--active")
    assert code == 0 and "now" in out and "old" not in out and "ended" not in out
    code, out, _ = provision(capsys, "runs", "list", "--active", "--json")
    assert [run["id"] for run in json.loads(out)["runs"]] == ["now"]
    assert provision(capsys, "runs", "list")[1].count("old") == 600  # a row and a line why it is not well


@pytest.mark.parametrize("started", [2**62])
def test_run_that_was_started_at_no_time_of_a_calendar_is_shown_with_all_others(
    capsys: Capture, hosts: Hosts, started: int
) -> None:
    """The account of the runs can write any number into run.json."""
    hosts(told(started=started), told("other"))
    for words in (("list",), ("show", "base"), ("report", "base", "-o", "page.html")):
        code, out, _ = provision(capsys, "runs", *words)
        assert code < 2 and out, words


def test_time_of_no_calendar_is_told_in_seconds() -> None:
    assert [texts.moment(one) for one in (0, 2**62)] == ["1970-01-01 00:00:00 UTC", f"{2**62} s after 1970"]
    assert texts.moment(1e300).endswith(" s after 1970")
