"""What dnf answers about packages: which files follow from it, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror import dnf_answer

REPOSITORY = {"id": "r", "address": "https://x.example.org/el/", "signed": True, "gpgcheck": True, "keys": []}
PACKAGE = {
    "name": "gcc-c++",
    "epoch": 0,
    "version": "11.5.0~rc1",
    "release": "2.el9",
    "machine": "x86_64",
    "repository": 0,
    "location": "Packages/g/gcc-c++-11.rpm",
    "base": "",
    "checksum_type": "sha256",
    "checksum": "a" * 64,
    "size": 10,
}


def answer(*packages: dict[str, Any]) -> dnf_answer.Answer:
    return dnf_answer.read(json.dumps({"repositories": [REPOSITORY], "packages": packages}).encode())


def pieces(**changes: Any) -> Any:
    return dnf_answer.pieces(answer({**PACKAGE, **changes}))


def test_file_has_the_name_of_its_package_and_an_address_below_its_repository() -> None:
    (piece,) = pieces()
    assert piece.name == "gcc-c++-11.5.0~rc1-2.el9.x86_64.rpm"
    assert piece.address == "https://x.example.org/el/Packages/g/gcc-c++-11.rpm"
    assert (piece.sha256, piece.size) == ("a" * 64, 10)


def test_caret_of_a_version_is_no_part_of_a_file_name() -> None:
    assert pieces(version="1.0^git1")[0].name == "gcc-c++-1.0_git1-2.el9.x86_64.rpm"


@pytest.mark.parametrize(
    "changes",
    [
        {"location": "../../etc/x.rpm"},
        {"location": "a/%2e%2e/%2e%2e/x.rpm"},
        {"location": "a/..%2fx.rpm"},
        {"location": "/etc/x.rpm"},
        {"location": "https://elsewhere.example.org/x.rpm"},
        {"location": "a//x.rpm"},
        {"location": "./x.rpm"},
        {"location": ""},
        {"location": "x.rpm?y"},
        {"location": "x.rpm#y"},
        {"location": "x y.rpm"},
        {"location": "x\u202e.rpm"},
        {"location": "x\n.rpm"},
        {"location": "a\\x.rpm"},
        {"base": "https://elsewhere.example.org/"},
    ],
)
def test_place_outside_of_the_repository_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MirrorError, match="not below the repository") as error:
        pieces(**changes)
    assert error.value.message.isprintable()


@pytest.mark.parametrize("changes", [{"checksum_type": "sha1", "checksum": "a" * 40}, {"checksum": ""}])
def test_package_without_a_sha256_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MirrorError, match="no SHA-256"):
        pieces(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../gcc"},
        {"name": "a\nb"},
        {"name": "-rf"},
        {"name": "a" * 300},
        {"version": "1/../2"},
        {"release": ""},
        {"machine": "x86-64/"},
        {"size": 0},
        {"size": 1 << 40},
        {"size": True},
        {"size": "10"},
        {"checksum": "A" * 64},
        {"location": "x" * 5_000},
        {"epoch": -1},
        {"surplus": 1},
    ],
)
def test_package_that_cannot_exist_is_refused_harmlessly(changes: dict[str, Any]) -> None:
    with pytest.raises(MirrorError, match="a package that cannot exist") as error:
        pieces(**changes)
    assert error.value.message.isprintable()
    assert len(error.value.message) < 500


def test_two_packages_with_one_file_name_are_refused() -> None:
    with pytest.raises(MirrorError, match="two packages have the file name"):
        dnf_answer.pieces(answer(PACKAGE, {**PACKAGE, "epoch": 1}))


def test_package_of_no_repository_is_refused() -> None:
    with pytest.raises(MirrorError, match="is in no repository"):
        pieces(repository=1)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"packages": 1}', b"\xff", b'{"missing": {}}'])
def test_answer_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(MirrorError):
        dnf_answer.read(data)


@pytest.mark.parametrize(
    ("name", "version", "refused"),
    [
        ("rocky-release", "9.4", False),
        ("rocky-release", "8.10", True),
        ("centos-release", "7", True),
        ("fedora-release-common", "40", True),
        ("epel-release", "8", False),
        ("lsb-release", "3.3", False),
    ],
)
def test_repositories_of_another_release_are_refused(name: str, version: str, refused: bool) -> None:
    found = answer(PACKAGE, {**PACKAGE, "name": name, "version": version})
    if not refused:
        dnf_answer.refuse_other_release(found, "rocky-9-x86_64", 9)
        return
    with pytest.raises(MirrorError, match=f"rocky-9-x86_64 are those of release {version.split('.')[0]}") as error:
        dnf_answer.refuse_other_release(found, "rocky-9-x86_64", 9)
    assert "release 9" in error.value.advice


def test_more_packages_than_a_system_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MirrorError, match="packages"):
        answer(*[{**PACKAGE, "name": f"a{number}"} for number in range(dnf_answer.MOST + 1)])
