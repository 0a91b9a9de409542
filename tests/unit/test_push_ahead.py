"""With `distribution: relay`, packed generations go from host to host before unpack.yml needs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site.distribution import ahead, push
from neuraltalk_provision.site.distribution.ahead import File
from neuraltalk_provision.site.distribution.checking import Request
from neuraltalk_provision.site.distribution.push import Report
from neuraltalk_provision.site.distribution.source import Description
from neuraltalk_provision.site.events import Failure
from tests.unit.test_build_once import Fleet, bare, fleet

__all__ = ["fleet"]
RELAY = Settings(distribution="relay")
LARGE = File(Path("/m/model.t7"), "/opt/neuraltalk/artifacts/0123-model.t7", 550_000_000, "a" * 64)


class Said(Output):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(as_json=True)
        self.lines: list[str] = []

    def remark(self, label: str, text: str) -> None:
        self.lines.append(f"{label}: {text}")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What is pushed."""
    requests: list[Request] = []

    def run(request: Request, settings: Settings, output: Output) -> Report:
        requests.append(request)
        failures = (Failure("b", "", "no space", code="disk.full"),)
        return Report(request, Description(1, "a" * 64, b""), (), {}, {}, failures)

    monkeypatch.setattr(push, "push", run)
    return requests


def test_large_files_are_pushed_to_where_the_playbook_looks_for_them(asked: list[Request]) -> None:
    said = Said()
    small = File(Path("/m/nn.tgz"), "/opt/neuraltalk/artifacts/4567-nn.tgz", 1_000_000, "b" * 64)
    ahead.send([small, LARGE], ["a", "b"], RELAY, said)
    assert [(one.file, one.path, one.hosts, one.sha256) for one in asked] == [
        (LARGE.file, LARGE.path, ("a", "b"), LARGE.sha256)
    ]
    assert said.lines == ["distribution: b gets model.t7 from the controller: no space"]


def test_rate_of_the_settings_holds_for_hosts_that_pass_files_on(asked: list[Request]) -> None:
    ahead.send([LARGE], ["a", "b"], Settings(distribution="relay", push_rate="50M"), Said())
    ahead.send([LARGE], ["a", "b"], RELAY, Said())
    assert [one.limit for one in asked] == [50_000_000, 0]


@pytest.mark.parametrize(("settings", "hosts"), [(Settings(), ["a", "b"]), (RELAY, ["a"]), (RELAY, [])])
def test_without_the_setting_or_with_one_host_nothing_is_pushed(
    asked: list[Request], settings: Settings, hosts: list[str]
) -> None:
    ahead.send([LARGE], hosts, settings, Said())
    assert asked == []


def test_what_fails_is_said_and_left_to_the_playbook(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_given: object) -> Report:
        raise UsageError("no host reaches this machine")

    monkeypatch.setattr(push, "push", fail)
    said = Said()
    ahead.send([LARGE, LARGE], ["a", "b"], RELAY, said)
    assert said.lines == ["distribution: model.t7 is sent to each host: no host reaches this machine"] * 2


def test_file_of_another_digest_is_not_pushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.t7"
    file.write_bytes(b"other")
    monkeypatch.setattr(push.playbook, "run", lambda request: pytest.fail("a host was asked"))
    with pytest.raises(UsageError, match="was changed"):
        push.push(Request(file, file.name, "/x", ("a",), sha256="a" * 64), RELAY, Said())


def test_generations_are_pushed_before_they_are_unpacked(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, asked: list[Request]
) -> None:
    monkeypatch.setattr(ahead, "WORTH", 0)
    fleet.settings = fleet.settings.model_copy(update={"distribution": "relay"})
    fleet.output = Said()
    fleet.stage(bare("node1"), bare("node2"), bare("node3"))
    (request,) = asked
    assert request.hosts == ("node2", "node3")
    assert request.file.parent.parent == fleet.settings.mirror / "cache"
    assert request.path.startswith("/opt/neuraltalk/artifacts/")
    assert fleet.worked[-1] == ("unpack", ["node2", "node3"])
