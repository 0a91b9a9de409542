"""The collection, installed from its archive into an empty environment, under plain ansible-playbook."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.lab import collection
from tests.site import playbooks
from tests.site.command import Done
from tests.site.host import ROOT
from tests.site.sites import Site

STAMP = f"{ROOT}/current/stamps/cjson.json"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a new home, into which the collection's archive was installed without the network."""
    folder = tmp_path_factory.mktemp("collection")
    return collection.install(collection.build(folder), folder / "home")


def changes(done: Done) -> dict[str, int]:
    """{host: number of tasks that changed something}, from the play recap."""
    return {host: int(number) for host, number in re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+)", done.out, re.M)}


def run_site(site: Site, environment: dict[str, str], work: Path) -> Done:
    """Run the site playbook by its name, with the variables of `provision variables`."""
    file = work / "variables.yml"
    site.directory.provision("variables", str(file)).ended_with(0)
    inventory = site.directory.path / "hosts.yml"
    return playbooks.run("neuraltalk.provision.site", inventory, file, environment=environment).ended_with(0)


def test_hosts_with_the_stack_are_not_changed(converged: Site, environment: dict[str, str], tmp_path: Path) -> None:
    before = converged.snapshots()
    done = run_site(converged, environment, tmp_path)
    assert changes(done) == dict.fromkeys(converged.names, 0)
    after = converged.snapshots()
    changed = {path for host in converged.names for path in before[host].differences(after[host])}
    assert changed <= {f"{ROOT}/logs", f"{ROOT}/logs/controller"}, "more than the name of the controller"


def test_component_that_one_host_lacks_is_built_there(
    converged: Site, environment: dict[str, str], tmp_path: Path
) -> None:
    first, *others = converged.hosts
    stamp = json.loads(first.run(f"cat {STAMP}"))
    first.run(f"rm {STAMP}")
    done = run_site(converged, environment, tmp_path)
    assert changes(done)[first.name] > 0
    assert {host.name: changes(done)[host.name] for host in others} == {host.name: 0 for host in others}
    assert json.loads(first.run(f"cat {STAMP}"))["digest"] == stamp["digest"]
    converged.directory.provision("verify").ended_with(0).says("3 of 3 hosts passed")
    converged.directory.provision("site").ended_with(0).says("3 hosts, nothing to change")
