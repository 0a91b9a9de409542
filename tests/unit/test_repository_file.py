"""The file of `--repositories`: what it may contain, and what each mistake is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuraltalk_provision import catalogue, yaml_file
from neuraltalk_provision.catalogue import target
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror import collectors, repository_file

BULLSEYE, ROCKY = target.parse("debian-11-x86_64"), target.parse("rocky-9-x86_64")
CATALOGUE = catalogue.load()
GOOD = """
debian-11-x86_64:
  - uris: http://a.example.org/debian https://b.example.org/debian
    suites: [bullseye, bullseye-updates]
    components: [main]
    signed_by: keys/debian.gpg
  - uris: [file:///srv/own]
    suites: ["./"]
    signed_by: /etc/keys/own.gpg
    check_valid_until: false
rocky-9-x86_64:
  - baseurl: [https://a.example.org/9/BaseOS/]
    gpgkey: [keys/rocky]
"""
APT = "debian-11-x86_64: [{uris: [http://x.example.org], suites: [s], components: [main], signed_by: k%s}]"


def parse(text: str) -> repository_file.Repositories:
    return repository_file.parse(yaml_file.parse(text, "r.yml"), "r.yml", Path("/site"))


def test_repositories_are_read_by_platform() -> None:
    found = parse(GOOD)
    first, second = found.apt(BULLSEYE)
    assert first.uris == ("http://a.example.org/debian", "https://b.example.org/debian")
    assert (first.signed_by, first.check_valid_until) == (Path("/site/keys/debian.gpg"), True)
    assert (second.signed_by, second.components, second.check_valid_until) == (Path("/etc/keys/own.gpg"), (), False)
    (rpm,) = found.rpm(ROCKY)
    assert rpm.gpgkey == (Path("/site/keys/rocky"),)
    assert found.apt(ROCKY) == found.rpm(BULLSEYE) == found.apt(target.parse("ubuntu-22-x86_64")) == ()


def test_repositories_say_which_package_manager_an_unknown_system_has() -> None:
    """Packages of such a system were left out without an error, although the file had its repositories."""
    kylin, packages = target.parse("kylin-10-x86_64"), CATALOGUE.artifact("packages")
    rows = GOOD[GOOD.index("rocky-9") :].replace("rocky-9", "kylin-10")
    asked = collectors.load(CATALOGUE, parse(rows)).ask(packages, kylin)
    assert asked.line.startswith("dnf for kylin-10-x86_64 from https://a.example.org/9/BaseOS/: ")
    assert "hdf5-devel" in asked.line
    asked = collectors.load(CATALOGUE, repository_file.Repositories()).ask(packages, kylin)
    assert (asked.line, asked.left_out) == ("", False)
    assert asked.message == "the package manager of kylin is not known, nor are its repositories"
    assert "--repositories FILE" in asked.advice


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it must be a mapping from platforms to repositories"),
        ("[]", "it must be a mapping from platforms to repositories"),
        ("debian: []", "'debian' is not a platform"),
        ("debian-11-x86_64: {}", "r.yml: debian-11-x86_64: it must be a list of repositories"),
        ("debian-11-x86_64: []", "it must be a list of repositories"),
        ("debian-11-x86_64: [x]", "r.yml: debian-11-x86_64: repository 1: it must be a mapping"),
        (APT % ", url: x", "repository 1: url: there is no such field"),
        ("debian-11-x86_64: [{baseurl: [http://x.example.org], gpgkey: [k]}]", "uris: it is missing"),
        ("rocky-9-x86_64: [{baseurl: [http://x.example.org]}]", "repository 1: gpgkey must name"),
        (
            "rocky-9-x86_64: [{baseurl: [http://x.example.org], gpgcheck: false, repo_gpgcheck: true}]",
            "repository 1: gpgkey must name",
        ),
        (
            "rocky-9-x86_64: [{baseurl: [http://x.example.org], gpgcheck: 0}]",
            "gpgcheck: must be true or false",
        ),
        ((APT % "").replace("http:", "ftp:"), "is not an address that begins with https://, http:// or file:///"),
        ((APT % "").replace("http://x.example.org", "/srv/debian"), "a directory is written as file:///its/path"),
        ((APT % "").replace("http://", "http://me:secret@"), "must not contain a user name or password"),
        ((APT % "").replace("[s]", "['a b']"), "suites.0: must match"),
        ((APT % "").replace("[s]", "['-o']"), "suites.0: must match"),
        ((APT % "").replace("[s]", "[s, s/]"), "a suite that ends with / (a flat repository) has none"),
        ((APT % "").replace("components: [main], ", ""), "suites need components"),
        ((APT % "").replace(", signed_by: k", ""), "signed_by: it is missing"),
    ],
)
def test_mistake_is_refused_with_its_place_and_an_example(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert words in caught.value.message
    assert caught.value.advice
    assert "secret" not in caught.value.message + caught.value.advice


def test_key_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    file = tmp_path / "r.yml"
    file.write_text(APT % "")
    with pytest.raises(UsageError, match=r"r\.yml: debian-11-x86_64: there is no file .*/k") as caught:
        repository_file.read(file)
    assert "public keys" in caught.value.advice
    assert "ubuntu-keyring" in caught.value.advice
    (tmp_path / "k").write_text("")
    assert repository_file.read(file).apt(BULLSEYE)[0].signed_by == tmp_path / "k"


@pytest.mark.parametrize("key", ["debian-11-x86_64", "ubuntu-22-x86_64", "rocky-9-x86_64", "arch-1-x86_64"])
def test_example_is_what_it_should_be(key: str) -> None:
    wanted = target.parse(key)
    found = parse(repository_file.form(wanted))
    assert found.apt(wanted) or found.rpm(wanted)


def test_example_for_ubuntu_has_the_component_with_most_of_what_is_needed() -> None:
    """HDF5, OpenBLAS and gnuplot are in universe. The key is that of Ubuntu also in what is said of a missing file."""
    wanted = target.parse("ubuntu-24-x86_64")
    (example,) = parse(repository_file.form(wanted)).apt(wanted)
    assert example.components == ("main", "universe")
    assert example.suites == ("noble", "noble-updates", "noble-security")


def test_rpm_repository_without_signatures_needs_no_key() -> None:
    found = parse("rocky-9-x86_64: [{baseurl: [http://x.example.org], gpgcheck: false}]")
    (repository,) = found.rpm(target.parse("rocky-9-x86_64"))
    assert (repository.gpgcheck, repository.repo_gpgcheck, repository.gpgkey) == (False, False, ())
