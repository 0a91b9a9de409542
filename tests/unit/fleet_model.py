"""A model of a fleet for tests: machines with a true state and random faults, and what playbooks do on them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neuraltalk_provision.errors import HostError
from neuraltalk_provision.fleet.drains import Drains
from neuraltalk_provision.fleet.reader import Past
from neuraltalk_provision.fleet.records import Drain
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import codes, playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from tests.unit.plans import HOSTS, RECIPE
from tests.unit.test_fleet_command import IDLE, RUN

OLDEST, OLD, NEW = "0000", "aaaa", RECIPE.id
STAMPS = {part.name: part.digest for part in RECIPE.parts}
FAULTS = {
    "kill": 0.02,  # of the controller, before and after a playbook
    "write": 0.01,  # the same at a write to the journal
    "ends": 0.02,  # Ansible, before the playbook does
    "pause": 0.02,  # somebody asks for it
    "off": 0.05,
    "begins": 0.1,  # a run
    "silent": 0.05,  # Slurm
    "refuses": 0.05,  # to drain
    "stuck": 0.08,  # a drain that Slurm does not lift
    "stage": 0.06,
    "before": 0.05,  # the activation fails before its timer is armed
    "armed": 0.05,  # it hangs after that
    "renamed": 0.05,  # it hangs with the new generation current
    "tested": 0.06,  # the generation fails its tests
    "confirmed": 0.04,  # the host is lost after the confirmation
    "follow": 0.08,  # it fails on a host that shares the stack root
    "back": 0.08,  # the way back fails
    "hangs": 0.04,  # the host is lost after the way back
}
"""{fault: how often it happens}"""
Answer = Failure | list[tuple[str, Mapping[str, Any]]]


class NoJournal:
    """The journal of an activation of which nothing is recorded."""

    def pause_requested(self) -> bool:
        return False

    def drains(self) -> tuple[Drain, ...]:
        return ()

    def draining(self, nodes: Mapping[str, Sequence[str]]) -> None: ...

    def undrained(self, drains: Iterable[Drain], *, lost: bool = False) -> None: ...

    def past(self) -> Past:
        return Past({}, {})


def no_drains(settings: Settings) -> Drains:
    """The drains of an activation of which nothing is recorded."""
    return Drains(settings, Output(as_json=True), NoJournal(), ())


class Killed(BaseException):
    """The controller was killed."""


@dataclass
class Root:
    """A stack root: its generations, the activation that was not confirmed, the holder of the lease."""

    sealed: set[str] = field(default_factory=lambda: {OLDEST, OLD})
    current: str = OLD
    previous: str = OLDEST
    former: str | None = None
    holder: str = ""
    tested: set[str] = field(default_factory=set)

    def point(self, generation: str) -> None:
        if self.current != generation:
            self.previous, self.current, self.tested = self.current, generation, set()

    def give_back(self, generation: str | None) -> None:
        if generation and self.current != generation:
            self.current, self.previous, self.tested = generation, OLDEST, set()
        self.former = None


@dataclass
class Machine:
    """A machine; `runs` counts how often a run is still seen, `drain` is the rollout that drained its node."""

    name: str
    root: Root
    is_node: bool
    off: bool = False
    runs: int = 0
    drain: str = ""
    looked: bool = False


class World:
    """The machines by the names of the inventory, and the playbooks that work on them."""

    def __init__(self, chosen: random.Random) -> None:
        self.chosen = chosen
        self.faults = {name: chance for name, chance in FAULTS.items() if chosen.random() < 0.5}
        self.hosts: dict[str, Machine] = {}
        self.now, self.number, self.calm, self.dead = 0.0, 0, False, False
        self.activated: list[tuple[str, ...]] = []
        self.answered: set[str] = set()
        """The names under which the state was answered to this command."""
        for number in range(1, chosen.randint(2, 7)):
            known = [*self.hosts.values()]
            root = chosen.choice(known).root if known and chosen.random() < 0.3 else Root()
            same = known and chosen.random() < 0.1
            machine = Machine(f"{number:032x}", root, chosen.random() < 0.4)
            self.hosts[f"node{number}"] = chosen.choice(known) if same else machine

    @property
    def name(self) -> str:
        return f"ctl pid {self.number} since 1 boot b space 4 machine {'0' * 32}"

    def happens(self, fault: str) -> bool:
        return not self.calm and self.chosen.random() < self.faults.get(fault, 0)

    def may_die(self, fault: str) -> None:
        self.dead = self.dead or self.happens(fault)
        if self.dead:
            raise Killed

    def clock(self) -> float:
        self.now += 0.001
        return self.now

    def sleep(self, seconds: float) -> None:
        self.may_die("kill")
        self.now += seconds
        self.time_passes()

    def time_passes(self) -> None:
        for machine in self.hosts.values():
            machine.runs = max(0, machine.runs - 1)
            machine.off = self.happens("off")
            if self.dead and machine.root.former is not None and (self.calm or self.chosen.random() < 0.3):
                machine.root.give_back(machine.root.former)  # by its timer

    def before_activation(self, hosts: Sequence[str]) -> None:
        """For checks."""

    def run(self, request: playbook.Request, *_more: object) -> playbook.Outcome:
        self.may_die("kill")
        if self.happens("ends"):
            raise HostError("Ansible ended before the playbook did")
        names = [one for word in request.limit or [",".join(self.hosts)] for one in word.split(",")]
        if request.playbook == "activate.yml":
            self.activated.append(tuple(names))
            self.before_activation(names)
        results, failures = list[tuple[str, str, Mapping[str, Any]]](), list[Failure]()
        for host in names:
            found = self.asked(request, host)
            results += [] if isinstance(found, Failure) else [(host, *one) for one in found]
            failures += [found] if isinstance(found, Failure) else []
        self.may_die("kill")
        return playbook.Outcome(0, PlayResults(results=tuple(results), failures=tuple(failures)))

    def asked(self, request: playbook.Request, host: str) -> Answer:
        machine, name = self.hosts[host], request.playbook.removesuffix(".yml")
        if machine.off or (name != "release" and self.happens("off")):
            return Failure(host, "Connect", "off", unreachable=True)
        if name in ("site", "activate", "give_back", "rollback"):
            holder, over = request.variables["provision_lease"]["holder"], request.variables["provision_lease"]["over"]
            if machine.root.holder not in ("", holder, over.get(host)):
                return Failure(host, "Lease", "another controller works there", code=codes.BUSY)
            machine.root.holder = holder
        found: Answer = getattr(self, name)(host, machine, machine.root, request.variables)
        return found

    def state(self, host: str, machine: Machine, root: Root, _given: Mapping[str, Any]) -> Answer:
        self.answered.add(host)
        generations = {name: {"stamps": STAMPS, "sealed": True} for name in root.sealed}
        state: dict[str, Any] = {
            **HOSTS["staged"]["state"],
            "stack": {"current": root.current, "previous": root.previous, "generations": generations},
            "identity": {"machine": machine.name, "directories": [f"{id(root):032x}"]},
            "lease": (root.holder and {"holder": root.holder, "host": host, "what": "", "since": 5}) or None,
        }
        if root.former is not None:
            state["activation"] = {"state": "unconfirmed", "target": NEW, "former": root.former, "holder": "x"}
        return [("stack_state", {"state": state})]

    def use(self, _host: str, machine: Machine, _root: Root, _given: Mapping[str, Any]) -> Answer:
        if self.happens("begins") and not machine.drain:
            machine.runs = self.chosen.randint(1, 3)
        runs = [RUN] * (machine.runs > 0)
        machine.runs, machine.looked = max(0, machine.runs - 1), not runs
        known = not self.happens("silent")
        nodes = {"used": True, "problem": "" if known else "no answer", "nodes": self.nodes(machine) if known else []}
        uses = ("host_use_info", {"use": {**IDLE, "runs": runs, "slurm": machine.is_node, "node": machine.is_node}})
        return [uses, *[("slurm_node_info", nodes)] * machine.is_node]

    def nodes(self, machine: Machine) -> list[dict[str, Any]]:
        drained, texts = bool(machine.drain), dict.fromkeys(("reason", "by", "since"), "")
        state = {"name": machine.name, "state": "IDLE", "drained": drained, "down": False, "idle": True}
        return [{**state, **texts, "rollout": machine.drain, "jobs": [], "more": 0}]

    def slurm_node(self, host: str, machine: Machine, _root: Root, given: Mapping[str, Any]) -> Answer:
        drains = given["provision_node_state"] == "drained"
        if self.happens("refuses" if drains else "stuck"):
            return Failure(host, "Slurm", "Slurm refuses", code="slurm.refused")
        machine.drain = given["provision_rollout"] if drains else ""
        return [("slurm_node", {"changed": True, "nodes": self.nodes(machine), "foreign": []})]

    def site(self, host: str, _machine: Machine, root: Root, _given: Mapping[str, Any]) -> Answer:
        if self.happens("stage"):
            return Failure(host, "Build", "it broke", code="disk.full")
        root.sealed.add(NEW)
        return [("component_stamp", {})]

    def activate(self, host: str, _machine: Machine, root: Root, _given: Mapping[str, Any]) -> Answer:
        for one in [self.hosts[name] for name in self.answered if self.hosts[name].root is root]:
            assert one.off or one.drain or not one.is_node, f"{host} is activated, and the node of {one.name} is open"
            assert one.off or one.looked, f"{host} is activated, and nobody saw that {one.name} is idle"
        hangs = Failure(host, "Load", "it hangs", code=codes.HOST_HANGS)
        if self.happens("before"):
            return Failure(host, "Arm", "it broke")
        root.former = root.current if root.former is None else root.former
        if self.happens("armed"):
            return hangs
        root.point(NEW)
        if self.happens("renamed"):
            return hangs
        if self.happens("tested"):
            root.give_back(root.former)
            root.tested.discard(host)
            return Failure(host, "Load", "it broke")
        root.former, root.tested = None, root.tested | {host}
        return hangs if self.happens("confirmed") else [("activation_timer", {"state": "confirmed"})]

    def follow(self, host: str, _machine: Machine, root: Root, _given: Mapping[str, Any]) -> Answer:
        if self.happens("follow") or root.current != NEW:
            root.tested.discard(host)
            return Failure(host, "Load", "it broke")
        root.tested.add(host)
        return [("stack_verify", {})]

    def give_back(self, host: str, _machine: Machine, root: Root, given: Mapping[str, Any]) -> Answer:
        root.give_back(root.former)
        if self.happens("back"):
            return Failure(host, "Return", "it broke")
        root.give_back(given["provision_former"][host]["generation"])
        return Failure(host, "Return", "", code=codes.HOST_HANGS) if self.happens("hangs") else [("x", {})]

    def rollback(self, host: str, _machine: Machine, root: Root, given: Mapping[str, Any]) -> Answer:
        root.holder = ""
        root.give_back(root.former if host in given["provision_unconfirmed"] else None)
        if self.happens("back"):
            return Failure(host, "Return", "it broke")
        root.point(given["provision_targets"][host])
        return [("stack_generation", {})]

    def release(self, _host: str, _machine: Machine, root: Root, _given: Mapping[str, Any]) -> Answer:
        root.holder = ""
        return [("host_lease", {})]
