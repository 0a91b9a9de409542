"""`provision site` on bare, air-gapped hosts, and again when there is nothing to change."""

from __future__ import annotations

from neuraltalk_provision import catalogue
from tests.lab import proof
from tests.site.conftest import FirstRun
from tests.site.host import ROOT
from tests.site.sites import Site, built, planned

WITHOUT_A_CARD = [component.name for component in catalogue.load().components if not component.profiles]
"""The components of hosts without a GPU, in build order."""
FROM_IMAGE = set(WITHOUT_A_CARD[WITHOUT_A_CARD.index("image") :])
COMPONENTS = {"packages", "account", *WITHOUT_A_CARD}
BROKEN = ("site-3", "packages")
"""On this host the package manager reports that no package is missing, until the host is repaired."""
COPIED = "site-2"
"""The host that gets a copy of another one's stack."""
NOT_COPIED = {"packages", "account"}
"""What this host still lacks after the copy."""


def test_a_disk_without_enough_space_is_refused(first: FirstRun) -> None:
    first.no_space.ended_with(2).says("site-1", ROOT, "free", "GB", "free some space", "Nothing was changed")


def test_a_user_without_sudo_is_refused(first: FirstRun) -> None:
    first.no_sudo.ended_with(1).says("site-1", "sudo", "Nothing was changed")


def test_a_user_who_cannot_install_packages_is_refused(first: FirstRun) -> None:
    first.no_root.ended_with(2).says(
        "site-1", "libpng-dev", "ansible_become", "cannot be written", "Nothing was changed"
    )


def test_refusals_plan_and_check_change_nothing(first: FirstRun) -> None:
    first.planned.ended_with(0)
    first.checked.ended_with(0)
    for name, bare in first.bare.items():
        assert bare.differences(first.still_bare[name]) == []


def test_plan_and_check_predict_the_changes(site: Site, first: FirstRun) -> None:
    everything = {(name, component) for name in site.names for component in COMPONENTS} - {BROKEN}
    assert built(first.checked.document) == everything
    assert planned(first.planned.document) == everything
    copied = {(COPIED, component) for component in COMPONENTS - NOT_COPIED}
    assert (built(first.first_run.document) | built(first.resumed.document)) - {BROKEN} == everything - copied
    assert first.checked.document["activated"] == site.names


def test_a_host_that_fails_does_not_stop_the_others(first: FirstRun) -> None:
    result = first.first_run.ended_with(1).document
    assert result["activated"] == ["site-1"]
    assert [bool(current) for current in first.currents] == [True, False, False]
    assert [failure["host"] for failure in result["failures"]] == ["site-3"]


def test_the_error_of_a_missing_os_package_names_host_component_and_log(first: FirstRun) -> None:
    error = first.first_run.document["error"]
    for text in ("site-3", "image", "PNG", "/logs/image.log"):
        assert text in error


def test_the_repaired_host_continues_where_it_failed(first: FirstRun) -> None:
    resumed = first.resumed.ended_with(0).document
    continued = {("site-3", component) for component in {"packages"} | FROM_IMAGE}
    assert built(resumed) == continued | {(COPIED, component) for component in NOT_COPIED}
    assert resumed["activated"] == [COPIED, "site-3"]


def test_all_hosts_have_the_same_generation(converged: Site) -> None:
    (generation,) = {host.current for host in converged.hosts}
    assert all(host.generations == {generation} for host in converged.hosts)
    assert not any(host.run(f"ls -A {ROOT}/build") for host in converged.hosts), "sources were not removed"


def test_no_users_profile_was_changed(converged: Site, first: FirstRun) -> None:
    for name, bare in first.bare.items():
        assert bare.profiles == first.after[name].profiles


def test_verify_shows_its_evidence(converged: Site) -> None:
    verdicts = converged.directory.provision("verify", "--json").ended_with(0).document["hosts"]
    assert [verdict["host"] for verdict in verdicts] == converged.names
    for verdict in verdicts:
        evidence = {check["name"]: check["saw"] for check in verdict["checks"]}
        assert {
            "stamps",
            "load torch",
            "load loadcaffe",
            "load hdf5",
            "train.lua",
            "eval.lua",
            "vgg16",
        } <= evidence.keys()
        assert evidence["files"].endswith("files unchanged since they were sealed")
        assert evidence["readable by other users"].startswith("user 65534 loads torch in ")
        assert all(evidence.values())
        assert verdict["passed"]


def test_a_second_run_uses_one_module_per_host_and_changes_nothing(converged: Site) -> None:
    python = {host.count_modules() for host in converged.hosts}.pop()
    inventory = converged.inventory("counting", ansible_python_interpreter=python)
    before = converged.snapshots()
    done = converged.directory.provision("site", "--inventory", str(inventory)).ended_with(0)
    done.says("3 hosts, nothing to change")
    assert [host.modules for host in converged.hosts] == [1, 1, 1]
    for name, snapshot in converged.snapshots().items():
        assert snapshot.differences(before[name]) == []


def test_a_second_run_reports_no_changes_in_json(converged: Site) -> None:
    result = converged.directory.provision("site", "--json").ended_with(0).document
    assert not result["changed"]
    assert (result["changes"], result["activated"], result["failures"]) == ([], [], [])


def test_nothing_tried_to_cross_the_air_gap(converged: Site) -> None:
    assert proof.record(converged.lab.name) == []
