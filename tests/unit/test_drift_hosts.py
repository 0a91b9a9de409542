"""`provision drift`: hosts are asked twice at most, those that are not well are rows; and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.cli import drift as command
from neuraltalk_provision.cli import main
from neuraltalk_provision.fleet import drift, drift_codes, drift_hosts
from neuraltalk_provision.fleet.findings import Accepted
from neuraltalk_provision.mirror import store
from neuraltalk_provision.output import Output
from neuraltalk_provision.rules import codes
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import playbook, recipes
from neuraltalk_provision.site.events import Failure, PlayResults
from tests.unit import archives
from tests.unit.catalogue import SMALL
from tests.unit.plans import HOSTS, state_of

Capture = pytest.CaptureFixture[str]
Answers = Callable[..., list[playbook.Request]]
QUIET = Output(as_json=True)
UNCHANGED = {"compared": True, "differing": 0, "listed": []}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site whose mirror has torch and nn, where we are."""
    place = tmp_path / "the operator's site"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(catalogue, "load", lambda: SMALL)
    for name, tree in (("torch.tgz", archives.TORCH), ("nn.tgz", archives.NN)):
        store.add(place / "mirror", archives.pack(tmp_path / name, tree), SMALL)
    return place


def recipe_id(settings: Settings) -> tuple[str, dict[str, str]]:
    """The generation of a host of the kind `converged`, and its stamps."""
    from neuraltalk_provision.mirror import trust

    listed = trust.open_lock(settings).by_name()
    recipe = recipes.of_hosts({"x": state_of("converged")}, settings, SMALL, listed)["x"].recipe
    return recipe.id, {part.name: part.digest for part in recipe.parts}


def host(site: Path, **more: Any) -> dict[str, Any]:
    """The state of a host that has what this mirror describes."""
    name, stamps = recipe_id(Settings(mirror=site / "mirror"))
    known = HOSTS["converged"]["state"]
    packages = {**known["packages"], "libc6-dev": "2.36", "python3-pip": "23"}
    stack = {"current": name, "previous": None, "generations": {name: {"stamps": stamps, "sealed": True}}}
    return {**known, "packages": packages, "stack": stack, **more}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Has the hosts return these states and results of their verification; the requests that came."""

    def answers(
        states: Mapping[str, Any], verified: Mapping[str, Any] | None = None, failures: tuple[Failure, ...] = ()
    ) -> list[playbook.Request]:
        requests: list[playbook.Request] = []

        def run(request: playbook.Request, *_more: object) -> playbook.Outcome:
            requests.append(request)
            if request.playbook == "state.yml":
                found = tuple((name, "stack_state", {"state": state}) for name, state in states.items())
                return playbook.Outcome(0, PlayResults(found, failures))
            known = verified or {}
            results = tuple(
                (name, "stack_verify", {"checks": CHECKS, "generation": "/g/x", "files": known.get(name, UNCHANGED)})
                for name in request.limit
                if known.get(name, UNCHANGED) is not None
            )
            gone = tuple(Failure(name, "", "gone", True) for name in request.limit if known.get(name, 0) is None)
            return playbook.Outcome(0, PlayResults(results, gone))

        monkeypatch.setattr(playbook, "run", run)
        return requests

    return answers


CHECKS = [{"name": "stamps", "passed": True, "saw": "2 stamps"}]
CHANGED = {
    "compared": True,
    "differing": 1,
    "listed": [
        {
            **{"path": "torch/\x1b[31mx", "kind": "content", "words": "was changed", "of": "", "uid": 1001},
            **{"user": "ma\x1b]0;xry", "mtime": 5, "ctime": 2**62},
        }
    ],
}


def report(site: Path, **settings: Any) -> drift.Report:
    return drift_hosts.report(Settings(mirror=site / "mirror", **settings), (), QUIET, Accepted())


def found(of: drift.Report) -> dict[str, list[str]]:
    return {entry.host: [one.code for one in entry.differences] for entry in of.hosts}


def provision(capsys: Capture, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main.boundary(["drift", *words])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out, said.err


def test_hosts_are_asked_for_their_state_and_for_their_files_without_running_anything(
    site: Path, answers: Answers
) -> None:
    requests = answers({"node1": host(site), "node2": host(site)})
    assert found(report(site)) == {"node1": [], "node2": []}
    assert [(request.playbook, list(request.limit)) for request in requests] == [
        ("state.yml", []),
        ("verify.yml", ["node1", "node2"]),
    ]
    assert requests[1].variables["provision_programs"] is False


def test_hosts_that_are_not_well_are_rows_and_the_others_are_compared(site: Path, answers: Answers) -> None:
    states = {
        "bare": HOSTS["bare"]["state"],
        "changed": host(site),
        "good": host(site),
        "lost": host(site),
        "unknown": host(site, platform={**host(site)["platform"], "managers": []}),
    }
    failures = (Failure("off", "", "No route to host", True, code="host.unreachable"),)
    requests = answers(states, {"changed": CHANGED, "lost": None}, failures)
    said = found(report(site))
    assert requests[1].limit == ["changed", "good", "lost"]
    assert said["good"] == []
    assert said["changed"] == ["file.content"]
    assert said["off"] == [drift_codes.NOT_ASKED]
    assert said["lost"] == [drift_codes.NOT_VERIFIED]
    assert said["unknown"] == [drift_codes.REFUSED, drift_codes.NOT_VERIFIED]
    assert said["bare"][0] == drift_codes.NO_GENERATION


def test_host_with_a_contradiction_is_a_row_and_its_files_are_compared(site: Path, answers: Answers) -> None:
    broken = {**host(site)["gpu"], "problem": "NVIDIA-SMI has failed"}
    answers({"good": host(site), "node1": host(site, gpu=broken)}, {"node1": CHANGED})
    assert found(report(site)) == {
        "good": [],
        "node1": [drift_codes.REFUSED, drift_codes.CARDS_UNKNOWN, "file.content"],
    }
    other = host(site, gpu=broken)
    other["stack"] = {**other["stack"], "current": "ffff"}
    answers({"node1": other})
    assert drift_codes.OTHER_GENERATION not in found(report(site))["node1"]


def test_answer_that_is_not_as_expected_is_a_row(site: Path, answers: Answers) -> None:
    answers({"good": host(site), "odd": host(site, disk="full")})
    said = report(site)
    assert found(said) == {"good": [], "odd": [drift_codes.NOT_ASKED]}
    assert "disk" in said.hosts[1].differences[0].found


def test_more_files_than_a_host_may_list_are_no_result(site: Path, answers: Answers) -> None:
    answers({"node1": host(site)}, {"node1": {**CHANGED, "listed": CHANGED["listed"] * 200}})  # type: ignore[operator]
    assert found(report(site)) == {"node1": [drift_codes.NOT_VERIFIED]}


@pytest.mark.parametrize(
    ("states", "verified", "failures", "expected"),
    [
        (["good"], {}, (), 0),
        (["good"], {"good": CHANGED}, (), 1),
        (["good"], {}, (Failure("off", "", "No route to host", True),), 2),
        (["good"], {"good": CHANGED}, (Failure("off", "", "No route to host", True),), 1),
        (["good", "other"], {"other": None}, (), 2),
    ],
)
def test_exit_code_tells_drift_from_what_could_not_be_compared(
    capsys: Capture,
    site: Path,
    answers: Answers,
    states: list[str],
    verified: Mapping[str, Any],
    failures: tuple[Failure, ...],
    expected: int,
) -> None:
    answers({name: host(site) for name in states}, verified, failures)
    assert provision(capsys, "--inventory", "good,")[0] == expected
    code, out, err = provision(capsys, "--inventory", "good,", "--json")
    assert (code, err) == (expected, "")
    document = json.loads(out)
    assert document["drift"] == (expected == 1)
    assert {entry["host"] for entry in document["hosts"]} == {*states, *(failure.host for failure in failures)}


def test_output_names_the_file_its_owner_and_the_cure_without_escape_sequences(
    capsys: Capture, site: Path, answers: Answers
) -> None:
    answers({"node1": host(site)}, {"node1": CHANGED})
    code, out, _err = provision(capsys, "--inventory", "node1,")
    assert code == 1
    assert "\x1b" not in out
    assert "torch/\\x1b[31mx" in out
    assert "(uid 1001)" in out
    assert f"{2**62} s" in out
    assert "1 host; 1 with drift" in out
    assert "to do:\n  node1: on the host, when nobody uses the stack: `rm /opt/neuraltalk/current`; `rm -r" in out
    assert "then: `provision site --limit node1 --inventory node1,`" in out


def test_all_shows_what_agrees(capsys: Capture, site: Path, answers: Answers) -> None:
    answers({"node1": host(site)})
    code, out, _err = provision(capsys, "--inventory", "node1,", "--all")
    assert code == 0
    assert "component torch" in out
    assert "fewer than 3 hosts, so there is no majority" in out


def test_code_that_does_not_exist_is_refused_before_a_host_is_asked(
    capsys: Capture, site: Path, answers: Answers
) -> None:
    requests = answers({})
    code, _out, err = provision(capsys, "--accept", "kernel")
    assert (code, requests) == (2, [])
    assert "kernel.version" in err


def test_mirror_that_cannot_be_read_is_code_2(capsys: Capture, site: Path, answers: Answers) -> None:
    answers({"node1": host(site)})
    assert provision(capsys, "--inventory", "node1,", "--mirror", "nowhere")[0] == 2
    (site / "empty").mkdir()
    code, _out, err = provision(capsys, "--inventory", "node1,", "--mirror", "empty")
    assert (code, "is empty" in err) == (2, True)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (1_700_000_000, "2023-11-14 22:13"), (2**62, f"{2**62} s"), (0, "1970-01-01 00:00")],
)
def test_time_is_shown_in_utc(seconds: int | None, words: str) -> None:
    assert command.when(seconds) == words


def test_codes_of_differences_are_none_of_failures() -> None:
    ours = {value for name, value in vars(codes).items() if name.isupper() and isinstance(value, str)}
    assert ours & set(drift_codes.MEANING) == set()
