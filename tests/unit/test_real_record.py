"""What the real test records of a platform: versions out of what programs say, verdicts of tests, a row each."""

from __future__ import annotations

import pytest

from tests.real import record, releases

ANSWERS = {
    "gcc": "14.2.0\n",
    "cmake": "cmake version 3.31.6\n\nCMake suite maintained and supported by Kitware (kitware.com/cmake).\n",
    "hdf5": "1.14.5+repack-3",
    "protobuf": "libprotoc 3.21.12\n",
    "python": "Python 3.13.5\n",
    "glibc": "glibc 2.41\n",
    "ansible_core": "2.19.14",
}


def test_row_has_the_versions_that_the_programs_told_and_the_verdicts_of_the_tests() -> None:
    passed = {record.STEPS["built"]: True, record.STEPS["trained"]: False}
    found = record.row(
        "debian-13-x86_64", "2026-11-26", ANSWERS, passed, {"verified": "16 of 16", "seconds": 286}, "make test-real"
    )
    assert found == {
        "platform": "debian-13-x86_64",
        "seen": "2026-11-26",
        "gcc": "14.2.0",
        "cmake": "3.31.6",
        "hdf5": "1.14.5",
        "protobuf": "3.21.12",
        "python": "3.13.5",
        "glibc": "2.41",
        "ansible_core": "2.19.14",
        "built": True,
        "trained": False,
        "captioned": False,
        "verified": "16 of 16",
        "seconds": 286,
        "source": "make test-real",
    }


def test_host_that_was_not_built_has_no_times_and_no_checks() -> None:
    found = record.row("debian-14-x86_64", "2026-11-26", {"gcc": "", "cmake": "not found"}, {}, {}, "make test-real")
    assert (found["gcc"], found["cmake"], found["built"]) == ("", "", False)
    assert (found["verified"], found["seconds"]) == ("", 0)


@pytest.mark.parametrize("name", record.STEPS.values())
def test_each_step_is_a_test_of_the_real_suite(name: str) -> None:
    from tests.real import test_site

    assert callable(getattr(test_site, name))


def test_new_row_takes_the_place_of_the_old_one_of_its_platform() -> None:
    rows = [{"platform": "debian-13-x86_64", "seconds": 1}, {"platform": "debian-12-x86_64", "seconds": 2}]
    assert record.merged(rows, {"platform": "debian-13-x86_64", "seconds": 3}) == [
        {"platform": "debian-12-x86_64", "seconds": 2},
        {"platform": "debian-13-x86_64", "seconds": 3},
    ]


def test_labs_of_releases_do_not_meet() -> None:
    labs = [releases.lab(release) for release in releases.IMAGES]
    assert len({lab.name for lab in labs}) == len({lab.image for lab in labs}) == len(labs)
