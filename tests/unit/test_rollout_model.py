"""A model of a fleet: hosts with a true state, random faults, kills at any playbook or write, and random commands.

What is checked after each command that was not killed:

- no machine is activated while something uses it, or while jobs can begin on its node;
- no wave begins before each host of the earlier ones was activated, failed or was set aside;
- each host is in exactly one list, and those in done.txt have the generation, tested on them;
- exit code 0 says that all hosts have it, and that no node is drained by us; other drains of ours are named;
- after a way back, a host that has the new generation is named; a rollback names what each host has.

At the end nothing fails any more: what was not finished is continued, `site` brings all hosts to the generation of the
mirror within two commands, and once more changes nothing. No lease and no drain is left.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision import wave_rules
from neuraltalk_provision.cli import rollback as cli_rollback
from neuraltalk_provision.cli import site as cli_site
from neuraltalk_provision.errors import ProvisionError, UsageError
from neuraltalk_provision.fleet import idle, running, use
from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.records import Outcome, Phase, Rollout, Status, Step
from neuraltalk_provision.mirror import lock, trust
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import controller, converge, inventory_names, packages, playbook, recipes, wheels
from tests.unit.fleet_model import NEW, Killed, World
from tests.unit.plans import RECIPE

pytestmark = pytest.mark.slow


class Site(World):
    """The fleet of one seed, and the commands of its operator."""

    def __init__(self, seed: int, place: Path) -> None:
        super().__init__(random.Random(seed))
        self.seed, self.code, self.document = seed, 0, dict[str, Any]()
        sizes = [[1, "100%"], [1, "50%", "100%"], ["100%"], [2, {"size": "50%", "pause": 9}, "100%"]]
        given = {
            "mirror": place,
            "journal": place / ".provision" / "journal.sqlite",
            "cache": False,
            "waves": self.chosen.choice(sizes),
            "max_failures": self.chosen.choice([0, 1, "50%", "100%"]),
            "on_failure": self.chosen.choice(["stop", "rollback"]),
            "busy": self.chosen.choice(["skip", "wait", "refuse"]),
        }
        self.settings = Settings.model_validate(given)
        for host in self.hosts.values():
            host.off = self.happens("off")

    def recorded(self) -> Rollout | None:
        with Journal.read(self.settings.journal) as journal:
            return journal.rollout()

    def run(self, request: playbook.Request, *more: object) -> playbook.Outcome:
        if self.happens("pause"):
            with contextlib.suppress(UsageError):
                Journal.request_pause(self.settings.journal, "somebody", lambda _: False)
        return super().run(request, *more)

    def before_activation(self, hosts: Sequence[str]) -> None:
        found = self.recorded()
        assert found
        waves = {entry.host: entry.wave for entry in found.hosts}
        begins, lost = min(waves[host] for host in hosts), (Outcome.FAILED, Outcome.LOST)
        for host, wave in waves.items():
            group = {name for name, one in self.hosts.items() if one.root is self.hosts[host].root}
            if 0 < wave < begins and group <= self.answered and found.outcome(host, Step.STAGE) not in lost:
                assert found.outcome(host, Step.ACTIVATE) not in (None, Outcome.STARTED), f"{host} before wave {begins}"

    def command(self, capsys: pytest.CaptureFixture[str], verb: str, **options: Any) -> None:
        """Run a command as the command line does. Its code is -9 if it was killed."""
        self.number, self.dead, self.activated, self.answered = self.number + 1, False, [], set()
        capsys.readouterr()
        try:
            self.code = (cli_site.site if verb == "site" else cli_rollback.rollback)(as_json=True, **options)
            self.document = json.loads(capsys.readouterr().out)
        except Killed:
            self.code, self.document = -9, {}
        except ProvisionError as error:
            self.code, self.document = error.exit_code, dict(error.document)
        self.dead = True
        told = {one["host"] for one in self.document.get("set_aside", ())} | {*self.document.get("drained", ())}
        known = {self.hosts[name].name for name in told} | {id(self.hosts[name].root) for name in told}
        for host in self.answered if {"changed", "drained"} <= self.document.keys() or self.code == 0 else ():
            machine = self.hosts[host]
            assert not machine.drain or {machine.name, id(machine.root)} & known, f"{host} is drained, and not named"
        if verb == "rollback":
            for move in self.document.get("hosts", ()):
                assert self.hosts[move["host"]].root.current == move["after"]
        elif "activated" in self.document:
            found = self.recorded()
            staged = found is not None and found.phase is Phase.STAGE_ONLY
            self.check_site(
                found, resumed="resume" in options, stages=staged if "resume" in options else "stage_only" in options
            )
        self.time_passes()

    def check_site(self, found: Rollout | None, *, resumed: bool, stages: bool) -> None:
        lists = {name: Path(file).read_text().split() for name, file in self.document["lists"].items()}
        # A rollout that is continued is not about hosts on which nothing was to be done when it began.
        taking_part = {entry.host for entry in found.hosts} if found and resumed else set(self.hosts)
        assert not lists or sorted(host for hosts in lists.values() for host in hosts) == sorted(taking_part)
        paused = self.document["rollout"]["status"] == Status.PAUSED
        for host in lists.get("done", () if paused or self.code else taking_part):
            root = self.hosts[host].root
            assert NEW in root.sealed if stages else root.current == NEW, f"{host} is not done"
            doubt = found is not None and found.outcome(host, Step.ACTIVATE) not in (None, Outcome.DONE)
            assert stages or not doubt or host in root.tested, f"{host} was not tested"
        named = {*self.document["kept"], *(one["host"] for one in self.document["set_aside"])}
        if found and (self.document["kept"] or self.document["returned"]):
            new = {host for host in found.touched() if self.hosts[host].root.current == NEW}
            assert new <= named, "a host has the new generation, and nobody says so"

    def act(self, capsys: pytest.CaptureFixture[str]) -> None:
        """One random command."""
        found = self.recorded()
        resumes = found is not None and found.is_unfinished and found.phase is not Phase.ROLLBACK
        what = self.chosen.choice(["resume" if resumes else "full", "full", "stage_only", "activate", "rollback"])
        if what == "rollback":
            self.command(capsys, "rollback", in_use=self.chosen.random() < 0.2)
        else:
            self.command(capsys, "site", **({} if what == "full" else {what: True}))

    def finish(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Nothing fails any more: what was begun comes to its end."""
        self.calm = True
        self.settings = self.settings.model_copy(update={"max_failures": wave_rules.read_size("100%", "it")})
        for machine in self.hosts.values():
            machine.off, machine.runs = False, 0
        self.time_passes()
        found = self.recorded()
        if found and found.is_unfinished and self.chosen.random() < 0.7:
            rolls = found.phase is Phase.ROLLBACK
            self.command(capsys, "rollback" if rolls else "site", **({} if rolls else {"resume": True}))
            if rolls and self.code == 0:
                forward = [
                    one.host for one in found.hosts if one.wave and one.former == self.hosts[one.host].root.current
                ]
                assert all(one.former == one.target for one in found.hosts if one.host in forward), forward
        for _ in range(2):
            self.command(capsys, "site")
        self.command(capsys, "site")
        assert (self.code, self.activated) == (0, []), self.document
        assert not [name for name, one in self.hosts.items() if one.drain or one.root.holder or one.root.current != NEW]


@pytest.fixture
def sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Site]]:
    """The last one of this list is the site on which commands work."""
    found: list[Site] = []
    transaction = Journal._transaction

    @contextlib.contextmanager
    def killed(journal: Journal) -> Iterator[Any]:
        found[-1].may_die("write")
        with transaction(journal) as connection:
            yield connection
            found[-1].may_die("write")
        found[-1].may_die("write")

    clock = SimpleNamespace(monotonic=lambda: found[-1].clock())
    empty = SimpleNamespace(by_name=lambda: {"torch": 1})
    for where, name, what in (
        (Journal, "_transaction", killed),
        (playbook, "run", lambda request, *_: found[-1].run(request)),
        (settings_file, "load", lambda *_, **__: found[-1].settings),
        (idle, "time", clock),
        (running, "time", clock),
        (use.ask, "__defaults__", (lambda: found[-1].clock(),)),
        (idle, "_sleep", lambda seconds: found[-1].sleep(seconds)),
        (running, "_sleep", lambda seconds: found[-1].sleep(seconds)),
        (controller, "name", lambda: found[-1].name),
        (controller, "is_dead", lambda name: name != found[-1].name),
        (inventory_names, "hosts", lambda _: None),
        (lock, "refuse_no_directory", lambda *_: None),
        (trust, "open_lock", lambda *_: empty),
        (trust, "open_with_digest", lambda *_: (empty, "ab" * 32)),
        (converge, "check_mirror", lambda *_: None),
        (recipes, "of_hosts", lambda states, *_: dict.fromkeys(states, recipes.HostRecipe(RECIPE))),
        (packages, "tried", lambda plans, *_: (plans, ())),
        (wheels, "judged", lambda plans, *_: plans),
    ):
        monkeypatch.setattr(where, name, what)
    yield found


@pytest.mark.parametrize("first", range(0, 150, 50))
def test_whatever_fails_no_training_dies_nothing_is_forgotten_and_what_is_said_is_true(
    sites: list[Site], tmp_path: Path, capsys: pytest.CaptureFixture[str], first: int
) -> None:
    for seed in range(first, first + 50):
        place = tmp_path / str(seed)
        place.mkdir()
        sites.append(Site(seed, place))
        try:
            for _ in range(sites[-1].chosen.randint(1, 4)):
                sites[-1].act(capsys)
            sites[-1].finish(capsys)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
