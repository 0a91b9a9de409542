"""OS packages for apt from a small signed repository: the real apt decides what a bare host needs."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from neuraltalk_provision.catalogue import target
from neuraltalk_provision.errors import ProvisionError
from neuraltalk_provision.mirror import apt_machine, apt_root, collecting, collectors, pull, pull_plan, store
from neuraltalk_provision.mirror.collection import Collection
from neuraltalk_provision.mirror.pull import Pulled
from neuraltalk_provision.mirror.repository_file import AptRepository, Repositories
from tests.unit import pages
from tests.unit.apt_repository import CATALOGUE, PACKAGES, Package, Repository
from tests.unit.collected import Said, kill_at
from tests.unit.pgp import EXPIRED, KEEPER, STRANGER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("apt-get"), reason="this machine has no apt-get"),
]

BOOKWORM = target.parse("debian-12-x86_64")
NAME = "packages-debian-12-x86_64"
DATA = Path(__file__).parent / "data"
CLOSURE = ["base", "gcc", "libc6", "libgcc", "libsox", "python3", "sox"]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "keeper.gpg").write_bytes(KEEPER.keyring)
    return Repository(tmp_path / "the repository").write()


def repositories(repository: Repository, **changes: Any) -> Repositories:
    fields = {
        "uris": [repository.place.as_uri()],
        "suites": ["bookworm"],
        "components": ["main"],
        "signed_by": repository.place.parent / "keys" / "keeper.gpg",
    } | changes
    return Repositories("r.yml", {BOOKWORM.key: (AptRepository.model_validate(fields),)})


def collect(repository: Repository, **changes: Any) -> Collection:
    chosen = collectors.load(CATALOGUE, repositories(repository, **changes)).of(PACKAGES, BOOKWORM)
    assert chosen
    work = repository.place.parent / "the work"
    work.mkdir(exist_ok=True)
    return chosen.collect(PACKAGES, BOOKWORM, work, Event())


def refused(repository: Repository, **changes: Any) -> str:
    with pytest.raises(ProvisionError) as caught:
        collect(repository, **changes)
    assert caught.value.advice
    return caught.value.message


def pulled(mirror: Path, repository: Repository, **more: Any) -> Pulled:
    chosen = collectors.load(CATALOGUE, repositories(repository))
    plan = pull_plan.plan(
        CATALOGUE, [BOOKWORM], ["cpu"], pull.inventory(mirror), only=["packages"], ask=chosen.ask, **more
    )
    plan = collecting.collect(mirror, plan, chosen, Said())
    assert plan.of("failed") == ()
    return pull.pull(mirror, plan, CATALOGUE, Said())


def names(found: Collection) -> list[str]:
    return sorted(piece.name.split("_")[0] for piece in found.pieces)


def test_closure_has_everything_that_a_bare_host_needs(repository: Repository) -> None:
    found = collect(repository)
    assert names(found) == CLOSURE
    assert found.left_out == {"sox-fmt": "the repositories do not have it"}
    assert found.version == "7 packages"
    (piece,) = [piece for piece in found.pieces if piece.name.startswith("libc6")]
    assert piece.name == "libc6_2.36-9+deb12u1~x_amd64.deb"
    assert Path(
        piece.address.removeprefix("file://").replace("%20", " ").replace("%2b", "+").replace("%7e", "~")
    ).is_file()


def test_index_lists_the_files_by_plain_names(repository: Repository) -> None:
    found = collect(repository)
    index = found.made["Packages"].decode()
    listed = re.findall(r"^Filename: \./(.*)$", index, re.M)
    assert listed == sorted(piece.name for piece in found.pieces)
    assert "Filename: ./gcc_12_amd64.deb\n" in index
    assert "Version: 4:12\n" in index
    assert "pool/" not in index


def test_path_of_keys_can_have_spaces(repository: Repository, tmp_path: Path) -> None:
    """apt would take it for two paths."""
    file = tmp_path / "the operator's, keys.gpg"
    file.write_bytes(KEEPER.keyring)
    assert names(collect(repository, signed_by=file)) == CLOSURE
    file.write_bytes(STRANGER.keyring)
    shutil.rmtree(tmp_path / "the work")
    assert "none of the given keys has signed it" in refused(repository, signed_by=file)


def test_two_collections_are_equal(repository: Repository, tmp_path: Path) -> None:
    one = collect(repository)
    repository.packages.reverse()
    repository.write()
    shutil.rmtree(tmp_path / "the work")
    two = collect(repository)
    assert (sorted(one.pieces, key=str), one.made) == (sorted(two.pieces, key=str), two.made)


def test_pull_packs_a_repository_that_apt_installs_from(repository: Repository, tmp_path: Path) -> None:
    mirror = tmp_path / "m"
    (entry,) = pulled(mirror, repository).added
    assert (entry.file, entry.version) == (f"{NAME}.tar", "7 packages")
    assert entry.origin == (
        f"apt for debian-12-x86_64 from {repository.place.as_uri()} bookworm main: gcc python3; "
        "if they have them: sox sox-fmt"
    )
    assert store.verify(mirror, CATALOGUE).findings == ()
    unpacked = tmp_path / "unpacked"
    with tarfile.open(mirror / entry.file) as tar:
        tar.extractall(unpacked, filter="data")
    assert (unpacked / "gcc_12_amd64.deb").read_bytes() == Package("gcc", "4:12").content
    (tmp_path / "status").write_text("")
    (tmp_path / "list").write_text(f"deb [trusted=yes] file:{unpacked} ./\n")
    (tmp_path / "state" / "lists" / "partial").mkdir(parents=True)
    # As plugins/module_utils/host/package_managers.py calls it, but with nothing installed.
    options = [
        *(
            "-o",
            f"Dir::Etc::sourcelist={tmp_path}/list",
            "-o",
            "Dir::Etc::sourceparts=-",
            "-o",
            "APT::Sandbox::User=root",
        ),
        *("-o", f"Dir::State={tmp_path}/state", "-o", f"Dir::State::status={tmp_path}/status"),
        *("-o", f"Dir::Cache={tmp_path}/cache", "-o", "APT::Architecture=amd64", "-o", "APT::Architectures::=amd64"),
    ]
    subprocess.run(["apt-get", "-q", *options, "update"], check=True, capture_output=True)
    shown = subprocess.run(
        ["apt-get", "-s", *options, "install", "gcc", "sox"], check=True, capture_output=True, text=True
    )
    assert "Inst gcc (4:12 " in shown.stdout


def test_second_pull_moves_nothing_and_needs_no_repository(repository: Repository, tmp_path: Path) -> None:
    mirror = tmp_path / "m"
    pulled(mirror, repository)
    before = (mirror / "mirror.lock").read_bytes()
    shutil.rmtree(repository.place)
    assert pulled(mirror, repository) == Pulled((), ())
    assert (mirror / "mirror.lock").read_bytes() == before


def test_two_pulls_give_the_same_mirror(repository: Repository, tmp_path: Path) -> None:
    for name in ("one", "two"):
        pulled(tmp_path / name, repository)
    for name in (f"{NAME}.tar", "mirror.lock"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_pull_that_is_killed_is_continued_to_the_same_mirror(repository: Repository, tmp_path: Path) -> None:
    pulled(tmp_path / "whole", repository)
    killed = 0
    for moment in random.Random(13).sample(range(1, 60), 4):
        mirror = tmp_path / f"killed {moment}"
        killed += kill_at(moment, lambda mirror=mirror: pulled(mirror, repository))  # type: ignore[misc]
        assert pulled(mirror, repository).failures == ()
        for name in (f"{NAME}.tar", "mirror.lock"):
            assert (mirror / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert killed >= 3


def test_altered_package_is_refused_with_its_address(repository: Repository, tmp_path: Path) -> None:
    (repository.place / Package("libsox").file).write_bytes(b"x" * len(Package("libsox").content))
    done = pulled(tmp_path / "m", repository)
    assert done.added == ()
    (failure,) = done.failures
    assert "libsox_1-1_amd64.deb: what arrived is another file" in failure.message


def test_required_package_that_is_missing_is_named(repository: Repository) -> None:
    repository.without("gcc").write()
    message = refused(repository)
    assert "the repositories of debian-12-x86_64 cannot install what is required (gcc, python3)" in message
    assert "the repositories do not have gcc" in message


def test_required_package_whose_dependency_is_missing_is_named(repository: Repository) -> None:
    repository.without("libgcc").write()
    assert "gcc: Depends: libgcc but it is not installable" in refused(repository)


def test_optional_package_that_cannot_be_installed_is_left_out_with_the_reason(repository: Repository) -> None:
    repository.without("libsox").having([Package("sox-fmt")]).write()
    found = collect(repository)
    assert "sox-fmt" in names(found)
    assert "sox" not in names(found)
    assert found.left_out == {"sox": "it cannot be installed: sox: Depends: libsox but it is not installable"}


def test_optional_package_that_conflicts_with_a_required_one_is_left_out(repository: Repository) -> None:
    repository.having([Package("sox-fmt", more="Conflicts: gcc\n")]).write()
    assert list(collect(repository).left_out) == ["sox-fmt"]


def test_repository_without_a_signature_is_refused(repository: Repository) -> None:
    """Also after it had one."""
    for fields in ("", "Label: new\n"):
        repository.write(key=None, fields=fields)
        assert "it has no signature" in refused(repository)
        repository.write(fields=fields)
        collect(repository)


def test_repository_that_a_stranger_signed_is_refused(repository: Repository) -> None:
    repository.write(key=STRANGER)
    assert "none of the given keys has signed it" in refused(repository)


def test_signature_that_does_not_fit_is_refused(repository: Repository) -> None:
    release = repository.place / "dists" / "bookworm" / "Release"
    release.write_bytes(release.read_bytes().replace(b"Origin: Test", b"Origin: Tost"))
    assert "its signature is wrong" in refused(repository)


@pytest.mark.skipif(bool(shutil.which("sqv")), reason="apt 3 accepts what a key has signed before it expired")
def test_expired_key_is_refused(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "keys" / "keeper.gpg").write_bytes(EXPIRED.keyring)
    assert "it is signed with a key that has expired" in refused(repository)


def test_index_that_is_too_old_is_refused_unless_that_is_wanted(repository: Repository) -> None:
    repository.write(until="Valid-Until: Thu, 08 Jan 2026 00:00:00 UTC\n")
    assert "its index is older than its signers allow" in refused(repository)
    assert names(collect(repository, check_valid_until=False)) == CLOSURE


def test_altered_index_is_refused(repository: Repository) -> None:
    repository.index().write_bytes(repository.index().read_bytes().replace(b"the repo", b"another!") + b"\n")
    assert "its files are not those that its signed index lists" in refused(repository)


def test_index_with_weak_digests_is_refused(repository: Repository) -> None:
    repository.write(digest="MD5sum")
    assert "the repository has no SHA-256 of this package" in refused(repository)


def test_index_that_is_too_large_is_refused(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt_root, "LARGEST", 500)
    assert "printed more than 500 bytes" in refused(repository)


def test_suite_that_does_not_exist_is_named(repository: Repository) -> None:
    assert "there is no such repository or suite" in refused(repository, suites=["buster"])


def test_server_that_cannot_be_reached_is_told(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After as many attempts as this machine's configuration of apt says."""
    (tmp_path / "apt.conf").write_text('Acquire::Retries "0";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert "the server cannot be reached" in refused(repository, uris=["http://127.0.0.1:1/debian"])


@pytest.fixture
def page() -> Iterator[str]:
    """The address of a server that answers everything with a page of code 200."""
    with pages.answering(b"<!DOCTYPE html><html>Welcome to the proxy</html>") as address:
        yield f"{address}/debian"


def test_web_page_in_place_of_an_index_is_recognised(
    repository: Repository, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert "it looks like a web page" in refused(repository, uris=[page])


@pytest.mark.parametrize(
    ("package", "words"),
    [
        (Package("Evil..name/", more="Priority: required\n"), "'Evil..name/'"),
        (Package("-o", more="Priority: required\n"), "every host needs and that is called '-o'"),
        (Package("gcc=2", more="Priority: required\n"), "'gcc=2'"),
        (Package("?all", more="Essential: yes\n"), "is called '?all'"),
        (Package("gcc", "1_../x"), ""),
        (Package("gcc", listed="pool/a' b_1_amd64.deb"), "apt printed an address that is not understood"),
        (Package("gcc", machine="arm64"), "gcc"),
    ],
    ids=lambda value: "",
)
def test_hostile_index_is_refused(repository: Repository, package: Package, words: str) -> None:
    repository.without(package.name).having([package]).write()
    assert words in refused(repository)


def test_nothing_of_this_machine_is_used(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its sources, nor what is installed, nor settings that make apt accept everything."""
    config = tmp_path / "apt.conf"
    config.write_text(
        'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\n'
        'Acquire::Check-Valid-Until "false";\nAcquire::http::Proxy "http://proxy.example.org:3128";\n'
        f'Dir::State::status "{tmp_path}/nothing";\nAPT::Architecture "arm64";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(config))
    found = collect(repository)
    assert names(found) == CLOSURE
    settings = tmp_path / "the work" / "repositories" / "apt.conf"
    assert "proxy.example.org" in settings.read_text()
    assert settings.stat().st_mode & 0o077 == 0
    assert found.environment["http_proxy"] == found.environment["https_proxy"] == "http://proxy.example.org:3128"
    repository.write(key=None, fields="Label: new\n")
    assert "it has no signature" in refused(repository)
    assert not (tmp_path / "nothing").exists()


def own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str, sources: str) -> None:
    """Make apt of this process believe that the machine has this os-release and these sources."""
    (tmp_path / "os-release").write_text(release)
    monkeypatch.setattr(apt_machine, "OS_RELEASE", tmp_path / "os-release")
    etc = tmp_path / "etc"
    (etc / "sources.list.d").mkdir(parents=True)
    (etc / "sources.list.d" / "own.sources").write_text(sources)
    (tmp_path / "own.conf").write_text(f'Dir::Etc "{etc}/";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "own.conf"))


@pytest.mark.parametrize("how", ["file", "key", "trusted"])
def test_sources_of_this_machine_serve_other_releases_of_its_system(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    armor = KEEPER.armored.replace("\n\n", "\n.\n").replace("\n", "\n ")
    signed_by = {"file": f"Signed-By: {tmp_path}/keys/keeper.gpg\n", "key": f"Signed-By:\n {armor}\n", "trusted": ""}[
        how
    ]
    for suite in ("bullseye", "bullseye-updates", "bullseye-security"):
        repository.write(suite)
    shutil.rmtree(repository.place / "dists" / "bookworm")
    sources = (
        f"Types: deb\nURIs: {repository.place.as_uri()}\nSuites: bookworm bookworm-updates bookworm-security\n"
        f"Components: main\n{signed_by}\n"
        f"Types: deb\nURIs: https://other.example.org\nSuites: stable\nComponents: main\n"
    )
    own_machine(tmp_path, monkeypatch, "ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm\n", sources)
    if how == "trusted":
        (tmp_path / "etc" / "trusted.gpg.d").mkdir()
        (tmp_path / "etc" / "trusted.gpg.d" / "keeper.gpg").write_bytes(KEEPER.keyring)
    chosen = collectors.load(CATALOGUE, Repositories())
    bullseye = target.parse("debian-11-x86_64")
    collector = chosen.of(PACKAGES, bullseye)
    assert collector
    asked = chosen.ask(PACKAGES, bullseye)
    assert f"{repository.place.as_uri()} bullseye bullseye-updates bullseye-security main: gcc" in asked.line
    (tmp_path / "w").mkdir()
    assert names(collector.collect(PACKAGES, bullseye, tmp_path / "w", Event())) == CLOSURE


def test_machine_that_is_made_of_ubuntu_serves_hosts_with_that_ubuntu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the sources of Linux Mint, those of Ubuntu are used: its own packages are not for Ubuntu."""
    sources = (
        "Types: deb\nURIs: https://mint.example.org\nSuites: xia\nComponents: main\n\n"
        "Types: deb\nURIs: https://ubuntu.example.org\nSuites: noble noble-updates\nComponents: main universe\n"
    )
    own_machine(tmp_path, monkeypatch, (DATA / "os-release" / "linuxmint-22").read_text(encoding="utf-8"), sources)
    asked = collectors.load(CATALOGUE, Repositories()).ask(PACKAGES, target.parse("ubuntu-24-x86_64"))
    assert asked.line.startswith(
        "apt for ubuntu-24-x86_64 from https://ubuntu.example.org noble noble-updates main universe: gcc"
    )


@pytest.mark.parametrize("key", ["ubuntu-22-x86_64", "debian-19-x86_64"])
def test_other_systems_need_a_file_of_repositories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    own_machine(tmp_path, monkeypatch, "ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm\n", "")
    asked = collectors.load(CATALOGUE, Repositories()).ask(PACKAGES, target.parse(key))
    assert asked.line == ""
    assert f"do not show where packages of {key} are" in asked.message
    assert f"--repositories FILE. For example:\n{key}:\n  - uris:" in asked.advice


def test_machine_without_apt_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    asked = collectors.load(CATALOGUE, Repositories()).ask(PACKAGES, BOOKWORM)
    assert "does not have the program apt-get" in asked.message
