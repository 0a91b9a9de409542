"""The work of a command for each host does not grow with the number of hosts. Counted, not timed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.fleet import command, running
from neuraltalk_provision.fleet.records import Phase
from neuraltalk_provision.fleet.survey import Aside, Survey
from neuraltalk_provision.mirror import store
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.host_state import Identity
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import converge, extra_vars, playbook
from neuraltalk_provision.site.host_state import HostStates
from neuraltalk_provision.site.sharing import Share
from tests.unit import archives
from tests.unit.catalogue import SMALL
from tests.unit.plans import planned, state_of
from tests.unit.test_fleet_command import Fleet

pytestmark = pytest.mark.slow

FEW, MANY = 50, 400
FLAT = 1.1
"""The most by which the work for a host may differ between the two sizes, as a factor."""
OURS = str(Path(catalogue.__file__).parents[1])
"""What dataclasses make has the file `<string>`."""


def work(act: Callable[[], object]) -> int:
    """How many instructions of Python our modules carry out."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        if event == "call" and not frame.f_code.co_filename.startswith((OURS, "<string>")):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return count


def assert_flat(act: Callable[[int], object]) -> None:
    act(2)  # what is read or compiled once
    few, many = (work(lambda size=size: act(size)) / size for size in (FEW, MANY))  # type: ignore[misc]
    assert many <= FLAT * few, f"{few:.0f} instructions for each of {FEW} hosts, {many:.0f} for each of {MANY}"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(catalogue, "load", lambda: SMALL)
    for name, tree in (("torch.tgz", archives.TORCH), ("nn.tgz", archives.NN)):
        store.add(tmp_path / "mirror", archives.pack(tmp_path / name, tree), SMALL)
    return Settings(mirror=tmp_path / "mirror", cache=False, waves=[1, "10%", "100%"], max_failures="50%")


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    found = Fleet()
    monkeypatch.setattr(playbook, "run", found.run)
    monkeypatch.setattr(converge, "check_mirror", lambda *_: None)
    monkeypatch.setattr(running, "_sleep", lambda _seconds: None)
    yield found


def surveyed(size: int, *, shared: bool) -> Survey:
    """A fleet of which every fifth host is off. With `shared`, all hosts have one of two stack roots."""
    names = [f"node{number}" for number in range(size)]
    well = [name for number, name in enumerate(names) if number % 5]
    share = {name: Share(well[place % 2]) for place, name in enumerate(well) if place > 1} if shared else {}
    plan = planned("staged")
    plans = tuple(replace(plan, host=name, share=share.get(name)) for name in well)
    aside = tuple(Aside(name, f"{name}: off", "host.unreachable", refused=False) for name in names[::5])
    return Survey(plans, aside, dict.fromkeys(well, ()), {name: name for name in well})


@pytest.mark.parametrize("shared", [False, True])
def test_plans(settings: Settings, shared: bool) -> None:
    state = state_of("staged")

    def act(size: int) -> None:
        states = {}
        for number in range(size):
            directory = f"{number % 2 if shared else number:032x}"
            identity = Identity(machine=f"{number + 10**6:032x}", directories=[directory])
            states[f"node{number}"] = state.model_copy(update={"identity": identity})
        converge.make_plans(settings, (), HostStates(states))

    assert_flat(act)


@pytest.mark.parametrize("shared", [False, True])
def test_waves(settings: Settings, shared: bool) -> None:
    assert_flat(lambda size: command.waves_of(surveyed(size, shared=shared), settings))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("broken", [0, 5])
def test_rollout(settings: Settings, fleet: Fleet, tmp_path: Path, shared: bool, broken: int) -> None:
    def act(size: int) -> None:
        own = settings.model_copy(update={"journal": tmp_path / str(size) / ".provision" / "journal.sqlite"})
        own.journal.parent.parent.mkdir(exist_ok=True)
        fleet.breaks = {"activate.yml": {f"node{number}" for number in range(8, size, 5)} if broken else set()}
        command.carry_out(surveyed(size, shared=shared), Phase.FULL, own, Output(as_json=True))

    assert_flat(act)


def test_variables_of_playbooks_have_few_bytes_for_each_host() -> None:
    """Ansible reads all of them for each playbook, and hands them to the process of each host."""
    plan = planned("bare")

    def size(count: int) -> int:
        plans = [replace(plan, host=f"node{number:04}") for number in range(count)]
        return len(extra_vars.as_yaml(converge.variables(plans, Settings())))

    assert (size(1000) - size(100)) / 900 < 80
