"""From bare, air-gapped hosts to the stack, and again, when there is nothing left to do."""

from __future__ import annotations

from neuraltalk_provision import catalogue
from tests.lab import proof
from tests.site.conftest import FirstRun
from tests.site.host import ROOT
from tests.site.sites import Site, built, planned

WITHOUT_A_CARD = [component.name for component in catalogue.load().components if not component.profiles]
"""What hosts without a GPU get, in build order."""
FROM_IMAGE = set(WITHOUT_A_CARD[WITHOUT_A_CARD.index("image") :])
COMPONENTS = {"packages", "account", *WITHOUT_A_CARD}
LIE = ("site-3", "packages")
"""Of this host the package manager says that nothing is missing, until the lie is taken back."""


def test_a_disk_without_room_is_refused(first: FirstRun) -> None:
    first.no_room.ended_with(2).says("site-1", ROOT, "free", "GB", "free some space", "Nothing was changed")


def test_a_user_without_sudo_is_refused(first: FirstRun) -> None:
    first.no_sudo.ended_with(1).says("site-1", "sudo", "Nothing was changed")


def test_a_user_who_may_not_install_is_refused(first: FirstRun) -> None:
    first.no_root.ended_with(2).says(
        "site-1", "libpng-dev", "ansible_become", "cannot be written", "Nothing was changed"
    )


def test_refusals_plan_and_check_change_nothing(first: FirstRun) -> None:
    first.planned.ended_with(0)
    first.checked.ended_with(0)
    for name, bare in first.bare.items():
        assert bare.differences(first.still_bare[name]) == []


def test_plan_and_check_predict_what_is_then_changed(site: Site, first: FirstRun) -> None:
    everything = {(name, component) for name in site.names for component in COMPONENTS} - {LIE}
    assert built(first.checked.document) == everything
    assert planned(first.planned.document) == everything
    assert (built(first.ran.document) | built(first.resumed.document)) - {LIE} == everything
    assert first.checked.document["activated"] == site.names


def test_a_host_that_fails_does_not_keep_the_others_from_it(first: FirstRun) -> None:
    ran = first.ran.ended_with(1).document
    assert ran["activated"] == ["site-1", "site-2"]
    assert [bool(current) for current in first.currents] == [True, True, False]
    assert [failure["host"] for failure in ran["failures"]] == ["site-3"]


def test_a_missing_os_package_is_told_by_host_component_and_log(first: FirstRun) -> None:
    error = first.ran.document["error"]
    for text in ("site-3", "image", "PNG", "/logs/image.log"):
        assert text in error


def test_the_repaired_host_goes_on_where_it_failed(first: FirstRun) -> None:
    resumed = first.resumed.ended_with(0).document
    assert built(resumed) == {("site-3", component) for component in {"packages"} | FROM_IMAGE}
    assert resumed["activated"] == ["site-3"]


def test_all_hosts_run_the_same_generation(converged: Site) -> None:
    (generation,) = {host.current for host in converged.hosts}
    assert all(host.generations == {generation} for host in converged.hosts)
    assert not any(host.run(f"ls -A {ROOT}/build") for host in converged.hosts), "sources were left"


def test_nobodys_profile_was_touched(converged: Site, first: FirstRun) -> None:
    for name, bare in first.bare.items():
        assert bare.profiles == first.after[name].profiles


def test_verify_shows_what_it_saw(converged: Site) -> None:
    verdicts = converged.directory.provision("verify", "--json").ended_with(0).document["hosts"]
    assert [verdict["host"] for verdict in verdicts] == converged.names
    for verdict in verdicts:
        seen = {check["name"]: check["saw"] for check in verdict["checks"]}
        assert {"stamps", "load torch", "load loadcaffe", "load hdf5", "train.lua", "eval.lua", "vgg16"} <= seen.keys()
        assert seen["files"].endswith("files unchanged since they were sealed")
        assert seen["readable by other users"].startswith("user 65534 loads torch in ")
        assert all(seen.values())
        assert verdict["passed"]


def test_a_second_run_asks_once_and_touches_nothing(converged: Site) -> None:
    python = {host.count_modules() for host in converged.hosts}.pop()
    inventory = converged.inventory("counting", ansible_python_interpreter=python)
    before = converged.snapshots()
    done = converged.directory.provision("site", "--inventory", str(inventory)).ended_with(0)
    done.says("3 hosts, nothing to change")
    assert [host.modules for host in converged.hosts] == [1, 1, 1]
    for name, snapshot in converged.snapshots().items():
        assert snapshot.differences(before[name]) == []


def test_a_second_run_says_so_in_json(converged: Site) -> None:
    told = converged.directory.provision("site", "--json").ended_with(0).document
    assert not told["changed"]
    assert (told["changes"], told["activated"], told["failures"]) == ([], [], [])


def test_nothing_tried_to_get_out(converged: Site) -> None:
    assert proof.record(converged.lab.name) == []
