"""What a pull would move, decided from the catalogue, the lock and the command line alone."""

from __future__ import annotations

import pytest

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue import target
from neuraltalk_provision.catalogue.model import GitSource, UrlSource
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror import addresses
from neuraltalk_provision.mirror.lock import Entry
from neuraltalk_provision.mirror.pull_plan import Mirror, PullPlan, plan

CATALOGUE = catalogues.load()
GIT = {name: source for name, source in CATALOGUE.sources.items() if isinstance(source, GitSource)}
CPU = ["image", "loadcaffe", "lua-cjson", "neuraltalk2", "nn", "nngraph", "torch", "torch-hdf5", "torch-totem"]


def planned(
    *keys: str, profiles: tuple[str, ...] = ("cpu",), entries: tuple[Entry, ...] = (), **more: object
) -> PullPlan:
    mirror = Mirror({entry.name: entry for entry in entries}, {entry.file: entry.size for entry in entries})
    targets = [target.parse(key) for key in keys or ("debian-12-x86_64",)]
    return plan(CATALOGUE, targets, profiles, mirror, **more)  # type: ignore[arg-type]


def entry(name: str = "nn", file: str = "nn.tar", **more: object) -> Entry:
    source = GIT[name]
    fields = {"sha256": source.sha256 or "0" * 64, "size": 5, "role": "lua_rocks", "origin": "x"} | more
    return Entry.model_validate({"name": name, "file": file, **fields})


def names(plan: PullPlan, *states: str) -> list[str]:
    return [row.name for row in plan.rows if row.state in states]


def test_hosts_without_cards_need_the_sources_of_the_stack() -> None:
    found = planned()
    assert names(found, "pull") == CPU
    assert names(found, "by hand") == ["coco-annotations", "vgg16-model", "vgg16-proto"]
    later = ["packages-debian-12-x86_64", "provision-wheels", "python-wheels-debian-12-x86_64", "score-wheels"]
    assert names(found, "later") == later
    assert names(found, "make") == ["install-provision"]
    assert {row.reason for row in found.of("later")} == {"not pulled yet: see docs/mirror-by-hand.md"}


@pytest.mark.parametrize(
    ("profile", "more", "by_hand"),
    [
        ("legacy", ["cudnn-rock", "cunn", "cutorch"], ["cudnn-archive"]),
        ("modern", ["cunn-modern", "cutorch-modern"], []),
    ],
)
def test_profile_brings_its_gpu_software(profile: str, more: list[str], by_hand: list[str]) -> None:
    found = planned(profiles=(profile,))
    assert sorted(set(names(found, "pull")) - set(CPU)) == more
    assert sorted(set(names(found, "by hand")) - set(names(planned(), "by hand"))) == by_hand
    assert ("cuda-wheels-debian-12-x86_64" in names(found, "later")) == (profile == "modern")


def test_hosts_with_python_2_score_with_coco_caption() -> None:
    found = planned("centos-7-x86_64")
    assert "coco-caption" in names(found, "pull")
    assert "score-wheels" not in [row.name for row in found.rows]
    both = planned("centos-7-x86_64", "rocky-9-x86_64")
    assert {"coco-caption", "score-wheels", "packages-centos-7-x86_64", "packages-rocky-9-x86_64"} <= {
        row.name for row in both.rows
    }


def test_commit_that_two_artifacts_need_is_moved_once() -> None:
    found = planned()
    nngraph = [one for one in found.transfers if one.origin == "https://github.com/torch/nngraph"]
    assert len(nngraph) == 1
    assert len(found.transfers) == len(CPU) + 27 - 2  # image and nngraph are submodules of torch at the same commit


def test_what_the_mirror_has_is_not_moved() -> None:
    found = planned(entries=(entry(),))
    assert names(found, "present") == ["nn"]
    assert names(found, "pull") == [name for name in CPU if name != "nn"]


def test_file_that_is_gone_or_too_short_is_moved_again() -> None:
    for sizes, reason in (({}, "its file is not in the mirror"), ({"nn.tar": 4}, "its file in the mirror is damaged")):
        found = plan(CATALOGUE, [target.parse("debian-12-x86_64")], ["cpu"], Mirror({"nn": entry()}, sizes))
        assert [row.reason for row in found.of("pull") if row.name == "nn"] == [reason]


def test_other_file_is_kept_unless_it_is_to_be_replaced() -> None:
    own = entry(file="nn.tgz", sha256="1" * 64)
    (row,) = planned(entries=(own,)).of("kept")
    assert (row.name, row.transfers) == ("nn", ())
    assert "nn.tgz, which is kept; --replace replaces it" in row.reason
    (row,) = [row for row in planned(entries=(own,), replace=True).of("pull") if row.name == "nn"]
    assert row.reason == "replaces nn.tgz"


def test_source_without_a_known_digest_is_known_by_its_commit() -> None:
    name = "coco-caption"
    assert GIT[name].sha256 == ""
    origin = f"https://github.com/tylin/coco-caption {GIT[name].commit}"
    assert names(planned("centos-7-x86_64", entries=(entry(name, "x.tar", origin=origin),)), "present") == [name]
    assert names(planned("centos-7-x86_64", entries=(entry(name, "x.tar"),)), "kept") == [name]


def test_only_some_artifacts_are_pulled() -> None:
    assert names(planned(only=["nn", "cutorch"]), "pull") == ["cutorch", "nn"]
    assert names(planned(only=["packages"]), "later") == ["packages-debian-12-x86_64"]
    assert names(planned(only=["python-wheels-debian-12-x86_64"]), "later") == ["python-wheels-debian-12-x86_64"]


def test_unknown_artifact_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="there is no artifact torhc") as caught:
        planned(only=["nn", "torhc"])
    assert "torch-totem" in caught.value.advice


def test_addresses_are_replaced_and_the_origin_is_kept() -> None:
    found = planned(only=["nn"], known={"https://github.com/torch": "file:///srv/git/torch"})
    assert [(one.address, one.origin) for one in found.transfers] == [
        ("file:///srv/git/torch/nn", "https://github.com/torch/nn")
    ]


@pytest.mark.parametrize(
    ("address", "replaced"),
    [
        ("https://a.org/x/y", "file:///longest/y"),
        ("https://a.org/xy", "file:///short/xy"),
        ("https://a.org/x", "file:///longest"),
        ("https://b.org/x", "https://b.org/x"),
        ("https://c.org/x", "https://git.local/x"),
    ],
)
def test_longest_beginning_that_ends_at_a_slash_is_replaced(address: str, replaced: str) -> None:
    known = {
        "https://a.org": "file:///short",
        "https://a.org/x": "file:///longest",
        "https://c.org/": "https://git.local/",
    }
    assert addresses.replaced(address, known) == replaced


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (["https://a.org"], "it must be a mapping"),
        ({"https://a.org": 1}, "both sides must be text"),
        ({"https://a.org": "/srv/git"}, "cannot replace an address"),
        ({"https://a.org": "git://b.org"}, "cannot replace an address"),
        ({"https://a.org": "ext::sh -c id"}, "is not an address"),
        ({"--upload-pack=x": "https://b.org"}, "is not an address"),
        ({"": "https://b.org"}, "is not an address"),
        ({"https://a.org": "https://user:secret@b.org/x"}, "contains a user name or password"),
    ],
)
def test_map_that_is_not_one_is_refused_with_its_file(document: object, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        addresses.parse(document, "map.yml")
    assert caught.value.message.startswith("map.yml: ")
    assert words in caught.value.message
    assert caught.value.advice
    assert "secret" not in caught.value.message


def test_login_name_of_ssh_is_part_of_an_address() -> None:
    known = {"https://a.org": "ssh://git@b.org/x"}
    assert addresses.parse(known, "map.yml") == known


def test_empty_map_is_none() -> None:
    assert addresses.parse(None, "map.yml") == {}


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("debian", "is not a platform"),
        ("debian-12", "is not a platform"),
        ("Debian-12-x86_64", "is not a platform"),
        ("ubuntu-22.04-x86_64", "hosts report only the major version"),
        ("debian-12-aarch64", "only hosts of the machine type x86_64"),
        ("debain-12-x86_64", "no system has the ID debain"),
        ("../x-1-x86_64", "is not a platform"),
        ("pop-22-x86_64", "hosts with pop 22 have the platform of the release that it is made of"),
        ("pop-2204-x86_64", "no release of pop has the major version 2204"),
    ],
)
def test_platform_that_no_host_has_is_refused(key: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        target.parse(key)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("debian-12", "debian-12-x86_64"),
        ("Debian-12-x86_64", "debian-12-x86_64"),
        ("ubuntu-24-amd64", "ubuntu-24-x86_64"),
        ("ubuntu-24.04-amd64", "ubuntu-24-x86_64"),
        ("ubuntu-2404-x86_64", "ubuntu-24-x86_64"),
        ("ubuntu-noble-x86_64", "ubuntu-24-x86_64"),
        ("ubuntu-26.04", "ubuntu-26-x86_64"),
        ("noble", "ubuntu-24-x86_64"),
        ("trixie-x86_64", "debian-13-x86_64"),
        ("debian-noble-x86_64", "ubuntu-24-x86_64"),
        ("ubuntu-trixie", "debian-13-x86_64"),
        ("pop-os-22-x86_64", "ubuntu-22-x86_64"),
        ("pop-2204-x86_64", "ubuntu-22-x86_64"),
        ("linuxmint-22-x86_64", "ubuntu-24-x86_64"),
        ("mint-6", "debian-12-x86_64"),
        ("linuxmint-2204-x86_64", "ubuntu-22-x86_64"),
        ("ubuntu-2405-x86_64", "ubuntu-24-x86_64"),
        ("debian-120-x86_64", "debian-12-x86_64"),
        ("debian-012-x86_64", "debian-12-x86_64"),
        ("centos-79-x86_64", "centos-7-x86_64"),
        ("rhel-810-x86_64", "rhel-8-x86_64"),
        ("openeuler-2203-x86_64", "openeuler-22-x86_64"),
        pytest.param(f"ubuntu-24{'0' * 5000}-x86_64", "ubuntu-24-x86_64", id="more digits than Python reads"),
    ],
)
def test_platform_that_was_meant_is_named(key: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        target.parse(key)
    assert meant in (caught.value.advice or "")


@pytest.mark.parametrize("key", ["debian", "x86_64", "12", "ubuntu-x86_64", "debian-12-arm64"])
def test_platform_that_cannot_be_collected_is_not_proposed(key: str) -> None:
    with pytest.raises(UsageError) as caught:
        target.parse(key)
    assert "Did you mean" not in (caught.value.advice or "")


@pytest.mark.parametrize(
    ("key", "python"),
    [
        *(("centos-7-x86_64", "2"), ("rocky-9-x86_64", "3"), ("debian-7-x86_64", "3"), ("fedora-43-x86_64", "3")),
        *(("kali-2026-x86_64", "3"), ("amzn-2023-x86_64", "3"), ("own-2204-x86_64", "3")),
    ],
)
def test_platform_is_read_from_its_key(key: str, python: str) -> None:
    assert (target.parse(key).key, target.parse(key).python) == (key, python)


@pytest.mark.parametrize("artifact", CATALOGUE.artifacts, ids=lambda artifact: artifact.name)
def test_every_artifact_has_a_source_of_its_kind(artifact: catalogues.Artifact) -> None:
    source = CATALOGUE.sources[artifact.name]
    if isinstance(source, GitSource):
        assert artifact.archive
        assert f"{artifact.name}.tar" in artifact.matches
    assert artifact.per_platform <= (source.kind in ("os_packages", "python_wheels"))
    if isinstance(source, GitSource | UrlSource):
        assert source.address.startswith("https://")


@pytest.mark.parametrize("name", GIT)
def test_git_source_has_its_digest(name: str) -> None:
    """coco-caption has six files that no copy at hand contained."""
    assert bool(GIT[name].sha256) == bool(GIT[name].size) == (name != "coco-caption")
    paths = [part.path for part in GIT[name].submodules]
    assert len(paths) == len(set(paths))


def test_torch_has_every_submodule_that_its_archive_must_contain() -> None:
    held = {held.split("/rock")[0] for held in CATALOGUE.artifact("torch").holds if held.count("/") >= 2}
    paths = {part.path for part in GIT["torch"].submodules}
    assert len(paths) == 27
    assert {path for path in held if not any(path.startswith(known) for known in paths)} == set()
