"""Drift: what each host has, against the lock, its own records and most hosts; what counts, and what cures it."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import paths
from neuraltalk_provision.catalogue.gpu import Gpu
from neuraltalk_provision.catalogue.recipe import Recipe
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.fleet import drift, drift_codes, drift_cures, drift_rows, findings, majority
from neuraltalk_provision.fleet import observed as observing
from neuraltalk_provision.fleet.drift import Report
from neuraltalk_provision.fleet.findings import Accepted, Difference
from neuraltalk_provision.fleet.observed import Facts, Observed
from neuraltalk_provision.results.checks import ChangedFile, Check, Files
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.rules import checks
from tests.unit.plans import HOSTS, RECIPE, part
from tests.unit.programs import program

UNCHANGED = Files(compared=True)
GPU_COMPONENTS = frozenset({"cuda", "cutorch", "cudnn"})
PLATFORM = "debian-12-x86_64"
CUDA_75 = "/usr/local/cuda-7.5"
GPU = Gpu("legacy", "3.7", CUDA_75, "7.5", "", "", "5.0.5", "swap")
WITH_CARDS = replace(RECIPE, gpu=GPU, parts=(*RECIPE.parts, part("cutorch", 1)))


def state(**changes: Any) -> HostState:
    """The state of a converged host with these changes: `platform={"kernel": ...}` changes one field of the part."""
    plain = json.loads(json.dumps(HOSTS["converged"]["state"]))
    plain["platform"]["kernel"] = "6.1.0-18-amd64"
    for name, change in changes.items():
        plain[name] = {**plain.get(name, {}), **change} if isinstance(change, Mapping) else change
    return HostState.model_validate(plain)


def observed(host: str = "node1", recipe: Recipe | None = RECIPE, /, **changes: Any) -> Observed:
    """A host on which nothing differs, with these changes of its state."""
    return Observed(host, state(**changes), recipe, files=UNCHANGED)


def cards(
    *,
    count: int = 2,
    driver: str = "367.57",
    name: str = "Tesla K80",
    header: str = "5.0.5",
    library: str = "5.0.5",
    whole: str = "whole",
    phase: str = "swapped",
) -> dict[str, Any]:
    """The GPU part of a host's state."""
    tree = {"path": CUDA_75, "version": "7.5", "lacks": [], "apart": False}
    tree["cudnn"] = {"state": whole, "header": header, "library": library, "phase": phase, "changed": 1_700_000_000}
    listed = [{"index": number, "uuid": f"GPU-{number}", "name": name} for number in range(count)]
    return {"gpu": {"driver": driver, "cards": listed, "problem": "", "toolkits": [tree], "gcc": "4.8.5"}}


def stamps(**more: str) -> dict[str, Any]:
    """A stack whose current generation has these stamps beside those of the recipe; an empty digest removes one."""
    digests = {"torch": "d-torch", "nn": "d-nn", "weights": "d-weights", **more}
    generation = {"stamps": {name: digest for name, digest in digests.items() if digest}, "sealed": True}
    return {"stack": {"generations": {RECIPE.id: generation}}}


def gpu_host(host: str = "node1", **options: Any) -> Observed:
    return observed(host, WITH_CARDS, **stamps(cutorch="d-cutorch"), **cards(**options))


def compare(*hosts: Observed, accept: Iterable[str] = ()) -> Report:
    return drift.compare(hosts, GPU_COMPONENTS, findings.accepted(accept))


def only(report: Report, host: str = "node1") -> Difference:
    """The one difference of a host."""
    (found,) = [one for entry in report.hosts if entry.host == host for one in entry.differences]
    return found


def codes(report: Report, host: str = "node1") -> list[str]:
    return [one.code for entry in report.hosts if entry.host == host for one in entry.differences]


def test_host_that_is_as_the_lock_says_has_no_drift() -> None:
    passed = Check(name=checks.FILES, passed=True, saw="900 files")
    report = compare(replace(observed(), checks=(passed,)))
    assert (report.drift, report.complete, report.found) == (False, True, ())


def test_report_without_hosts_is_not_complete() -> None:
    assert compare().complete is False


def test_host_that_could_not_be_asked_is_a_row_and_never_green() -> None:
    report = compare(Observed("node1", unasked="node1: the host cannot be reached by SSH"), observed("node2"))
    assert only(report).code == drift_codes.NOT_ASKED
    assert only(report).found == "the host cannot be reached by SSH"
    assert (report.drift, report.complete, report.untold, report.drifted) == (False, False, ("node1",), ())


# --- the generation and its components


@pytest.mark.parametrize(
    ("changes", "code", "item", "found", "lock"),
    [
        (stamps(nn="other"), drift_codes.COMPONENT_CHANGED, "nn", "other", "d-nn"),
        (stamps(nn=""), drift_codes.COMPONENT_MISSING, "nn", "none", "d-nn"),
        (stamps(scorer="d-x"), drift_codes.COMPONENT_SURPLUS, "scorer", "d-x", "left out"),
        (stamps(own="d-x"), drift_codes.COMPONENT_SURPLUS, "own", "d-x", "none"),
    ],
)
def test_component_is_compared_with_the_lock(
    changes: dict[str, Any], code: str, item: str, found: str, lock: str
) -> None:
    one = only(compare(observed(**changes)))
    assert (one.code, one.item, one.found, one.lock) == (code, item, found, lock)
    assert one.cure_for(["node1"]) == "`provision site --limit node1`"


def test_component_has_the_digest_of_most_hosts_beside_that_of_the_lock() -> None:
    hosts = [observed(f"node{number}", **stamps(nn="old")) for number in range(1, 4)]
    report = compare(*hosts, observed("node4"))
    one = only(report)
    assert (one.found, one.lock, one.majority) == ("old", "d-nn", "old (3 of 4)")
    assert codes(report, "node4") == []


def test_component_that_a_host_lacks_is_that_of_most_hosts_all_the_same() -> None:
    report = compare(observed(**stamps(nn="")), *fleet(2))
    assert (only(report).found, only(report).majority) == ("none", "d-nn (2 of 3)")
    assert only(compare(observed(**stamps(own="d")), *fleet(2))).majority == "none (2 of 3)"


def test_other_generation_is_found_with_its_date_and_what_is_staged() -> None:
    old = {"stamps": {"torch": "d-torch", "nn": "d-old", "weights": "d-weights"}, "sealed": True}
    new = {"stamps": {}, "sealed": True}
    stack = {"current": "ffff", "since": 1_700_000_000, "generations": {"ffff": old, RECIPE.id: new}}
    report = compare(observed(stack=stack))
    generation, component = report.hosts[0].differences
    assert (generation.code, generation.found) == (drift_codes.OTHER_GENERATION, f"ffff ({RECIPE.id} is staged)")
    assert (generation.lock, generation.since) == (RECIPE.id, 1_700_000_000)
    assert (component.code, component.item) == (drift_codes.COMPONENT_CHANGED, "nn")


def test_host_without_a_stack_has_one_difference() -> None:
    one = only(compare(replace(observed(stack={"current": None, "generations": {}}), files=None)))
    assert (one.code, one.cure_for(["node1"])) == (drift_codes.NO_GENERATION, "`provision site --limit node1`")


@pytest.mark.parametrize("broken", [{"sealed": False}, {"manifest": False}])
def test_generation_without_a_seal_or_manifest_is_drift(broken: dict[str, bool]) -> None:
    changes = stamps()
    changes["stack"]["generations"][RECIPE.id].update(broken)
    assert codes(compare(replace(observed(**changes), files=Files()))) == [drift_codes.UNSEALED]


def test_host_that_is_refused_is_compared_without_the_lock() -> None:
    one = replace(observed(), recipe=None, refusals=("node1: the driver 367 is too old for a H100",))
    report = compare(one)
    assert only(report).found == "the driver 367 is too old for a H100"
    assert (report.drift, report.complete) == (True, True)


def test_stack_root_that_others_can_replace_is_drift() -> None:
    assert codes(compare(observed(unsafe=["/srv belongs to mary"]))) == [drift_codes.UNSAFE]


@pytest.mark.parametrize(
    "changes",
    [
        {"lease": {"holder": "ctl", "host": "node1", "what": "provision site", "since": 1_700_000_000}},
        {"busy": [{"log": "/opt/neuraltalk/generations/x/logs/torch.log", "pid": 77}]},
    ],
)
def test_host_on_which_a_command_works_is_not_told_to_be_good(changes: dict[str, Any]) -> None:
    report = compare(observed(**changes))
    assert codes(report) == [drift_codes.WORKED_ON]
    assert (report.drift, report.complete) == (False, False)


def test_controller_that_works_on_a_host_is_named_as_people_know_it() -> None:
    holder = f"ctl pid 4073 since 6620602 boot fedf6828 space 4026531836 machine {'f' * 32}"
    lease = {"holder": holder, "host": "node1", "what": "provision cache verify", "since": 1_700_000_000}
    one = only(compare(observed(lease=lease)))
    assert (one.found, one.who) == ("provision cache verify of pid 4073 on ctl", "")


# --- files


def changed(kind: str = "content", path: str = "torch/bin/th", **more: Any) -> ChangedFile:
    given = {"uid": 0, "user": "root", "mtime": 1_600_000_000, "ctime": 1_700_000_000, "words": "was changed"}
    return ChangedFile.model_validate({"path": path, "kind": kind, **given, **more})


def with_files(*listed: ChangedFile, differing: int | None = None, former: bool = True) -> Observed:
    stack = stamps()
    if former:
        stack["stack"]["previous"] = "ffff"
        stack["stack"]["generations"]["ffff"] = {"stamps": {}, "sealed": True}
    files = Files(compared=True, differing=len(listed) if differing is None else differing, listed=listed)
    return replace(observed(**stack), files=files)


def test_changed_file_has_its_owner_its_time_and_the_cure() -> None:
    one = only(compare(with_files(changed())))
    assert (one.code, one.item, one.since, one.who) == (
        "file.content",
        "torch/bin/th",
        1_700_000_000,
        "root (uid 0)",
    )
    assert one.cure_for(["node1"]) == (
        "`provision rollback --to ffff --limit node1`; then on the host: "
        f"`rm -r /opt/neuraltalk/generations/{RECIPE.id}`; then: `provision site --limit node1`"
    )
    document = compare(with_files(changed())).as_json()["hosts"][0]["differences"][0]
    assert document["file"] == {
        **{"path": "torch/bin/th", "kind": "content", "words": "was changed"},
        **{"uid": 0, "user": "root", "mtime": 1_600_000_000, "ctime": 1_700_000_000},
    }


def test_file_that_is_gone_has_the_owner_of_the_directory_above() -> None:
    one = only(compare(with_files(changed("missing", of="torch/bin", user="", uid=1001))))
    assert (one.code, one.who) == ("file.missing", "uid 1001, of the directory torch/bin")


def test_without_a_former_generation_the_cure_has_no_rollback() -> None:
    report = compare(with_files(changed(), former=False))
    assert (
        only(report)
        .cure_for(["node1"])
        .startswith(
            "on the host, when nobody uses the stack: `rm /opt/neuraltalk/current`; `rm -r /opt/neuraltalk/generations/"
        )
    )
    assert "rollback" not in only(report).cure


def test_component_is_not_built_into_a_generation_whose_files_were_changed() -> None:
    """Sealing writes a manifest of what is there: what somebody changed would be taken for good."""
    stack = stamps(nn="other")
    files = Files(compared=True, differing=2, listed=(changed(), changed(path="stamps/nn.json")))
    report = compare(replace(observed(**stack), files=files))
    assert [one.code for one in report.hosts[0].differences][:2] == [drift_codes.COMPONENT_CHANGED, "file.content"]
    assert {one.cure for one in report.hosts[0].differences} == {report.hosts[0].differences[1].cure}
    assert "rm -r" in report.hosts[0].differences[0].cure
    added = replace(observed(**stack), files=Files(compared=True, differing=1, listed=(changed("added"),)))
    assert compare(added).hosts[0].differences[0].cure == drift_cures.SITE
    more = replace(added, files=Files(compared=True, differing=2, listed=(changed("added"),)))
    assert "rm -r" in compare(more).hosts[0].differences[0].cure
    other = replace(added, files=files, recipe=replace(RECIPE, id="cccc"))
    assert (
        compare(other).hosts[0].differences[0].cure.startswith(f"{drift_cures.SITE}, which builds another generation")
    )


def test_generation_whose_manifest_was_exchanged_is_built_again_and_not_sealed_again() -> None:
    changes = stamps()
    changes["stack"]["generations"][RECIPE.id]["manifest"] = False
    assert "rm -r" in only(compare(replace(observed(**changes), files=Files()))).cure
    changes["stack"]["generations"][RECIPE.id]["sealed"] = False
    assert only(compare(replace(observed(**changes), files=Files()))).cure == drift_cures.SITE


@pytest.mark.parametrize(("kind", "words"), [("added", "delete it"), ("mode", "chmod"), ("owner", "chown")])
def test_file_that_is_still_there_is_mended_by_hand(kind: str, words: str) -> None:
    cure = only(compare(with_files(changed(kind)))).cure
    assert cure.startswith("by hand: ")
    assert words in cure


def test_files_beyond_the_list_are_counted() -> None:
    report = compare(with_files(changed(), differing=250))
    assert [one.found for one in report.hosts[0].differences] == ["was changed", "249 more files differ"]


@pytest.mark.parametrize("files", [None, Files()])
def test_files_that_were_not_compared_are_not_unchanged(files: Files | None) -> None:
    report = compare(replace(observed(), files=files))
    assert codes(report) == [drift_codes.NOT_VERIFIED]
    assert (report.drift, report.complete) == (False, False)


def test_host_that_was_lost_before_its_files_were_compared_is_not_complete() -> None:
    report = compare(replace(observed(), files=None, unverified="node1: the host cannot be reached by SSH"))
    assert only(report).code == drift_codes.NOT_VERIFIED
    assert report.complete is False


def test_check_that_failed_is_drift_unless_its_subject_is_compared_in_detail() -> None:
    failed = [Check(name=name, passed=False, saw="x") for name in ("stamps", "cards", "plan", "vgg16")]
    one = only(compare(replace(observed(), checks=(*failed, Check(name="nn", passed=True, saw="x")))))
    assert (one.code, one.item) == (drift_codes.CHECK_FAILED, "vgg16")


# --- packages, account, the former generation


def test_required_package_that_is_missing_is_installed_by_site() -> None:
    report = compare(Observed("node1", _without_make(), RECIPE, files=UNCHANGED))
    assert (only(report).code, only(report).item) == (drift_codes.PACKAGE_MISSING, "make")


def _without_make() -> HostState:
    known = state()
    return known.model_copy(update={"packages": {"gcc": known.packages["gcc"]}})


def fleet(count: int, **changes: Any) -> list[Observed]:
    """Hosts that agree, named other1, other2 and so on."""
    return [observed(f"other{number}", **changes) for number in range(1, count + 1)]


def test_package_with_another_version_than_most_hosts_is_drift_with_the_command() -> None:
    one = only(compare(observed(packages={"gcc": "4:12.2.0-2", "make": "4.3-4.1"}), *fleet(2)))
    assert (one.code, one.found, one.majority) == (drift_codes.PACKAGE_VERSION, "4:12.2.0-2", "4:12.2.0-3 (2 of 3)")
    assert one.cure == "on the host: `apt-get install gcc=4:12.2.0-3`"


def test_cure_of_a_package_says_that_hosts_without_repositories_get_it_from_the_mirror() -> None:
    """The command alone failed there: no repository of such a host has the package."""
    file = "packages-debian-12-x86_64.tar"
    recipe = replace(RECIPE, repository={"name": "packages", "file": file, "sha256": "a" * 64, "size": 9})
    one = replace(observed(packages={"gcc": "4:12.2.0-2", "make": "4.3-4.1"}), recipe=recipe)
    cure = only(compare(one, *(replace(other, recipe=recipe) for other in fleet(2)))).cure
    assert cure == f"on the host: `apt-get install gcc=4:12.2.0-3`; from the mirror's {file}: docs/drift.md says how"


def test_package_version_is_put_into_a_command_only_if_it_is_a_plain_word() -> None:
    evil = "1; rm -rf /"
    one = only(compare(observed(), *fleet(2, packages={"gcc": evil, "make": "4.3-4.1"})))
    assert one.majority == f"{evil} (2 of 3)"
    assert one.cure == drift_cures.SYSTEM


def test_account_that_is_missing_is_made_by_site() -> None:
    assert codes(compare(observed(account=False))) == [drift_codes.ACCOUNT_MISSING]


def test_former_generation_that_is_recorded_but_not_complete_is_drift() -> None:
    changes = stamps()
    changes["stack"]["previous"] = "ffff"
    one = only(compare(observed(**changes)))
    assert (one.code, one.found) == (drift_codes.NO_ROLLBACK, "ffff is not complete")


def test_former_generation_that_most_hosts_have_is_missed() -> None:
    former = stamps()
    former["stack"] |= {"previous": "ffff"}
    former["stack"]["generations"]["ffff"] = {"stamps": {}, "sealed": True}
    report = compare(observed(), *fleet(3, **former))
    assert codes(report) == [drift_codes.NO_ROLLBACK]
    assert not compare(*fleet(2), *[replace(one, host=f"b{one.host}") for one in fleet(2, **former)]).drift


# --- most hosts


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"platform": {"kernel": "6.1.0-20-amd64"}}, drift_codes.KERNEL),
        ({"platform": {"libc": "glibc-2.37"}}, drift_codes.LIBC),
        ({"platform": {"python": "3.11.9"}}, drift_codes.PYTHON),
    ],
)
def test_host_that_differs_from_most_hosts_is_named(changes: dict[str, Any], code: str) -> None:
    report = compare(observed(**changes), *fleet(2))
    assert (codes(report), report.drifted) == ([code], ("node1",))
    assert only(report).majority.endswith("(2 of 3)")


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"a": 2}, None),
        ({"a": 3}, ("a", 3, 3)),
        ({"a": 2, "b": 1}, ("a", 2, 3)),
        ({"a": 2, "b": 2}, None),
        ({"a": 2, "b": 1, "c": 1}, None),
        ({"b": 499, "a": 501}, ("a", 501, 1000)),
        ({}, None),
    ],
)
def test_majority_is_more_than_half_of_at_least_three(counts: dict[str, int], expected: Any) -> None:
    found = majority.majority(counts)
    assert (found and (found.value, found.hosts, found.of)) == expected


@pytest.mark.parametrize("count", [1, 2])
def test_hosts_that_differ_without_a_majority_are_told_and_none_is_accused(count: int) -> None:
    new = [observed(f"node{number}", platform={"kernel": "6.9"}) for number in range(1, count + 1)]
    report = compare(*new, *fleet(count))
    assert report.drifted == ()
    ((group, one),) = report.undecided
    assert (group, one.code, one.item) == (PLATFORM, drift_codes.NO_MAJORITY, "kernel")
    assert "6.9: node1" in one.found and "6.1.0-18-amd64: other1" in one.found
    assert report.drift
    assert report.groups[0].remark == ("fewer than 3 hosts, so there is no majority" if count == 1 else "")


def test_hosts_of_other_platforms_are_not_compared() -> None:
    other = observed("node9", platform={"version": "13", "kernel": "6.12"})
    report = compare(other, *fleet(3))
    assert not report.drift
    assert [group.name for group in report.groups] == [PLATFORM, "debian-13-x86_64"]


# --- cards, driver, CUDA, cuDNN


def test_host_with_cards_is_as_the_lock_says() -> None:
    report = compare(gpu_host())
    assert (report.drift, report.hosts[0].facts.groups) == (False, (PLATFORM, f"{PLATFORM} with Tesla K80"))


@pytest.mark.parametrize(
    ("options", "code", "found", "most"),
    [
        ({"driver": "367.44"}, drift_codes.DRIVER, "367.44", "367.57 (2 of 3)"),
        ({"count": 1}, drift_codes.CARDS_COUNT, "1", "2 (2 of 3)"),
    ],
)
def test_host_is_compared_with_those_that_have_the_same_cards(
    options: dict[str, Any], code: str, found: str, most: str
) -> None:
    others = [gpu_host("node2"), gpu_host("node3"), *[gpu_host(f"h{i}", name="H200", driver="570") for i in range(5)]]
    one = only(compare(gpu_host(**options), *others, *fleet(5)))
    assert (one.code, one.found, one.majority) == (code, found, most)


def test_cuda_directory_that_only_one_host_has_is_drift() -> None:
    more = cards()
    more["gpu"]["toolkits"].append({**more["gpu"]["toolkits"][0], "path": "/usr/local/cuda-8.0", "version": "8.0"})
    one = observed("node1", WITH_CARDS, **stamps(cutorch="d-cutorch"), **more)
    assert codes(compare(one, gpu_host("node2"), gpu_host("node3"))) == [
        drift_codes.CUDNN_VERSION,
        drift_codes.CUDA_VERSION,
    ]


@pytest.mark.parametrize(
    ("options", "code", "cure"),
    [
        (
            {"header": "4.0.7", "library": "4.0.7", "phase": "swapped"},
            drift_codes.CUDNN_UNDONE,
            "`provision cudnn swap --limit node1`",
        ),
        (
            {"header": "4.0.7", "library": "4.0.7", "phase": ""},
            drift_codes.CUDNN_NOT_SWAPPED,
            "`provision cudnn swap --limit node1`",
        ),
        (
            {"header": "5.0.5", "library": "6.0.21", "whole": "mixed"},
            drift_codes.CUDNN_UNDONE,
            "`provision cudnn swap --limit node1 --foreign`",
        ),
        (
            {"whole": "unfinished", "phase": "swapping"},
            drift_codes.CUDNN_UNFINISHED,
            "`provision cudnn swap --limit node1`",
        ),
    ],
)
def test_cudnn_that_is_not_the_mirrors_is_swapped_again(options: dict[str, Any], code: str, cure: str) -> None:
    one = only(compare(gpu_host(**options), gpu_host("node2"), gpu_host("node3")))
    assert (one.code, one.item, one.lock, one.since) == (code, CUDA_75, "5.0.5", 1_700_000_000)
    assert one.majority == f"whole 5.0.5 in {CUDA_75} (2 of 3)"
    assert one.cure_for(["node1"]) == cure


@pytest.mark.parametrize(
    ("path", "option"),
    [("/usr/local/cuda-8.0", " --cuda /usr/local/cuda-8.0"), ("/usr/local/cuda $(reboot)", ""), ("/x\n/y", "")],
)
def test_swap_names_the_cuda_directory_if_there_are_several(path: str, option: str) -> None:
    one = gpu_host(header="4.0.7", library="4.0.7")
    assert one.state is not None
    (tree,) = one.state.gpu.toolkits
    gpu = one.state.gpu.model_copy(update={"toolkits": (tree, tree.model_copy(update={"path": path}))})
    one = replace(
        one,
        state=one.state.model_copy(update={"gpu": gpu}),
        recipe=replace(WITH_CARDS, gpu=replace(GPU, toolkit=path)),
    )
    cure = next(entry.cure for entry in compare(one).hosts[0].differences if entry.code == drift_codes.CUDNN_UNDONE)
    assert cure == f"`provision cudnn swap --limit {{hosts}}{option}`"


def test_cards_that_are_gone_are_drift_and_no_reason_to_build_a_stack_without_them() -> None:
    lost = observed("node1", RECIPE, **stamps(cutorch="d-cutorch"))
    lost = replace(lost, recipe=replace(RECIPE, id="cccc"))
    report = compare(lost)
    assert codes(report) == [drift_codes.CARDS_LOST, drift_codes.OTHER_GENERATION]
    assert all("provision site" not in one.cure for one in report.hosts[0].differences)


def test_driver_that_does_not_answer_is_drift() -> None:
    gpu = {"gpu": {"driver": "", "cards": [], "problem": "NVIDIA-SMI has failed", "toolkits": [], "gcc": ""}}
    report = compare(replace(observed(**gpu), recipe=None, refusals=("node1: it is not known whether it has a card",)))
    assert codes(report) == [drift_codes.REFUSED, drift_codes.CARDS_UNKNOWN]


# --- what is accepted


def test_accepted_difference_is_reported_and_does_not_count() -> None:
    report = compare(observed(platform={"kernel": "6.9"}), *fleet(2), accept=["node1:kernel.version"])
    assert only(report).accepted
    assert (report.drift, report.drifted, report.complete) == (False, (), True)
    assert compare(observed(platform={"kernel": "6.9"}), *fleet(2), accept=["node2:kernel.version"]).drift
    assert not compare(observed(platform={"kernel": "6.9"}), *fleet(1), accept=["majority.none"]).drift


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("kernel", "not the code of a difference"),
        ("node1:host.not_asked", "cannot be accepted"),
        ("", "not the code"),
    ],
)
def test_what_is_not_a_code_and_what_nobody_can_know_is_not_accepted(word: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        findings.accepted([word])


# --- hostile answers, many hosts, and the tables


EVIL = "\x1b]0;owned\x07\u202e$(reboot)\n`id`"


def when(seconds: int | None) -> str:
    return "" if seconds is None else str(seconds)


def test_hostile_names_reach_no_command() -> None:
    gpu = cards(name=EVIL)
    gpu["gpu"]["toolkits"][0]["path"] = "/usr/local/" + EVIL
    gpu["gpu"]["toolkits"].append({**gpu["gpu"]["toolkits"][0], "path": CUDA_75})
    gpu["gpu"]["toolkits"][1]["cudnn"] = {"state": "whole", "header": "4.0.7", "library": "4.0.7", "phase": EVIL}
    evil = stamps(cutorch="d-cutorch", **{EVIL: EVIL})
    evil["stack"] |= {"current": EVIL, "previous": EVIL}
    evil["stack"]["generations"][EVIL] = {"stamps": {EVIL: EVIL}, "sealed": True}
    given = {**evil, **gpu, "platform": {"kernel": EVIL, "libc": EVIL}, "packages": {"gcc": EVIL, EVIL: EVIL}}
    files = Files(compared=True, differing=2**62, listed=(changed(path=EVIL, user=EVIL, words=EVIL, of=EVIL),))
    hosts = [replace(observed(f"node{i}", WITH_CARDS, **given), files=files, checks=()) for i in (1, 2, 3)]
    report = compare(*hosts, *[gpu_host(f"other{i}") for i in range(2)])
    assert report.drift
    every = [one for host in report.hosts for one in host.differences] + [one for _name, one in report.undecided]
    assert {one.code for one in every} >= {"file.content", drift_codes.OTHER_GENERATION, drift_codes.KERNEL}
    for one in every:
        assert not re.search(r"[\x1b\x07\n]|reboot\)|`id`", one.cure), one
    json.dumps(report.as_json())
    for cell in (cell for row in drift_rows.table(report, when, every=True)[1] for cell in row):
        assert "\n" not in cell


def test_hosts_with_the_same_difference_stand_in_one_row() -> None:
    hosts = [observed(f"node{number:04}", **stamps(nn="old")) for number in range(1, 1001)]
    report = compare(*hosts)
    columns, rows = drift_rows.table(report, when, every=False)
    assert columns == ("hosts", "difference", "item", "found", "lock", "most hosts")
    assert rows == [
        (
            "node[0001-1000]",
            *("component.changed", "nn", "old", "d-nn", "old (1000 of 1000)"),
        )
    ]
    (cure,) = drift_rows.cures(report, every=False)
    assert cure.startswith("node[0001-1000]: ")
    assert "--limit node0001,node0002,node0003," in cure
    assert drift_rows.summary(report) == "1000 hosts; 1000 with drift"


def test_table_shows_the_first_differences_of_a_kind_and_counts_the_others() -> None:
    report = compare(with_files(*[changed(path=f"f{number}") for number in range(8)]))
    rows = drift_rows.table(report, when, every=False)[1]
    assert [row[2] for row in rows] == ["f0", "f1", "f2", "f3", "f4", "and 3 more (--all, --json)"]
    assert len(drift_rows.table(report, when, every=True)[1]) == 8
    assert len(drift_rows.cures(report, every=False)) == 1


def test_facts_are_shown_with_the_hosts_that_agree() -> None:
    report = compare(*fleet(3))
    rows = drift_rows.facts(report)
    assert (PLATFORM, "component nn", "d-nn", "other1, other2, other3", "d-nn") in rows
    assert (PLATFORM, "kernel", "6.1.0-18-amd64", "other1, other2, other3", "") in rows


def test_component_that_the_mirror_lacks_is_shown_as_left_out() -> None:
    rows = drift_rows.facts(compare(*fleet(3)))
    left_out = "left out, because the mirror does not contain it"
    assert (PLATFORM, "component scorer", "none", "other1, other2, other3", left_out) in rows


def test_summary_tells_who_was_not_compared_and_what_was_accepted() -> None:
    lost = Observed("node3", unasked="node3: off\n  No route to host")
    report = compare(observed(account=False), observed("node2"), lost, accept=["account.missing"])
    assert drift_rows.summary(report) == (
        "3 hosts; none with drift; 1 not fully compared: node3; 1 accepted difference"
    )
    assert drift_rows.table(report, when, every=False)[1] == [("node3", "host.not_asked", "off")]
    assert "account.missing (accepted)" in str(drift_rows.table(report, when, every=True)[1])


def test_document_is_complete() -> None:
    document = compare(observed(platform={"kernel": "6.9"}), *fleet(2), Observed("gone", unasked="off")).as_json()
    assert (document["drift"], document["complete"]) == (True, False)
    assert (document["drifted"], document["not_compared"]) == (["node1"], ["gone"])
    host = next(entry for entry in document["hosts"] if entry["host"] == "node1")
    assert host["facts"]["kernel"] == "6.9"
    assert host["lock"]["component nn"] == "d-nn"
    assert host["differences"][0]["meaning"] == drift_codes.MEANING[drift_codes.KERNEL]
    (group,) = document["groups"]
    assert group["majorities"]["kernel"] == {"value": "6.1.0-18-amd64", "hosts": 2, "of": 3}
    assert (group["name"], group["hosts"], group["remark"]) == (PLATFORM, 3, "")


def seconds(act: Callable[[], object]) -> float:
    begin = time.process_time()
    act()
    return time.process_time() - begin


def test_cost_of_a_host_does_not_grow_with_their_number() -> None:
    packages = {f"package{number}": "1.0" for number in range(60)}

    def hosts(count: int) -> list[Observed]:
        return [
            observed(f"node{i}", packages={**packages, "package7": f"1.{i % 3}"}, platform={"kernel": f"6.{i % 50}"})
            for i in range(count)
        ]

    few, many = hosts(250), hosts(1000)
    compare(*few)
    one = min(seconds(lambda: compare(*few)) for _ in range(3)) / 250
    other = min(seconds(lambda: compare(*many)) for _ in range(3)) / 1000
    assert other < 2 * one
    assert other < 0.005


def test_every_code_has_a_meaning_and_stands_in_the_docs() -> None:
    document = (paths.share() / "docs" / "drift.md").read_text(encoding="utf-8")
    names = {value for name, value in vars(drift_codes).items() if name.isupper() and isinstance(value, str)}
    assert names <= set(drift_codes.MEANING)
    assert [code for code in drift_codes.MEANING if f"`{code}`" not in document] == []
    for code, meaning in drift_codes.MEANING.items():
        assert f"| `{code}` | {meaning} |" in document, code


def test_facts_of_a_host_that_was_not_asked_are_empty() -> None:
    assert Facts().groups == ()
    assert Accepted().covers("node1", Difference("kernel.version")) is False


def test_units_call_the_command() -> None:
    docs: Path = paths.share() / "docs"
    service = (docs / "provision-drift.service").read_text(encoding="utf-8")
    assert "provision drift --json" in service
    assert "OnCalendar=" in (docs / "provision-drift.timer").read_text(encoding="utf-8")


def test_platform_is_called_as_in_the_plan() -> None:
    """Debian testing has no version: the plan knows it by its codename."""
    found = observing.facts(observed(platform={"version": "", "codename": "forky"}))
    assert found.platform == "debian-14-x86_64"


@pytest.mark.parametrize(
    ("printed", "code", "kept"),
    [
        ('{\n  "drifted": []\n}\n', 0, True),
        ('{\n  "error": "x"\n}\n', 2, True),
        ('{\n  "drifted": [\n', 2, False),  # the disk is full
        ("", 3, False),
    ],
)
def test_report_of_the_timer_is_replaced_only_by_a_whole_one(
    tmp_path: Path, printed: str, code: int, kept: bool
) -> None:
    service = (paths.share() / "docs" / "provision-drift.service").read_text(encoding="utf-8")
    (command,) = re.findall(r"^ExecStart=/bin/sh -c '([^']*)'$", service, re.M)
    program(tmp_path / "provision", f"#!/bin/sh\ncat <<'END'\n{printed}END\nexit {code}\n")
    command = command.replace("/usr/local/bin/provision", str(tmp_path / "provision"))
    command = command.replace("/var/lib/provision-drift", str(tmp_path)).replace("$$", "$")
    (tmp_path / "report.json").write_text("of yesterday")
    done = subprocess.run(["/bin/sh", "-c", command], check=False)
    assert done.returncode == code
    assert (tmp_path / "report.json").read_text() == (printed if kept else "of yesterday")
