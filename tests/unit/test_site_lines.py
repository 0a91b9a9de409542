"""What people read of `provision site` and `verify` about many hosts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from neuraltalk_provision.fleet import site_lines
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.checks import Check
from neuraltalk_provision.site import play_errors
from neuraltalk_provision.site.events import Failure, PlayResults
from neuraltalk_provision.site.operations import Verdict
from tests.unit.plans import planned

Capture = pytest.CaptureFixture[str]
HOSTS = [f"node{number:04}" for number in range(1, 1001)]


def test_plans_of_many_hosts_are_one_line_for_each_plan(capsys: Capture) -> None:
    plan, bare = planned("staged"), planned("bare")
    plans = tuple(replace(bare if host == "node0500" else plan, host=host) for host in HOSTS)
    site_lines.show_plans(plans, Output())
    first, second, _left_out = capsys.readouterr().out.splitlines()
    assert first.startswith("node[0001-0499,0501-1000] (999 hosts) (debian-12-x86_64): nothing to build")
    assert second.startswith("node0500 (debian-12-x86_64): build ")


def test_checks_that_many_hosts_pass_are_one_line_for_each_check(capsys: Capture) -> None:
    good, bad = Check(name="link", passed=True, saw="it is there"), Check(name="link", passed=False, saw="it is gone")
    verdicts = [Verdict(host, (bad if host == "node0007" else good,)) for host in HOSTS]
    verdicts += [Verdict(f"off{number}", (), f"off{number}: switched off") for number in range(30)]
    site_lines.show_verdicts(verdicts, Output())
    assert capsys.readouterr().out.splitlines() == [
        "ok   node[0001-0006,0008-1000] (999 hosts) link: it is there",
        "FAIL node0007 link: it is gone",
        "FAIL off[0-29] (30 hosts) switched off",
    ]


def test_failures_that_an_error_leaves_out_are_counted() -> None:
    several = tuple(Failure(host, "", f"reason {place}") for place, host in enumerate(HOSTS[:9]))
    error = play_errors.unfinished("site.yml", 250, "", (), PlayResults(failures=several), ())
    assert "node0005: reason 4\nand 4 more: see the log" in error.message
    same = tuple(Failure(host, "", "no space") for host in HOSTS)
    error = play_errors.unfinished("site.yml", 250, "", (), PlayResults(failures=same), ())
    assert error.message.endswith("node[0001-1000] (1000 hosts): no space")
