"""The lab's decisions: what they are made from is given here, nothing is started."""

from __future__ import annotations

import json
import shlex
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.lab import archives, engine, gap, hosts, images, inventory, names, paths, rpms, sink, sources, wheels
from tests.lab.errors import LabError
from tests.lab.spec import Lab, tmpfs_option

STANZAS = """\
# this machine's
Types: deb deb-src
# an older server: http://old.example/debian
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/some.gpg

Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main

Types: deb
URIs: https://vendor.example/node
Suites: nodistro
Components: main

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no
"""


def test_sources_take_the_stanzas_that_serve_debian_and_no_other_vendors() -> None:
    found = sources.for_release(sources.parse_stanzas(STANZAS), "bullseye")
    assert [source.line() for source in found] == [
        "deb [signed-by=/usr/share/keyrings/some.gpg] http://mirror.example/debian bullseye main",
        "deb [signed-by=/usr/share/keyrings/some.gpg] http://mirror.example/debian bullseye-updates main",
        "deb http://mirror.example/security bullseye-security main",
    ]


def test_sources_are_read_from_both_formats(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://old.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://lines.example/debian trixie main contrib # ours\n"
        "deb-src http://lines.example/debian trixie main\n"
    )
    (tmp_path / "sources.list.d" / "vendor.list").write_text("deb https://vendor.example/apt cloud-bookworm main\n")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(STANZAS)
    found = sources.of_this_machine("bookworm", tmp_path)
    assert found[0] == sources.Source("http://lines.example/debian", "bookworm", "main", "/k.gpg")
    assert {source.uri for source in found[1:]} == {"http://mirror.example/debian", "http://mirror.example/security"}


def test_sources_are_empty_on_a_machine_that_is_no_debian(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://mirror.example/other noble main\n")
    assert sources.of_this_machine("bookworm", tmp_path) == []


def test_sources_of_debian_are_not_taken_for_ubuntu(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(STANZAS)
    assert sources.of_this_machine("noble", tmp_path) == []
    (tmp_path / "sources.list").write_text(
        "deb http://mirror.example/ubuntu jammy-security main restricted universe\n"
        "deb http://mirror.example/ubuntu jammy-security universe\n"
    )
    assert sources.of_this_machine("noble", tmp_path) == [
        sources.Source("http://mirror.example/ubuntu", "noble-security", "main universe"),
        sources.Source("http://mirror.example/ubuntu", "noble-security", "universe"),
    ]


CATALOGUE = """\
needs:
  - {need: make, apt: [make], rpm: [make]}
  - {need: pip, apt: [python3-pip], rpm: {default: [python3-pip], el-7: [python-pip], rocky-9: [own-pip]}}
  - {need: git, optional: true, apt: [git], rpm: [git]}
  - {need: Qt, optional: true, apt: [qtbase5-dev], rpm: [qt-devel]}
"""


@pytest.mark.parametrize(
    ("kind", "platform", "optional", "expected"),
    [
        ("apt", "debian-12", ("git",), ["make", "python3-pip", "git"]),
        ("apt", "debian-12", (), ["make", "python3-pip"]),
        ("rpm", "rocky-9", None, ["make", "own-pip", "git", "qt-devel"]),
        ("rpm", "centos-7-x86_64", (), ["make", "python-pip"]),
        ("rpm", "tlinux-2", (), ["make", "python3-pip"]),
    ],
)
def test_names_follow_the_platform_and_the_choice_of_optional_ones(
    kind: names.Kind, platform: str, optional: tuple[str, ...] | None, expected: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "packages.yaml"
    file.write_text(CATALOGUE)
    assert names.wanted(kind, platform, optional, file) == expected


def test_names_of_the_real_catalogue_are_read_for_every_image() -> None:
    for image in images.IMAGES.values():
        assert "make" in names.wanted(image.manager, image.system)


def test_the_ready_image_has_what_the_catalogue_asks_for_but_what_it_is_said_to_lack() -> None:
    ready = images.find("ready")
    assert ready.lacks
    assert {*ready.packages, *ready.lacks} == set(names.wanted("apt", ready.system))
    assert not set(ready.packages) & set(ready.lacks)
    assert images.find("debian12").packages == ()


def test_names_say_which_catalogue_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"none\.yaml"):
        names.wanted("apt", "debian-12", None, tmp_path / "none.yaml")


def test_rules_let_the_mirrors_port_through_before_anything_is_recorded_or_refused() -> None:
    text = gap.rules("lab1", "br1", "10.9.0.0/24", "10.9.0.1", [8080, 80])
    let_in = "ip daddr 10.9.0.1 tcp dport { 80, 8080 } return"
    assert text.count(let_in) == 2
    assert text.index(let_in) < text.index("add @crossings")
    assert text.rindex(let_in) < text.index("reject")
    assert "dport {" not in gap.rules("lab1", "br1", "10.9.0.0/24", "10.9.0.1")


def test_crossings_are_read_from_the_listing_of_the_set_with_the_hosts_names() -> None:
    elements = [{"concat": ["10.9.0.3", "1.2.3.4", "tcp", 443]}, {"concat": ["10.9.0.2", "9.9.9.9", "icmp", 0]}]
    listing = json.dumps({"nftables": [{"metainfo": {}}, {"set": {"name": "crossings", "elem": elements}}]})
    found = gap.parse_set(listing)
    assert found == [gap.Crossing("10.9.0.2", "9.9.9.9", "icmp", 0), gap.Crossing("10.9.0.3", "1.2.3.4", "tcp", 443)]
    assert found[1].as_json({"10.9.0.3": "demo-1"}) == {
        "host": "demo-1",
        "source": "10.9.0.3",
        "destination": "1.2.3.4",
        "protocol": "tcp",
        "port": 443,
    }
    assert gap.parse_set('{"nftables": [{"set": {"name": "crossings"}}]}') == []


QUERY = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\7Example\3org\0\0\1\0\1"


def test_hosts_behind_a_gap_are_led_to_it_before_it_is_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Newer engines give closed networks no route, so that attempts would end in the host, unseen."""
    done: list[str] = []
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    monkeypatch.setattr(hosts.shell, "need", lambda *args: None)
    monkeypatch.setattr(hosts.shell, "run", lambda *args: Path(f"{args[-1]}.pub").write_text("ssh-ed25519 A"))
    monkeypatch.setattr(engine, "docker", lambda *args, **_: done.append(shlex.join(args)) or "true")
    monkeypatch.setattr(images, "ensure", lambda name: f"lab-{name}")
    monkeypatch.setattr(hosts, "down", lambda name: None)
    monkeypatch.setattr(hosts, "make_network", lambda lab: "172.19.0.1")
    monkeypatch.setattr(
        hosts, "reach", lambda name, python: inventory.Host(name, "172.19.0.2", "ssh-ed25519 A", python)
    )
    monkeypatch.setattr(hosts.proof, "prove", lambda name: done.append("prove"))
    hosts.up(Lab(name="t", image="debian12", airgap=True, names=("a", "b")))
    routes = [line for line in done if "route replace default via 172.19.0.1" in line]
    assert [line.split("container:")[1].split()[0] for line in routes] == ["a", "b"]
    assert done[-1] == "prove"


def test_the_sink_reads_the_name_and_answers_that_there_is_none() -> None:
    name, end = sink.question(QUERY + b"\0\0extra")
    assert (name, end) == ("example.org", len(QUERY))
    answer = sink.refusal(QUERY, end)
    assert answer[:2] == QUERY[:2]
    assert answer[2] & 0x80, "not marked as an answer"
    assert answer[3] & 0x0F == 3, "not NXDOMAIN"
    assert answer[12:] == QUERY[12:]


def test_names_asked_for_are_told_once_per_host() -> None:
    line = json.dumps({"source": "10.9.0.2", "name": "a.example"})
    assert gap.parse_names(f"warning: x\n{line}\n{line}\n") == [gap.Crossing("10.9.0.2", "a.example", "dns", 53)]


def test_inventory_and_known_hosts_bear_a_folder_with_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "a lab's room"
    folder.mkdir()
    host = inventory.Host("demo-1", "10.9.0.2", "ssh-ed25519 AAAA root@demo-1\n", "/usr/bin/python3")
    target = inventory.write([host], folder, "ops")
    read = yaml.safe_load((target / "hosts.yml").read_text())["all"]["children"]["hosts_cpu"]["hosts"]["demo-1"]
    assert read["ansible_become"] is True
    words = shlex.split(read["ansible_ssh_common_args"])
    assert words[::2] == ["-o", "-o", "-o"]
    assert words[1] == f'UserKnownHostsFile="{folder}/known_hosts"'
    assert "StrictHostKeyChecking=yes" in words
    assert (folder / "known_hosts").read_text() == "10.9.0.2,demo-1 ssh-ed25519 AAAA\n"


def test_a_user_without_sudo_is_not_told_to_become_root(tmp_path: Path) -> None:
    host = inventory.Host("demo-1", "10.9.0.2", "ssh-ed25519 AAAA", "/usr/bin/python3")
    assert inventory.entry(host, tmp_path, "plain")["ansible_become"] is False


@pytest.mark.parametrize("name", ["", "Big", "-x", "a b", "a/b", "x" * 42])
def test_a_lab_refuses_names_that_docker_or_a_path_would_not_bear(name: str) -> None:
    with pytest.raises(LabError, match="not a valid name of a lab"):
        Lab(name)


def test_a_lab_refuses_an_unknown_user() -> None:
    with pytest.raises(LabError, match="ops"):
        Lab("demo", user="nobody")


def test_a_labs_parts_are_called_after_it() -> None:
    lab = Lab("a" * 41, hosts=2)
    assert lab.containers == (f"{lab.name}-1", f"{lab.name}-2")
    assert len(lab.bridge) <= 15
    assert Lab("demo", names=("x", "y")).containers == ("x", "y")


def test_small_disks_are_size_and_path() -> None:
    assert tmpfs_option("64m:/opt") == "/opt:rw,exec,mode=0755,size=64m"
    assert tmpfs_option("1g,noexec:/x") == "/x:rw,mode=0755,size=1g,noexec"
    assert tmpfs_option("9k,mode=1777,nr_inodes=9:/x") == "/x:rw,exec,size=9k,mode=1777,nr_inodes=9"
    for wrong in ("64m", "/opt:64m", "big:/opt", "64m:opt", "64m,suid:/opt"):
        with pytest.raises(LabError, match="SIZE:PATH"):
            tmpfs_option(wrong)


def test_an_images_digest_follows_its_recipe_and_its_parents(tmp_path: Path) -> None:
    for name in images.IMAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(name)
    before = {name: images.digest(name, tmp_path) for name in images.IMAGES}
    (tmp_path / "el9" / "Dockerfile").write_text("changed")
    after = {name: images.digest(name, tmp_path) for name in images.IMAGES}
    assert {name for name in before if before[name] != after[name]} == {"el9", "unknown"}
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "init").write_text("new")
    assert all(images.digest(name, tmp_path) != after[name] for name in images.IMAGES)


def test_every_image_has_a_recipe() -> None:
    for image in images.IMAGES.values():
        assert (paths.RECIPES / image.recipe / "Dockerfile").is_file()


def test_an_unknown_image_is_answered_with_the_known_ones() -> None:
    with pytest.raises(LabError, match="debian12"):
        images.find("debian15")


def test_an_archive_is_made_once_and_again_when_its_ingredients_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "CACHE", tmp_path / "the cache")
    made: list[int] = []

    def fill(folder: Path) -> None:
        made.append(1)
        (folder / "x.deb").write_text("x")

    first = archives.kept("a.tar", ["x"], tmp_path / "out", fill)
    before = first.read_bytes()
    assert archives.kept("a.tar", ["x"], tmp_path / "out", fill).read_bytes() == before
    assert len(made) == 1
    archives.kept("a.tar", ["y"], tmp_path / "out", fill)
    assert len(made) == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.tar"]


def test_a_failed_archive_leaves_nothing_that_looks_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "CACHE", tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise LabError("broke")

    with pytest.raises(LabError, match="broke"):
        archives.kept("a.tar", ["x"], tmp_path / "out", fail)
    assert not list(tmp_path.rglob("*.tar"))
    assert not list((tmp_path / "scratch").iterdir())


def test_a_stand_in_rpm_says_that_it_is_one() -> None:
    assert "STAND-IN" in rpms.spec("gcc-c++")
    assert "Name: gcc-c++" in rpms.spec("gcc-c++")


def test_without_an_engine_a_plain_user_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    monkeypatch.setattr(engine, "answers", lambda: False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(LabError, match="systemctl start docker"):
        engine.ensure()


def test_wheels_are_those_that_the_hosts_python_needs_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ipython, which needs typing_extensions before Python 3.12 only."""
    needs = ("older; python_version < '3.4'", "newer; python_version >= '3.4'")
    for name, requirements in {"wanted": needs, "older": (), "newer": ()}.items():
        with zipfile.ZipFile(tmp_path / f"{name}-1-py3-none-any.whl", "w") as wheel:
            lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1"]
            lines += [f"Requires-Dist: {words}" for words in requirements]
            wheel.writestr(f"{name}-1.dist-info/METADATA", "\n".join(lines) + "\n")
            wheel.writestr(f"{name}-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    fetched = tmp_path / "fetched"
    wheels.fetch("3.3", "cp33", ["wanted"], fetched)
    assert sorted(path.name.split("-")[0] for path in fetched.iterdir()) == ["older", "wanted"]
