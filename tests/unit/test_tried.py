"""What was tried, as data: the rows, the comparison of a host with them, and what is known not to work."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue import tried
from neuraltalk_provision.catalogue.tried import Table, Tried
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.rules import versions
from tests.unit.plans import state_of

TABLE = catalogues.tried_table()
ROW: dict[str, Any] = {"platform": "debian-12-x86_64", "seen": "2026-11-26", "built": True, "source": "make test-real"}


FIXED = Table.model_validate(
    {
        "tried": [
            {**ROW, "trained": True, "gcc": "10.2", "hdf5": "1.8.12", "protobuf": "3.12", "python": "3.9"},
            {**ROW, "trained": True, "gcc": "12.2", "cmake": "3.18", "hdf5": "1.10.8", "python": "3.11"},
            {
                **ROW,
                "trained": True,
                "gcc": "14",
                "cmake": "3.31",
                "hdf5": "1.14.5",
                "protobuf": "3.21",
                "python": "3.13",
            },
        ],
        "not_working": [
            {
                "what": "cmake",
                "versions": ">=4",
                "reason": "it ends with `Compatibility with CMake < 3.5 has been removed`",
                "cure": "Install CMake 3.31 as /usr/local/bin/cmake",
                "seen": "2026-11",
                "source": "by hand",
            },
            {
                "what": "hdf5",
                "versions": ">=1.15",
                "reason": "torch-hdf5 ends with `Unsupported HDF5 version`",
                "cure": "Use OS packages with HDF5 1.8 to 1.14",
                "seen": "2026-11",
                "source": "by hand",
            },
        ],
    }
)
"""A table of its own, because rows of the data file come with each trial, and go when edits make a version work."""


@pytest.mark.parametrize(
    ("text", "upstream"),
    [
        ("4:12.2.0-3", "12.2.0"),
        ("1.10.8+repack1-1", "1.10.8"),
        ("3.21.12-8.2build1", "3.21.12"),
        ("11.4.1-3.el9", "11.4.1"),
        ("14", "14"),
        ("", ""),
        ("unknown", ""),
        ("9" * 5000, ""),
    ],
)
def test_version_of_the_software_is_read_from_that_of_its_package(text: str, upstream: str) -> None:
    assert versions.upstream(text) == upstream


@pytest.mark.parametrize(
    ("version", "bounds", "inside"),
    [
        ("4.3", ">=4", True),
        ("4", ">=4", True),
        ("3.31.6", ">=4", False),
        ("10.1", ">=9", True),
        ("1.8", "<1.8", False),
        ("1.6.10", "<1.8", True),
        ("4.1.9", ">=4,<4.2", True),
        ("4.2", ">=4,<4.2", False),
        ("1.14.5", ">=1.15", False),
        ("2.0", ">=1.15", True),
        ("14", ">=14.0", True),
        ("14", "<14.0", False),
        ("14.0.0", "<14", False),
        ("", "<9", False),
        ("no version", ">=0", False),
    ],
)
def test_range_holds_the_versions_that_it_says(version: str, bounds: str, inside: bool) -> None:
    assert re.fullmatch(versions.RANGE, bounds)
    assert versions.within(version, bounds) is inside


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hdf5": 1.10}, "string"),
        ({"hdf5": "1.10.8-1"}, "pattern"),
        ({"seen": "last week"}, "pattern"),
        ({"seen": "2026-13"}, "pattern"),
        ({"seen": "2026-12-32"}, "pattern"),
        ({"seen": 2026}, "pattern"),
        ({"built": False, "why": "CMake 4", "trained": True}, "not built"),
        ({"verified": "all"}, "pattern"),
        ({"seconds": -1}, "greater"),
        ({"source": ""}, "at least 1"),
        ({"source": "x" * 501}, "at most 500"),
        ({"source": "a\x1b[31m"}, "pattern"),
        ({"source": "a | b"}, "pattern"),
        ({"platform": "debian 12"}, "pattern"),
        ({"guessed": True}, "Extra"),
    ],
)
def test_row_that_cannot_be_a_record_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Tried.model_validate({**ROW, **changes})


def test_what_the_real_test_did_not_measure_is_unknown() -> None:
    row = Tried.model_validate({**ROW, "seconds": 0, "verified": "", "captioned": False})
    assert (row.seconds, row.verified, row.captioned) == (None, "", False)


def test_day_can_be_a_date_of_yaml() -> None:
    import datetime

    assert Tried.model_validate({**ROW, "seen": datetime.date(2026, 11, 26)}).seen == "2026-11-26"


@pytest.mark.parametrize("bounds", ["4", "> 4", ">=4,>=5", ">=", ">=4.x", ">=4 ,<5"])
def test_range_in_another_form_is_refused(bounds: str) -> None:
    row = FIXED.not_working[0].model_dump() | {"versions": bounds}
    with pytest.raises(ValidationError, match="versions"):
        tried.NotWorking.model_validate(row)


FINE = {
    "gcc": "12.2.0",
    "cmake": "3.25.1",
    "hdf5": "1.10.8",
    "protobuf": "3.21.12",
    "python": "3.11.2",
    "glibc": "2.36",
}


def test_host_like_one_that_was_tried_needs_no_word() -> None:
    assert tried.compare(TABLE, "debian-12-x86_64", FINE) == tried.Comparison()
    assert tried.compare(TABLE, "debian-12-x86_64", {}) == tried.Comparison()


@pytest.mark.parametrize(
    ("what", "version", "words"),
    [
        ("gcc", "16.1.0", "gcc 16.1.0 was never tried (tried: 10.2 to 14)"),
        ("gcc", "11.4.1", ""),
        ("gcc", "14.9", ""),
        ("gcc", "4.8.5", "gcc 4.8.5 was never tried (tried: 10.2 to 14)"),
        ("hdf5", "1.6.5", "HDF5 1.6.5 was never tried (tried: 1.8.12 to 1.14.5)"),
        ("hdf5", "1.8.5", ""),
        ("hdf5", "1.14.9", ""),
        ("protobuf", "25.1", "protobuf 25.1 was never tried (tried: 3.12 to 3.21)"),
        ("python", "2.7.18", "Python 2.7.18 was never tried (tried: 3.9 to 3.13)"),
    ],
)
def test_version_outside_of_what_was_tried_is_told(what: str, version: str, words: str) -> None:
    said = tried.compare(FIXED, "debian-12-x86_64", {**FINE, what: version})
    assert said == tried.Comparison(untried=(words,) if words else ())


@pytest.mark.parametrize(
    ("what", "version", "words"),
    [
        (
            "hdf5",
            "2.2.0",
            ("HDF5 2.2.0 is known not to work", "Unsupported HDF5 version", "Use OS packages with HDF5 1.8"),
        ),
        ("cmake", "5.0", ("CMake 5.0 is known not to work", "Compatibility with CMake < 3.5", "/usr/local/bin/cmake")),
    ],
)
def test_version_that_is_known_not_to_work_is_refused_with_what_helps(
    what: str, version: str, words: tuple[str, ...]
) -> None:
    row = next(row for row in FIXED.not_working if row.what == what)
    said = tried.compare(FIXED, "debian-12-x86_64", {**FINE, what: version})
    assert len(said.refusals) == 1
    assert all(word in said.refusals[0] for word in (*words, row.seen, row.source))
    assert said.untried == ()


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        ("debian-11-x86_64", "the stack was built on debian-11-x86_64, but nothing was trained there"),
        ("debian-12-x86_64", ""),
        ("debian-x86_64", "the stack could not be built on debian-x86_64 (CMake 4)"),
        ("rocky-9-x86_64", "rocky-9-x86_64 was never tried (tried: debian-11-x86_64, debian-12-x86_64)"),
    ],
)
def test_platform_that_was_not_tried_is_told(platform: str, words: str) -> None:
    rows = [
        {**ROW, "trained": True},
        {**ROW, "platform": "debian-11-x86_64"},
        {**ROW, "platform": "rocky-9-x86_64", "component": "hdf5"},
        {**ROW, "platform": "debian-x86_64", "built": False, "why": "CMake 4"},
    ]
    said = tried.compare(Table.model_validate({"tried": rows}), platform, {})
    assert said == tried.Comparison(untried=(words,) if words else ())


def test_what_failed_does_not_count_as_tried() -> None:
    rows = [{**ROW, "trained": True, "gcc": "12"}, {**ROW, "gcc": "16", "built": False, "why": "an error"}]
    said = tried.compare(Table.model_validate({"tried": rows}), "debian-12-x86_64", {"gcc": "16.1"})
    assert said.untried == ("gcc 16.1 was never tried (tried: 12)",)


def test_versions_of_a_host_are_those_that_its_builds_use() -> None:
    packages = {"cmake": "4.3.0-1", "hdf5-devel": "1.12.1-7.el9", "libprotobuf-dev": "3.21.12-3", "gcc": "4:12.2.0-3"}
    changes = {"packages": packages, "programs": {"cmake": "3.31.6"}}
    state = HostState.model_validate(state_of("bare").model_dump() | changes)
    assert tried.versions_of(state) == {
        "gcc": "12.2.0",
        "cmake": "3.31.6",
        "hdf5": "1.12.1",
        "protobuf": "3.21.12",
        "python": "3.11.2",
        "glibc": "2.36",
    }


def test_gcc_of_the_inventory_is_for_nvcc_and_not_the_one_that_builds_torch() -> None:
    document = state_of("bare").model_dump()
    document["gpu"]["gcc"], document["inventory"]["gcc"] = "9.5.0", "/usr/bin/gcc-9"
    state = HostState.model_validate(document | {"gcc": "16.2.0"})
    assert tried.versions_of(state)["gcc"] == "16.2.0"


@pytest.mark.parametrize(
    ("gcc", "cc", "other"),
    [
        ("16.2.0", "", {}),
        ("16.2.0", "16.2.0", {}),
        ("16.2.0", "14.0.6", {"cc": "14.0.6"}),
        ("", "14.0.6", {}),  # cc becomes gcc when that is installed
        ("1" * 20, "14.0.6", {}),  # no version: the answer of a host can be anything
    ],
)
def test_cc_counts_if_it_is_another_compiler_than_gcc(gcc: str, cc: str, other: dict[str, str]) -> None:
    state = HostState.model_validate(state_of("bare").model_dump() | {"gcc": gcc, "cc": cc})
    found = tried.versions_of(state)
    assert {what: text for what, text in found.items() if what == "cc"} == other


def test_hosts_get_the_rules_for_what_they_do_not_have_yet() -> None:
    rules = tried.unsupported(FIXED, {"cmake": "3.31"})
    assert [(rule["name"], rule["packages"], rule["versions"]) for rule in rules] == [
        ("HDF5", ["libhdf5-dev", "hdf5-devel"], ">=1.15")
    ]
    assert rules[0]["words"].startswith("is known not to work: torch-hdf5 ends")


def test_known_versions_are_in_the_catalogue_s_packages() -> None:
    """So the state of a host has them."""
    names = set(catalogues.load().package_names())
    assert {name for group in tried.PACKAGES.values() for name in group} <= names


def test_versions_that_an_edit_refuses_are_known_not_to_work_and_no_others() -> None:
    """torch-hdf5 checks the version when it is loaded, minutes after the build of Torch began."""
    text = "\n".join(edit.replacement for edit in catalogues.load().edits["torch-hdf5"])
    minor, major = re.search(r"min\[0\] > (\d+) then", text), re.search(r"maj\[0\] > (\d+) then", text)
    assert minor or major
    fine, refused = [], []
    if minor:
        fine, refused = [f"1.{minor[1]}.9"], [f"1.{int(minor[1]) + 1}.0", "2.0.0"]
    if major:
        fine, refused = [f"{major[1]}.0.0"], [f"{int(major[1]) + 1}.0.0"]
    oldest = re.search(r"_series < 1(\d\d) or", text)
    if oldest:
        fine, refused = [f"1.{int(oldest[1])}.0", *fine], [f"1.{int(oldest[1]) - 1}.9", "1.6.10", *refused]
    for version in ("1.8.12", *fine, *refused):
        said = tried.compare(TABLE, "debian-12-x86_64", {"hdf5": version})
        assert bool(said.refusals) == (version in refused), version
