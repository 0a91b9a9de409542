"""What the journal records: hosts, steps and outcomes, with limits; and what follows from them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from neuraltalk_provision.fleet import records
from neuraltalk_provision.fleet.records import Ending, HostEntry, Options, Outcome, Phase, Record, Rollout, Status, Step
from tests.unit.rollouts import GENERATION, ID, WAVES, entry, record, rollout


def test_outcome_of_a_step_is_its_latest_record() -> None:
    found = rollout(record("node1", Step.STAGE, Outcome.DONE), record("node2", Step.STAGE, Outcome.FAILED))
    assert found.outcome("node1", Step.STAGE) is Outcome.DONE
    assert found.outcome("node1", Step.ACTIVATE) is None
    assert found.hosts_with(Step.STAGE, Outcome.DONE, Outcome.FAILED) == ("node1", "node2")
    assert found.hosts_with(Step.STAGE, None) == ("node3",)


def test_step_that_began_and_never_ended_is_in_doubt() -> None:
    begun = record("node2", Step.ACTIVATE, Outcome.STARTED)
    assert rollout(record("node1", Step.STAGE, Outcome.DONE), begun).in_doubt() == (begun,)


def test_hosts_are_found_by_name() -> None:
    assert rollout().by_name()["node2"].wave == 1


@pytest.mark.parametrize(
    ("status", "unfinished"),
    [
        (Status.RUNNING, True),
        (Status.PAUSED, True),
        (Status.STOPPED, True),
        (Status.FINISHED, False),
        (Status.ROLLED_BACK, False),
    ],
)
def test_rollout_is_unfinished_until_it_finished_or_was_rolled_back(status: Status, unfinished: bool) -> None:
    assert rollout(status=status).is_unfinished is unfinished


def test_inputs_of_a_host_are_its_recipe_and_its_address_not_the_two_run_together() -> None:
    assert records.inputs("ab", "c") != records.inputs("a", "bc")
    assert records.inputs("r", "h") == records.inputs("r", "h")


@pytest.mark.parametrize("text", ["x" * 100_000, "\n" * 9000, "\x1b[31mred" * 2000])
def test_reason_of_any_length_becomes_one_that_fits(text: str) -> None:
    short = records.bounded_reason(text)
    record("node1", Step.STAGE, Outcome.FAILED, reason=short)
    assert len(short) <= records.LONGEST_REASON
    assert "\x1b" not in short


def test_reason_keeps_beginning_and_end_says_what_is_left_out_and_hides_secrets() -> None:
    short = records.bounded_reason(f"first {'x' * 9000} last")
    assert short.startswith("first ")
    assert short.endswith(" last")
    assert " characters left out) " in short
    assert "hunter22" not in records.bounded_reason("ansible_become_password: hunter22")
    assert records.bounded_reason("a \udcff b") == "a \\xff b"


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (HostEntry, {"host": ""}),
        (HostEntry, {"host": "a\n"}),
        (HostEntry, {"host": "x" * 256}),
        (HostEntry, {"host": 7}),
        (HostEntry, {"wave": -1}),
        (HostEntry, {"wave": 10_001}),
        (HostEntry, {"target": "../../etc"}),
        (HostEntry, {"former": "a/b"}),
        (HostEntry, {"inputs": "short"}),
        (Record, {"step": "dance"}),
        (Record, {"outcome": "perhaps"}),
        (Record, {"reason": "x" * (records.LONGEST_REASON + 1)}),
        (Record, {"code": "No code"}),
        (Record, {"started": float("nan")}),
        (Options, {"on_failure": "pray"}),
        (Options, {"busy": "kill"}),
        (Options, {"waves": [{"number": 1, "name": "x"}] * 101}),
        (Rollout, {"id": "../x"}),
        (Rollout, {"phase": "other"}),
        (Rollout, {"status": "other"}),
    ],
)
def test_wrong_value_is_refused(kind: type[records.Result], wrong: dict[str, Any]) -> None:
    good: dict[type[records.Result], dict[str, Any]] = {
        HostEntry: {"host": "node1", "wave": 0, "target": GENERATION, "former": "", "inputs": ""},
        Record: {"host": "node1", "step": "stage", "outcome": "done", "started": 1.0, "ended": 2.0},
        Options: {"waves": [{"number": 1, "name": "10%"}], "on_failure": "stop"},
        Rollout: {"id": ID, "begun": 1.0, "phase": "full"},
    }
    kind.model_validate(good[kind])
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        kind.model_validate(good[kind] | wrong)


def test_records_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        entry("node1").wave = 3


def test_options_that_a_later_version_adds_do_not_prevent_reading() -> None:
    options = Options(waves=WAVES, max_failures="5%", on_failure="rollback", busy="wait")
    text = options.model_dump_json()
    assert Options.model_validate_json(text) == options
    assert Options.model_validate_json(text[:-1] + ', "later": 3}') == options
    assert Rollout(id=ID, begun=1.0).phase is Phase.FULL


@pytest.mark.parametrize("code", ["No code", "x" * 65, "disk.full\n", "\udcff", "../.."])
def test_code_that_is_none_is_dropped_and_any_reason_is_recorded(code: str) -> None:
    """A host returned them: it fails alone, and the rollout goes on."""
    ending = Ending(host="node1", outcome=Outcome.FAILED, reason="a \udcff\x00 b", code=code)
    assert (ending.code, ending.reason) == ("", "a \\xff\\x00 b")
    assert Ending(host="node1", outcome=Outcome.FAILED, code="disk.full").code == "disk.full"


def test_step_does_not_end_as_started() -> None:
    with pytest.raises(ValidationError, match="outcome"):
        Ending(host="node1", outcome=Outcome.STARTED)
