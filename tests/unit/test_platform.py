"""Platforms, as hosts describe themselves: known ones, unknown ones with a family, and hopeless ones."""

from __future__ import annotations

import pytest

from neuraltalk_provision.catalogue import target
from neuraltalk_provision.catalogue.platform import key_of as platform_key
from neuraltalk_provision.catalogue.platform import recognise
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.results.host_state import HostPlatform


def facts(
    id_: str, version: str, like: str, managers: str, machine: str = "x86_64", python: str = "3.11.2", base: str = ""
) -> HostPlatform:
    return HostPlatform(
        id=id_,
        id_like=tuple(like.split()),
        version=version,
        base=base,
        name=f"{id_} {version}",
        machine=machine,
        libc="glibc-2.36",
        python=python,
        managers=tuple(managers.split()),
    )


@pytest.mark.parametrize(
    ("given", "manager", "key", "lookups"),
    [
        (facts("debian", "12", "", "apt-get"), "apt", "debian-12-x86_64", ("debian-12",)),
        (facts("ubuntu", "22.04", "debian", "apt-get"), "apt", "ubuntu-22-x86_64", ("ubuntu-22",)),
        (facts("centos", "7", "rhel fedora", "yum"), "yum", "centos-7-x86_64", ("centos-7", "el-7")),
        (facts("rocky", "9.4", "rhel centos fedora", "dnf yum"), "dnf", "rocky-9-x86_64", ("rocky-9", "el-9")),
        (facts("tlinux", "2.4", "rhel centos fedora", "yum"), "yum", "tlinux-2-x86_64", ("tlinux-2", "el-2")),
        (facts("oddity", "1", "", "dnf"), "dnf", "oddity-1-x86_64", ("oddity-1", "el-1")),
        (facts("arch", "", "", "apt-get"), "apt", "arch-x86_64", ("arch-",)),
        # An RPM host with a stray apt-get, and a Debian with a stray dnf: the family decides.
        (facts("centos", "7", "rhel", "apt-get yum"), "yum", "centos-7-x86_64", ("centos-7", "el-7")),
        (facts("debian", "12", "", "apt-get dnf yum"), "apt", "debian-12-x86_64", ("debian-12",)),
        # A family without its own package manager takes the one that is there.
        (facts("fedora", "40", "", "apt-get"), "apt", "fedora-40-x86_64", ("fedora-40",)),
        (facts("debian", "12", "", "yum", "aarch64"), "yum", "debian-12-aarch64", ("debian-12", "el-12")),
    ],
)
def test_host_is_recognised_by_its_family_then_by_its_package_manager(
    given: HostPlatform, manager: str, key: str, lookups: tuple[str, ...]
) -> None:
    platform = recognise(given, "node1")
    assert (platform.manager, platform.key, platform.lookups) == (manager, key, lookups)


def test_host_without_a_package_manager_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="node1: gentoo 2 has none of the package managers apt-get, dnf") as caught:
        recognise(facts("gentoo", "2", "", ""), "node1")
    # A host is set aside with the message alone.
    assert "it can run the stack from an image that `provision image` makes" in caught.value.message


@pytest.mark.parametrize(("version", "first"), [("3.11.2", "3"), ("2.7.5", "2"), ("", "3")])
def test_python_that_builds_is_known_by_its_first_number(version: str, first: str) -> None:
    assert recognise(facts("centos", "7", "rhel", "yum", python=version), "node1").python == first


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (facts("debian", "", "", "apt-get").model_copy(update={"codename": "forky"}), "debian-14-x86_64"),
        (facts("debian", "13", "", "apt-get").model_copy(update={"codename": "forky"}), "debian-13-x86_64"),
        (facts("kali", "", "debian", "apt-get").model_copy(update={"codename": "forky"}), "kali-x86_64"),
        (facts("debian", "", "", "apt-get").model_copy(update={"codename": "unheard-of"}), "debian-x86_64"),
    ],
)
def test_system_without_a_version_has_that_of_its_codename(given: HostPlatform, key: str) -> None:
    assert recognise(given, "node1").key == key


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (facts("alinux", "3", "rhel fedora centos anolis", "dnf yum"), "alinux-3-x86_64"),
        (facts("tencentos", "4.2", "rhel fedora centos", "dnf yum"), "tencentos-4-x86_64"),
        (facts("tlinux", "2.4", "rhel centos fedora", "yum"), "tlinux-2-x86_64"),
        (facts("anolis", "8.8", "rhel fedora centos", "dnf yum"), "anolis-8-x86_64"),
        (facts("devuan", "5", "debian", "apt-get"), "devuan-5-x86_64"),
        (facts("kali", "2024.2", "debian", "apt-get"), "kali-2024-x86_64"),
        (facts("cloudlinux", "8.10", "rhel fedora centos", "dnf yum"), "cloudlinux-8-x86_64"),
        (facts("openeuler", "22.03", "", "dnf yum"), "openeuler-22-x86_64"),
        (facts("amzn", "2023", "fedora", "dnf yum"), "amzn-2023-x86_64"),
        (facts("linuxmint", "23", "ubuntu debian", "apt-get"), "linuxmint-23-x86_64"),
        (facts("kylin", "V10", "", "dnf yum"), "kylin-10-x86_64"),
        (facts("some", "12 (bookworm)", "debian", "apt-get"), "some-12-x86_64"),
    ],
)
def test_platform_that_a_host_says_can_be_in_the_name_of_a_file_for_it(given: HostPlatform, key: str) -> None:
    """Some IDs are like others, and not every version is a number."""
    assert recognise(given, "node1").key == key
    assert target.split(key) is not None
    assert target.parse(key).key == key


@pytest.mark.parametrize(
    ("id_", "version", "base", "key"),
    [
        ("linuxmint", "22.1", "noble", "ubuntu-24-x86_64"),
        ("linuxmint", "21.1", "", "ubuntu-22-x86_64"),
        ("linuxmint", "6", "bookworm", "debian-12-x86_64"),
        ("linuxmint", "19.3", "", "ubuntu-18-x86_64"),
        ("linuxmint", "18.3", "", "ubuntu-16-x86_64"),
        ("linuxmint", "4", "", "debian-10-x86_64"),
        ("pop", "18.04", "", "ubuntu-18-x86_64"),
        ("elementary", "5.1.7", "", "ubuntu-18-x86_64"),
        ("zorin", "15", "", "ubuntu-18-x86_64"),
        ("pop", "22.04", "jammy", "ubuntu-22-x86_64"),
        ("elementary", "8", "noble", "ubuntu-24-x86_64"),
        ("of-a-company", "3", "jammy", "ubuntu-22-x86_64"),
        ("of-a-company", "3", "unheard-of", "of-a-company-3-x86_64"),
        ("ubuntu", "24.04", "noble", "ubuntu-24-x86_64"),
    ],
)
def test_system_that_is_made_of_ubuntu_or_debian_has_the_platform_of_that_release(
    id_: str, version: str, base: str, key: str
) -> None:
    """Its packages are those of that release, and so are its Python and the files of the mirror."""
    given = facts(id_, version, "ubuntu debian", "apt-get", base=base)
    platform = recognise(given, "node1")
    assert platform.key == platform_key(given) == key
    assert platform.lookups == (key.removesuffix("-x86_64"),)


def test_version_without_a_number_is_none() -> None:
    assert recognise(facts("some", "rolling", "debian", "apt-get"), "node1").key == "some-x86_64"
    assert target.split("some-x86_64") is not None


@pytest.mark.parametrize("system", ["centos", "cloudlinux", "ol", "rhel", "scientific"])
def test_python_of_every_el_7_is_python_2(system: str) -> None:
    assert target.parse(f"{system}-7-x86_64").python == "2"
    assert target.parse(f"{system}-6-x86_64").python == "2"
    assert target.parse(f"{system}-8-x86_64").python == "3"
