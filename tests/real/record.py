"""What a real test saw, as a row of the table of platforms that were tried (catalogue/data/tried.yaml). Pure.

A row is {platform, seen, gcc, cmake, hdf5, protobuf, python, glibc, ansible_core, built, trained, captioned, verified,
seconds, source}.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

ASKED = {
    "gcc": "gcc -dumpfullversion",
    "cmake": "cmake --version",
    "hdf5": "dpkg-query --show --showformat='${Version}' libhdf5-dev",
    "protobuf": "protoc --version",
    "python": "python3 --version",
    "glibc": "getconf GNU_LIBC_VERSION",
}
"""{what: the command of a host that tells its version}."""
STEPS = {
    "built": "test_site_builds_what_check_predicted_and_the_second_run_changes_nothing",
    "trained": "test_training_passes_verification",
    "captioned": "test_new_pictures_are_captioned_and_invalid_ones_are_set_aside_with_a_reason",
}
"""{column: the test whose verdict it is}."""


def version(answer: str) -> str:
    """The first version in what a program said about itself; empty if there is none."""
    found = re.search(r"\d+(?:\.\d+)+|\d+", answer)
    return found[0] if found else ""


def row(
    platform: str,
    seen: str,
    answers: Mapping[str, str],
    passed: Mapping[str, bool],
    measured: Mapping[str, Any],
    source: str,
) -> dict[str, Any]:
    """The row of a platform.

    `seen` is the date; `answers` are those of ASKED and of `ansible_core`; `passed` is each test's verdict;
    `measured` holds `verified` ("16 of 16") and `seconds` (of the whole `provision site`) as far as they were measured.
    """
    versions = {name: version(answer) for name, answer in answers.items()}
    steps = {column: passed.get(test, False) for column, test in STEPS.items()}
    whole = {"verified": "", "seconds": 0, **measured}
    return {"platform": platform, "seen": seen, **versions, **steps, **whole, "source": source}


def merged(rows: Sequence[Mapping[str, Any]], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows with the new one in the place of that of the same platform; sorted by platform."""
    others = [dict(one) for one in rows if one["platform"] != new["platform"]]
    return sorted([*others, dict(new)], key=lambda one: str(one["platform"]))
