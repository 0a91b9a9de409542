"""OS packages for systems with rpm: collected by the real dnf out of repositories that are built here."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue import target
from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror import dnf_request, package_names, repositories, rpm_packages
from neuraltalk_provision.mirror.archive import Contents
from neuraltalk_provision.mirror.collection import Collection
from neuraltalk_provision.mirror.repository_file import Repositories, RpmRepository
from neuraltalk_provision.mirror.rpm_packages import RpmCollection, RpmPackages
from plugins.module_utils.host import package_managers
from tests.lab import shell, signed_rpms
from tests.lab.errors import LabError
from tests.lab.signed_rpms import Key, Rpm

CATALOGUE = catalogues.load()
PACKAGES = CATALOGUE.artifact("packages")
ROCKY = target.parse("rocky-9-x86_64")
WANTED = package_names.names(CATALOGUE, ROCKY, "rpm")
HOSTS_HAVE = ("systemd", "glibc-langpack-en")
"""What is not asked for, but on hosts, and bound to the version of a package that is."""
PERL = Rpm("perl", module="perl:5.32:1:aaaa0001")
NEWER_PERL = Rpm("perl", version="2.0", module="perl:5.36:1:aaaa0002")
"""Of another stream of the module, which no host uses unless somebody chooses it there."""


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="rpm installs and tries transactions only as root")


def standard() -> list[Rpm]:
    """All required packages of EL 9, some optional ones, and what they need."""
    needs = {
        "glibc-devel": ["glibc = 1.0"],
        "hdf5": ["perl"],
        "gcc": ["cpp = 1.0", "libc.so.6()(64bit)"],
        "python3-pip": ["python3", "/usr/bin/env"],
        "git": ["absent"],
    }
    plain = [Rpm(name, needs.get(name, ["glibc"])) for name in WANTED.required]
    return [
        *plain,
        PERL,
        NEWER_PERL,
        Rpm("cpp"),
        Rpm("cpp", version="0.9"),
        Rpm("glibc-langpack-en", ["glibc = 1.0"]),
        Rpm("systemd", ["glibc = 1.0"]),
        Rpm("glibc", provides=["libc.so.6()(64bit)"], recommends=["unused"]),
        Rpm("python3"),
        Rpm("coreutils", files=["/usr/bin/env"], machine="noarch"),
        Rpm("gcc", machine="i686"),
        Rpm("unused"),
        Rpm("git", needs["git"]),
        Rpm("sox", ["glibc"], conflicts=["cpp"]),
        Rpm("gnuplot", ["glibc"]),
    ]


@dataclass(frozen=True)
class Farm:
    """Keys, and a repository that is signed by one of them, with its index."""

    place: Path
    key: Key
    other: Key
    good: Path

    def copy(self, place: Path, files: Callable[[Path], object] = lambda folder: None, *options: str) -> Path:
        """A copy of the repository, with other files, and an index that is not signed."""
        folder = place / "repository"
        shutil.copytree(self.good, folder)
        shutil.rmtree(folder / "repodata")
        files(folder)
        signed_rpms.index(folder, *options)
        return folder


@pytest.fixture(scope="session")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Farm:
    try:
        signed_rpms.need()
    except LabError as error:
        pytest.skip(str(error))
    place = tmp_path_factory.mktemp("rpm packages")
    key, other = signed_rpms.make_key(place / "the key"), signed_rpms.make_key(place / "other")
    good = place / "good"
    signed_rpms.build(standard(), good)
    key.sign_packages(good)
    signed_rpms.index(good, "--groupfile", str(signed_rpms.core_group(place, "systemd", "absent")))
    signed_rpms.add_modules(good, PERL, NEWER_PERL)
    key.sign_index(good)
    return Farm(place, key, other, good)


def collector(*given: RpmRepository) -> RpmPackages:
    return RpmPackages(CATALOGUE, Repositories("repositories.yml", {ROCKY.key: given}))


def repository(folder: Path, key: Key, **more: bool) -> RpmRepository:
    return RpmRepository(baseurl=(folder.as_uri(),), gpgkey=(key.public,), **more)


def collect(work: Path, *given: RpmRepository) -> RpmCollection:
    return collector(*given).collect(PACKAGES, ROCKY, work, Event())


def moved(found: Collection, cache: Path) -> dict[str, Path]:
    """The files of a collection as the download brings them: named by their SHA-256, which is checked."""
    cache.mkdir(exist_ok=True)
    files = {}
    for piece in found.pieces:
        content = Path(unquote(urlsplit(piece.address).path)).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (piece.sha256, piece.size)
        files[piece.name] = cache / piece.sha256
        files[piece.name].write_bytes(content)
    return files


def pull(work: Path, *given: RpmRepository) -> Collection:
    """The whole collection, checked and with its index."""
    found = collect(work / "work", *given)
    return found.finish(moved(found, work / "cache"), work / "work", Event())


def refused(work: Path, *given: RpmRepository) -> str:
    with pytest.raises(MirrorError) as error:
        pull(work, *given)
    assert error.value.advice
    return error.value.message


def names(found: Collection) -> set[str]:
    return {piece.name for piece in found.pieces}


def test_closure_of_an_empty_system_is_found_and_nothing_else(farm: Farm, tmp_path: Path) -> None:
    found = pull(tmp_path, repository(farm.good, farm.key))
    expected = {*WANTED.required, "cpp", "glibc", "python3", "gnuplot", "perl", *HOSTS_HAVE}
    assert names(found) == {f"{name}-1.0-1.x86_64.rpm" for name in expected} | {"coreutils-1.0-1.noarch.rpm"}
    assert found.left_out["ImageMagick"] == "no repository has it"
    assert found.left_out["git"] == "it cannot be installed: nothing provides absent needed by git-1.0-1.x86_64"
    assert "conflicts" in found.left_out["sox"]
    assert set(found.left_out) == set(WANTED.optional) - {"gnuplot"}
    assert found.remarks == ()
    files = dict.fromkeys((*names(found), *found.made), 1)
    text = repositories.check_packages(tmp_path / "x.tar", ROCKY.key, Contents({}, files, {}, {}))
    assert text == f"{len(found.pieces)} packages with their index"


def test_two_calls_give_the_same_bytes(farm: Farm, tmp_path: Path) -> None:
    given = repository(farm.good, farm.key)
    results = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        results.append(pull(tmp_path / name, given))
        for file in farm.good.glob("*.rpm"):
            os.utime(file)
    again = pull(tmp_path / "two", given)
    assert results[0].made == results[1].made == again.made
    assert results[0].pieces == results[1].pieces == again.pieces
    assert collector(given).request(PACKAGES, ROCKY) == collector(given).request(PACKAGES, ROCKY)


def install(found: Collection, tmp_path: Path, root: Path, wanted: Sequence[str]) -> None:
    """Install packages into a system as os_packages does it on a host, from the result alone."""
    place = tmp_path / "on-the-host"
    (place / "repodata").mkdir(parents=True)
    for piece in found.pieces:
        shutil.copyfile(tmp_path / "cache" / piece.sha256, place / piece.name)
    for name, content in found.made.items():
        (place / name).write_bytes(content)
    host: Any = package_managers.Rpm("dnf", str(place))  # type: ignore[no-untyped-call]
    command = [*host.install(list(wanted)), f"--installroot={root}", "--releasever=9", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def installed(root: Path) -> list[str]:
    """The packages of a system, with their versions."""
    query = ["rpm", f"--root={root}", "--query", "--all", "--queryformat", "%{NAME}-%{VERSION}\\n"]
    return sorted(subprocess.run(query, capture_output=True, text=True, check=True).stdout.split())


@needs_root
def test_result_is_installed_on_an_empty_system_as_hosts_do_it(farm: Farm, tmp_path: Path) -> None:
    found = pull(tmp_path, repository(farm.good, farm.key))
    wanted, root = [*WANTED.required, "gnuplot"], tmp_path / "root"
    install(found, tmp_path, root, wanted)
    needed = ["coreutils", "cpp", "glibc", "perl", "python3"]
    assert installed(root) == sorted(f"{name}-1.0" for name in (*wanted, *needed))
    assert (root / "usr/share/lab/gcc").read_text() == "gcc\n"


@needs_root
def test_result_is_installed_on_a_host_with_older_packages(farm: Farm, tmp_path: Path) -> None:
    older = [Rpm("glibc", version="0.9"), *(Rpm(name, ["glibc = 0.9"], version="0.9") for name in HOSTS_HAVE)]
    signed_rpms.build(older, tmp_path / "older")
    root = tmp_path / "root"
    shell.run("rpm", f"--root={root}", "--install", *(str(file) for file in (tmp_path / "older").glob("*.rpm")))
    assert "systemd-0.9" in installed(root)
    install(pull(tmp_path, repository(farm.good, farm.key)), tmp_path, root, WANTED.required)
    assert {"gcc-1.0", "glibc-1.0", "systemd-1.0", "glibc-langpack-en-1.0"} <= set(installed(root))


def test_all_missing_packages_are_named_at_once(farm: Farm, tmp_path: Path) -> None:
    def remove(folder: Path) -> None:
        for name in ("hdf5", "make"):
            next(folder.glob(f"{name}-1*")).unlink()

    folder = farm.copy(tmp_path, remove)
    assert refused(tmp_path, repository(folder, farm.key)) == "no repository for rocky-9-x86_64 has hdf5, make"


def test_second_repository_has_what_the_first_lacks(farm: Farm, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    folder = farm.copy(tmp_path, lambda folder: shutil.move(folder / "hdf5-1.0-1.x86_64.rpm", second))
    signed_rpms.index(second)
    found = pull(tmp_path, repository(folder, farm.key), repository(second, farm.key))
    places = {piece.name: piece.address for piece in found.pieces}
    assert places["hdf5-1.0-1.x86_64.rpm"].startswith(second.as_uri())


def test_required_package_that_cannot_be_installed_is_explained(farm: Farm, tmp_path: Path) -> None:
    folder = farm.copy(tmp_path, lambda folder: (folder / "glibc-1.0-1.x86_64.rpm").unlink())
    message = refused(tmp_path, repository(folder, farm.key))
    assert "cannot be installed together" in message
    assert "nothing provides glibc needed by" in message


def test_index_that_is_signed_by_another_key_is_refused(farm: Farm, tmp_path: Path) -> None:
    message = refused(tmp_path, repository(farm.good, farm.other))
    assert farm.good.as_uri() in message
    assert "not by the keys" in message


def test_index_that_was_changed_after_it_was_signed_is_refused(farm: Farm, tmp_path: Path) -> None:
    folder = farm.copy(tmp_path)
    farm.key.sign_index(folder)
    signed_rpms.rewrite_index(folder, lambda text: text.replace("a package of the lab", "something else"))
    assert "not by the keys" in refused(tmp_path, repository(folder, farm.key))


def test_earlier_index_is_no_way_around_the_key(farm: Farm, tmp_path: Path) -> None:
    pull(tmp_path, repository(farm.good, farm.key))
    assert "not by the keys" in refused(tmp_path, repository(farm.good, farm.other))


def test_index_that_is_signed_later_by_another_key_is_refused(farm: Farm, tmp_path: Path) -> None:
    folder = farm.copy(tmp_path)
    given = repository(folder, farm.key)
    assert collect(tmp_path / "work", given).pieces
    farm.other.sign_index(folder)
    assert "not by the keys" in refused(tmp_path, given)


def test_change_of_the_repository_is_seen_at_once(farm: Farm, tmp_path: Path) -> None:
    folder = farm.copy(tmp_path)
    given = repository(folder, farm.key)
    assert "make-1.0-1.x86_64.rpm" in names(collect(tmp_path / "work", given))
    (folder / "make-1.0-1.x86_64.rpm").unlink()
    signed_rpms.build([Rpm("make", version="1.1")], folder)
    signed_rpms.index(folder)
    assert "make-1.1-1.x86_64.rpm" in names(collect(tmp_path / "work", given))


def test_package_for_another_machine_type_is_missing(farm: Farm, tmp_path: Path) -> None:
    folder = farm.copy(tmp_path, lambda folder: (folder / "gcc-1.0-1.x86_64.rpm").unlink())
    assert refused(tmp_path, repository(folder, farm.key)) == "no repository for rocky-9-x86_64 has gcc"


def test_part_of_the_index_that_was_changed_is_refused(farm: Farm, tmp_path: Path) -> None:
    folder = farm.copy(tmp_path)
    primary = next(folder.glob("repodata/*primary.xml.gz"))
    content = bytearray(primary.read_bytes())
    content[len(content) // 2] ^= 1
    primary.write_bytes(content)
    assert "does not fit itself" in refused(tmp_path, repository(folder, farm.key))


def test_index_must_be_signed_where_that_is_demanded(farm: Farm, tmp_path: Path) -> None:
    folder = farm.copy(tmp_path)
    message = refused(tmp_path, repository(folder, farm.key, repo_gpgcheck=True))
    assert "its index is not signed, although repo_gpgcheck demands it" in message
    assert pull(tmp_path, repository(farm.good, farm.key, repo_gpgcheck=True)).pieces


def test_package_that_is_signed_by_another_key_is_refused_by_name(farm: Farm, tmp_path: Path) -> None:
    message = refused(tmp_path, repository(farm.copy(tmp_path), farm.other))
    packages, found = message.split(": ", 1)
    assert re.fullmatch(r"[\w.+-]+\.rpm and \d+ more", packages)
    assert re.fullmatch(
        rf"it is signed with the key [0-9a-f]+, which is not in {re.escape(str(farm.other.public))}", found
    )


def unsign(folder: Path) -> None:
    shell.run("rpmsign", "--delsign", str(folder / "gcc-1.0-1.x86_64.rpm"))


def test_package_without_a_signature_is_refused_by_name(farm: Farm, tmp_path: Path) -> None:
    message = refused(tmp_path, repository(farm.copy(tmp_path, unsign), farm.key))
    assert message == "gcc-1.0-1.x86_64.rpm: it is not signed"


def test_package_without_a_signature_is_taken_if_the_user_says_so_and_this_is_told(farm: Farm, tmp_path: Path) -> None:
    folder = farm.copy(tmp_path, unsign)
    found = pull(tmp_path, RpmRepository(baseurl=(folder.as_uri(),), gpgcheck=False))
    assert "gcc-1.0-1.x86_64.rpm" in names(found)
    assert len(found.remarks) == 1
    assert folder.as_uri() in found.remarks[0]


def test_package_that_was_changed_after_it_was_signed_is_refused(farm: Farm, tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        file = folder / "gcc-1.0-1.x86_64.rpm"
        content = bytearray(file.read_bytes())
        content[-20] ^= 1
        file.write_bytes(content)

    message = refused(tmp_path, repository(farm.copy(tmp_path, change), farm.key))
    assert message.startswith("gcc-1.0-1.x86_64.rpm: it is not as it was signed")


def test_key_file_that_is_no_key_is_refused(farm: Farm, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("<html>")
    given = RpmRepository(baseurl=(farm.copy(tmp_path).as_uri(),), gpgkey=(tmp_path / "page",))
    assert "rpm cannot read this as a public key" in refused(tmp_path, given)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--checksum", "sha1"], "no SHA-256 of it, but sha1"),
        (["--location-prefix", "../../etc"], "not below the repository: '../../etc/"),
        (["--location-prefix", "/etc"], "not below the repository: '/etc/"),
        (["--baseurl", "http://elsewhere.example.org/"], "not below the repository: 'http://elsewhere"),
    ],
)
def test_index_that_describes_other_files_is_refused(
    farm: Farm, tmp_path: Path, options: Sequence[str], words: str
) -> None:
    folder = farm.copy(tmp_path, lambda folder: None, *options)
    assert words in refused(tmp_path, repository(folder, farm.key))


def test_index_that_is_no_xml_is_refused(farm: Farm, tmp_path: Path) -> None:
    folder = farm.copy(tmp_path)
    signed_rpms.rewrite_index(folder, lambda text: text.replace("<name>glibc<", "<name>glibc&#0;<"))
    message = refused(tmp_path, repository(folder, farm.key))
    assert message.startswith(f"the repository {folder.as_uri()}: its index cannot be read")


def test_name_with_control_characters_is_refused_and_shown_harmlessly(farm: Farm, tmp_path: Path) -> None:
    folder = farm.copy(tmp_path)
    signed_rpms.rewrite_index(folder, lambda text: text.replace("<name>glibc<", "<name>gl\x7f&#10;ibc<"))
    message = refused(tmp_path, repository(folder, farm.key))
    assert "a package that cannot exist" in message
    assert message.isprintable()


def test_index_that_unpacks_to_far_too_much_is_refused(
    farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dnf_request, "MEMORY", 150 << 20)
    folder = farm.copy(tmp_path)
    names_ = "".join(f"<rpm:entry name='{number:x}{'y' * 60}'/>" for number in range(700_000))
    signed_rpms.rewrite_index(folder, lambda text: text.replace("<rpm:provides>", f"<rpm:provides>{names_}", 1))
    message = refused(tmp_path, repository(folder, farm.key))
    assert re.search("more memory|could not read the indexes", message), message


def test_repository_that_is_gone_is_named(farm: Farm, tmp_path: Path) -> None:
    message = refused(tmp_path, RpmRepository(baseurl=("file:///absent/repository",), gpgkey=(farm.key.public,)))
    assert message.startswith("the repository file:///absent/repository: there is no repository at this address")


def test_server_that_does_not_answer_is_named(farm: Farm, tmp_path: Path) -> None:
    message = refused(tmp_path, RpmRepository(baseurl=("http://127.0.0.1:9/el",), gpgkey=(farm.key.public,)))
    assert message.startswith("the repository http://127.0.0.1:9/el: the server cannot be reached")


@pytest.fixture
def proxy(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths that a proxy was asked for; it has the repository at http://el.example.org/, and a page elsewhere."""
    asked: list[str] = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            path = self.path.removeprefix("http://el.example.org/")
            file = farm.good / path
            content = file.read_bytes() if file.is_file() else b"<html>Please log in"
            self.send_response(404 if path != self.path and not file.is_file() else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        try:
            yield asked
        finally:
            server.shutdown()


def test_proxy_of_the_environment_is_used(farm: Farm, tmp_path: Path, proxy: list[str]) -> None:
    given = RpmRepository(baseurl=("http://el.example.org",), gpgkey=(farm.key.public,), repo_gpgcheck=True)
    found = collect(tmp_path, given)
    assert {piece.address for piece in found.pieces} == {f"http://el.example.org/{name}" for name in names(found)}
    assert "http://el.example.org/repodata/repomd.xml" in proxy


def test_page_of_a_proxy_is_no_repository(farm: Farm, tmp_path: Path, proxy: list[str]) -> None:
    message = refused(tmp_path, RpmRepository(baseurl=("http://other.example.org/el",), gpgkey=(farm.key.public,)))
    assert message.startswith("the repository http://other.example.org/el: its index")


def test_second_address_is_used_if_the_first_does_not_answer(farm: Farm, tmp_path: Path) -> None:
    given = RpmRepository(baseurl=("file:///absent/repository", farm.good.as_uri()), gpgkey=(farm.key.public,))
    assert pull(tmp_path, given).pieces[0].address.startswith(farm.good.as_uri())


@needs_root
def test_packages_with_the_same_file_are_found_before_a_host_finds_it(farm: Farm, tmp_path: Path) -> None:
    def clash(folder: Path) -> None:
        (folder / "cmake-1.0-1.x86_64.rpm").unlink()
        signed_rpms.build([Rpm("cmake", files=["/usr/share/lab/make"])], folder)

    folder = farm.copy(tmp_path, clash)
    message = refused(tmp_path, RpmRepository(baseurl=(folder.as_uri(),), gpgcheck=False))
    assert "cannot be installed from the result alone" in message
    assert "/usr/share/lab/make conflicts between" in message


def test_dnf_of_this_machine_is_neither_read_nor_changed(farm: Farm, tmp_path: Path) -> None:
    places = [Path(name) for name in ("/var/cache/dnf", "/var/lib/dnf", "/var/lib/rpm", "/var/log/dnf.log")]

    def state() -> list[tuple[str, int]]:
        files = [path for place in places for path in (place, *place.rglob("*")) if path.exists()]
        return sorted((str(path), path.stat().st_mtime_ns) for path in files)

    before = state()
    pull(tmp_path, repository(farm.good, farm.key))
    assert state() == before


def test_own_repositories_of_another_machine_are_not_used(tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match="no repositories are given for rocky-9-x86_64") as error:
        RpmPackages(CATALOGUE, Repositories()).collect(PACKAGES, ROCKY, tmp_path, Event())
    assert "--repositories FILE" in error.value.advice
    assert "baseurl: [https://mirror.example.org/rocky/9" in error.value.advice


def test_own_repositories_of_a_machine_of_this_platform_are_used(
    farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "rocky", "VERSION_ID": "9.4"})
    folder = tmp_path / "yum.repos.d"
    folder.mkdir()
    (folder / "lab.repo").write_text(
        f"[lab]\nname=lab\nbaseurl={farm.good.as_uri()}\ngpgkey={farm.key.public.as_uri()}\n"
        "gpgcheck=1\nenabled=1\n[off]\nname=off\nbaseurl=file:///absent\nenabled=0\n"
    )
    monkeypatch.setattr(rpm_packages, "REPOSITORIES", folder)
    own = RpmPackages(CATALOGUE, Repositories())
    found = own.collect(PACKAGES, ROCKY, tmp_path / "work", Event())
    assert found.finish(moved(found, tmp_path / "cache"), tmp_path / "work", Event()).made
    line = own.request(PACKAGES, ROCKY)
    (folder / "more.repo").write_text("")
    assert own.request(PACKAGES, ROCKY) == line
    (folder / "more.repo").write_text("[more]\n")
    assert own.request(PACKAGES, ROCKY) != line


def command(place: Path, farm: Farm, mirror: str, *words: str) -> tuple[int, dict[str, Any]]:
    """(exit code, document) of `provision mirror pull` for EL 9 from the repository."""
    file = place / "repositories.yml"
    file.write_text(f"{ROCKY.key}:\n  - baseurl: [{farm.good.as_uri()}]\n    gpgkey: ['{farm.key.public}']\n")
    line = ["mirror", "pull", "--for", ROCKY.key, "--only", "packages", "--repositories", str(file), "--json", *words]
    done = subprocess.run(
        [sys.executable, "-m", "neuraltalk_provision", *line, "--mirror", str(place / mirror)],
        env={**os.environ, "XDG_STATE_HOME": str(place / "state")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 2), done.stderr
    return done.returncode, json.loads(done.stdout)


def test_command_brings_the_same_file_to_two_mirrors_and_nothing_the_second_time(farm: Farm, tmp_path: Path) -> None:
    for mirror in ("one", "two"):
        code, document = command(tmp_path, farm, mirror)
        assert code == 0
        assert [entry["version"] for entry in document["added"]] == [f"{len(WANTED.required) + 8} packages"]
        assert document["artifacts"][0]["left_out"]["ImageMagick"] == "no repository has it"
    name = f"packages-{ROCKY.key}.tar"
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert (tmp_path / "one" / "mirror.lock").read_bytes() == (tmp_path / "two" / "mirror.lock").read_bytes()
    code, document = command(tmp_path, farm, "one")
    assert (code, document["added"]) == (0, [])
    assert [row["state"] for row in document["artifacts"]] == ["present"]


def test_command_with_another_key_adds_nothing(farm: Farm, tmp_path: Path) -> None:
    shutil.copyfile(farm.other.public, tmp_path / "key.asc")
    wrong = Farm(farm.place, Key(farm.other.home, tmp_path / "key.asc"), farm.other, farm.good)
    code, document = command(tmp_path, wrong, "m")
    assert (code, document["added"]) == (2, [])
    assert "not by the keys" in document["failures"][0]["message"]
