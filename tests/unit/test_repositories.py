"""Which repository of Enterprise Linux usually has a package."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue import tried
from neuraltalk_provision.catalogue.repositories import Repository, origins, releases
from neuraltalk_provision.rules import versions
from neuraltalk_provision.rules.packages import usual_origins

ROWS = catalogues.repositories()


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        (
            "rocky-9-x86_64",
            "openblas-devel usually comes from CRB (dnf config-manager --set-enabled crb); hdf5, hdf5-devel usually "
            "come from EPEL (dnf install epel-release)",
        ),
        (
            "rocky-10-x86_64",
            "openblas-devel usually comes from CRB (dnf config-manager --set-enabled crb); hdf5, hdf5-devel usually "
            "come from EPEL (dnf install epel-release)",
        ),
        (
            "almalinux-8-x86_64",
            "hdf5, hdf5-devel usually come from EPEL (dnf install epel-release); openblas-devel usually comes from "
            "PowerTools (dnf config-manager --set-enabled powertools)",
        ),
        ("centos-7-x86_64", "hdf5, hdf5-devel, openblas-devel usually come from EPEL (yum install epel-release)"),
        ("debian-12-x86_64", ""),
        ("fedora-40-x86_64", ""),
        ("nonsense", ""),
    ],
)
def test_missing_packages_are_told_with_the_repository_that_usually_has_them(platform: str, words: str) -> None:
    assert usual_origins(("hdf5", "hdf5-devel", "openblas-devel", "make"), origins(ROWS, platform)) == words


@pytest.mark.parametrize("platform", ["debian-12-x86_64", "elementary-8-x86_64", "sparky-7-x86_64"])
def test_system_with_apt_is_never_taken_for_enterprise_linux_because_of_its_number(platform: str) -> None:
    assert releases(platform, "apt") == ()
    assert origins(ROWS, platform, "apt") == {}


def test_red_hat_and_oracle_have_names_of_their_own() -> None:
    assert "codeready-builder-for-rhel-9" in origins(ROWS, "rhel-9-x86_64")["openblas-devel"]
    assert "ol8_codeready_builder" in origins(ROWS, "ol-8-x86_64")["openblas-devel"]


def test_rows_are_about_packages_of_the_catalogue() -> None:
    needs = catalogues.load().needs
    for row in ROWS:
        named = {name for need in needs for name in need.names("rpm", (row.release,))}
        assert set(row.holds) <= named, row
        assert "default" in row.enable


def test_every_release_with_repositories_has_usual_versions() -> None:
    """Of EL 10 nothing was known, so that no repository was named for what such a host lacks."""
    known = {row.release for row in ROWS}
    assert known == set(catalogues.usual_versions()) == {f"el-{major}" for major in (7, 8, 9, 10)}


def test_usual_versions_are_versions_of_what_is_compared() -> None:
    for release, known in catalogues.usual_versions().items():
        assert re.fullmatch(r"el-\d+", release)
        assert set(known) == set(tried.PACKAGES)
        assert all(versions.upstream(version) == version for version in known.values())


@pytest.mark.parametrize(
    ("platform", "keys"),
    [
        ("rocky-9-x86_64", ("rocky-9", "el-9")),
        ("scilin-7-x86_64", ("scilin-7", "el-7")),
        ("debian-12-x86_64", ()),
        ("debian-x86_64", ()),
        ("", ()),
    ],
)
def test_system_that_is_like_enterprise_linux_has_its_key(platform: str, keys: tuple[str, ...]) -> None:
    assert releases(platform) == keys


def test_package_has_one_origin_per_release() -> None:
    pairs = [(row.release, name) for row in ROWS for name in row.holds]
    assert len(pairs) == len(set(pairs))


def test_row_with_a_name_that_no_package_has_is_refused() -> None:
    with pytest.raises(ValidationError, match="holds"):
        Repository.model_validate({**ROWS[0].model_dump(), "holds": ["a; b"]})
