"""Recipes: what goes into a digest, how far a change reaches, what is left out and what is missing."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue.model import Artifact, Catalogue, Component, Need
from neuraltalk_provision.catalogue.platform import Platform
from neuraltalk_provision.catalogue.recipe import BuildSettings, Recipe, write
from neuraltalk_provision.errors import MirrorError
from tests.unit.catalogue import EDIT, SMALL

DEBIAN = Platform("debian", "12", "x86_64", "apt")
CENTOS = Platform("centos", "7", "x86_64", "yum")
SETTINGS = BuildSettings(stack_root="/opt/neuraltalk", pip_source="auto", pip_index_url="")


@dataclass(frozen=True)
class Held:
    """A line of a lock."""

    name: str
    file: str
    sha256: str
    size: int = 10
    version: str = ""


def lock(*names: str, **digests: str) -> dict[str, Held]:
    return {name: Held(name, f"{name}.tgz", digests.get(name, f"sha-{name}")) for name in (*names, *digests)}


FULL = lock("torch", "nn", "scorer", "weights", "python-wheels-debian-12-x86_64")


def recipe(
    listed: dict[str, Held] = FULL,
    platform: Platform = DEBIAN,
    settings: BuildSettings = SETTINGS,
    known: Catalogue = SMALL,
) -> Recipe:
    return write(known, listed, platform, settings)


def digests(of: Recipe) -> dict[str, str]:
    return {part.name: part.digest for part in of.parts}


def changed(one: Recipe, other: Recipe) -> set[str]:
    before, after = digests(one), digests(other)
    return {name for name in before if before[name] != after.get(name)}


def test_same_inputs_give_the_same_id_whatever_the_order_of_the_lock() -> None:
    assert recipe().id == recipe(dict(reversed(FULL.items()))).id
    assert len(recipe().id) == 16


@pytest.mark.parametrize(
    ("name", "reaches"),
    [
        ("torch", {"torch", "nn", "scorer"}),
        ("nn", {"nn", "scorer"}),
        ("scorer", {"scorer"}),
        ("weights", {"scorer"}),
        ("python-wheels-debian-12-x86_64", {"python"}),
    ],
)
def test_new_artifact_reaches_what_requires_it_and_only_that(name: str, reaches: set[str]) -> None:
    other = recipe({**FULL, **lock(**{name: "other"})})
    assert changed(recipe(), other) == reaches
    assert other.id != recipe().id


def test_changed_edit_reaches_what_requires_its_archive() -> None:
    edits = {"torch": (EDIT.model_copy(update={"replacement": "make\n"}),)}
    other = recipe(known=SMALL.model_copy(update={"edits": edits}))
    assert changed(recipe(), other) == {"torch", "nn", "scorer"}


def test_changed_row_of_the_catalogue_reaches_what_requires_it() -> None:
    rows = tuple(c.model_copy(update={"loads": ("nn",)}) if c.name == "nn" else c for c in SMALL.components)
    assert changed(recipe(), recipe(known=SMALL.model_copy(update={"components": rows}))) == {"nn", "scorer"}


@pytest.mark.parametrize(
    "other",
    [
        recipe(settings=replace(SETTINGS, stack_root="/srv/x")),
        recipe(platform=replace(DEBIAN, manager="dnf")),
        recipe(platform=replace(DEBIAN, machine="aarch64"), listed={**FULL, **lock("python-wheels-debian-12-aarch64")}),
    ],
    ids=["stack root", "package manager", "machine"],
)
def test_another_root_or_platform_is_another_build_of_everything(other: Recipe) -> None:
    assert changed(recipe(), other) == set(digests(recipe()))


def test_an_update_within_the_release_does_not_make_another_generation() -> None:
    assert recipe(platform=replace(DEBIAN, version="12.11")).id == recipe().id


def test_optional_packages_do_not_make_another_generation() -> None:
    needs = tuple(need for need in SMALL.needs if not need.optional)
    assert recipe(known=SMALL.model_copy(update={"needs": needs})).id == recipe().id


def test_surplus_artifacts_do_not_make_another_generation() -> None:
    more = {**FULL, **lock("packages-debian-12-x86_64", "python-wheels-centos-7-x86_64", "cutorch")}
    assert recipe(more).id == recipe().id


def test_component_whose_optional_artifacts_are_missing_is_left_out_and_named() -> None:
    for without in ("scorer", "weights"):
        less = recipe({name: held for name, held in FULL.items() if name != without})
        assert less.left_out == ("scorer",)
        assert list(digests(less)) == ["torch", "nn", "python"]
        assert changed(less, recipe()) == set()
        assert less.id != recipe().id


NEWER = Artifact(name="newer", role="neuraltalk2", matches=("newer.tar",), optional=True, flat=True)
TABLE = Artifact(name="table", role="neuraltalk2", matches=("table.json",), optional=True, archive=False)
EITHER = SMALL.model_copy(
    update={
        "artifacts": (*SMALL.artifacts, NEWER, TABLE),
        "components": (
            *SMALL.components[:-1],
            Component(name="scorer", role="neuraltalk2", artifact="scorer", python3="newer", extras=("table",)),
        ),
        "edits": {"scorer": (EDIT,)},
    }
)
WHEELS = "python-wheels-debian-12-x86_64"


@pytest.mark.parametrize(
    ("listed", "python", "files"),
    [
        (("scorer",), "3", ["scorer"]),
        (("newer",), "3", ["newer"]),
        (("scorer", "newer"), "3", ["newer"]),
        (("scorer", "newer"), "2", ["scorer"]),
        (("scorer", "table"), "2", ["scorer", "table"]),
        (("newer", "table"), "3", ["newer", "table"]),
        (("newer", "table"), "2", None),
        (("table",), "3", None),
    ],
)
def test_component_is_made_for_python_3_in_another_way_where_the_mirror_has_what_that_takes(
    listed: tuple[str, ...], python: str, files: list[str] | None
) -> None:
    made = recipe(lock("torch", "nn", WHEELS, *listed), replace(DEBIAN, python=python), known=EITHER)
    assert made.left_out == (() if files else ("scorer",))
    if files:
        assert [file["name"] for file in made.part("scorer").files] == files
        assert len(made.part("scorer").edits) == (1 if files[0] == "scorer" else 0)


def test_each_way_and_each_extra_is_another_build_of_that_component_and_of_nothing_else() -> None:
    ways = [("scorer",), ("newer",), ("newer", "table"), ("scorer", "table")]
    made = [recipe(lock("torch", "nn", WHEELS, *way), known=EITHER) for way in ways]
    assert len({one.part("scorer").digest for one in made}) == len(ways)
    assert all(changed(made[0], other) == {"scorer"} for other in made[1:])


def test_every_missing_required_artifact_is_named_with_its_file() -> None:
    with pytest.raises(MirrorError) as caught:
        recipe(lock("scorer"))
    assert caught.value.message == "the mirror has no torch (torch.tgz), nn (nn.tgz)"
    assert "provision mirror add" in caught.value.advice


def test_wheels_are_those_of_the_platform() -> None:
    listed = {**FULL, **lock("python-wheels-centos-7-x86_64")}
    for platform in (DEBIAN, CENTOS):
        made = recipe(listed, platform)
        (python,) = (part for part in made.parts if part.name == "python")
        assert [file["name"] for file in python.files] == [f"python-wheels-{platform.key}"]
        assert made.pip_source == "mirror"


@pytest.mark.parametrize(
    ("source", "index", "listed", "becomes"),
    [
        ("auto", "", FULL, "mirror"),
        ("auto", "https://pypi.example/simple", FULL, "mirror"),
        ("auto", "https://pypi.example/simple", lock("torch", "nn"), "index"),
        ("auto", "", lock("torch", "nn"), "host"),
        ("host", "", FULL, "host"),
        ("index", "", FULL, "index"),
    ],
)
def test_pip_takes_what_is_said_else_the_mirror_else_the_index_else_the_host(
    source: str, index: str, listed: dict[str, Held], becomes: str
) -> None:
    made = recipe(listed, settings=replace(SETTINGS, pip_source=source, pip_index_url=index))
    (python,) = (part for part in made.parts if part.name == "python")
    assert made.pip_source == becomes
    assert len(python.files) == (1 if becomes == "mirror" else 0)


def test_pip_from_the_mirror_without_wheels_of_the_platform_is_refused() -> None:
    with pytest.raises(MirrorError, match=r"no python-wheels-centos-7-x86_64\.tar, but pip\.source is `mirror`"):
        recipe(platform=CENTOS, settings=replace(SETTINGS, pip_source="mirror"))


def test_no_pip_leaves_the_python_part_out() -> None:
    made = recipe(settings=replace(SETTINGS, pip_source="none"))
    assert made.left_out == ("python",)
    assert "python" not in digests(made)


def test_packages_have_the_names_of_the_family_and_release() -> None:
    assert (recipe().required, recipe().optional) == (("gcc", "libc6-dev", "python3-pip"), ("sox",))
    made = recipe(platform=CENTOS)
    assert (made.manager, made.required, made.optional) == ("yum", ("gcc", "python-pip"), ("sox-devel",))


def test_package_for_what_the_mirror_has_not_is_not_wanted() -> None:
    java = Need(need="Java", role="neuraltalk2", apt=("jre",), rpm=("jre",), optional=True, artifacts=("newer",))
    known = SMALL.model_copy(update={"needs": (*SMALL.needs, java)})
    assert recipe(known=known).optional == ("sox",)
    assert recipe({**FULL, **lock("newer")}, known=known).optional == ("sox", "jre")


def test_packages_that_are_needed_when_the_stack_is_used_are_told_and_do_not_make_another_generation() -> None:
    needs = tuple(need.model_copy(update={"runs": True}) for need in SMALL.needs[:1])
    other = recipe(known=SMALL.model_copy(update={"needs": needs + SMALL.needs[1:]}))
    assert other.runs == needs[0].names("apt", DEBIAN.lookups)
    assert (recipe().runs, other.id) == ((), recipe().id)


def test_package_repository_is_that_of_the_platform() -> None:
    listed = {**FULL, **lock("packages-debian-12-x86_64")}
    found = recipe(listed).repository
    assert found and found["name"] == "packages-debian-12-x86_64"
    assert recipe(listed, CENTOS).repository is None


def test_recipe_reaches_ansible_as_plain_data_with_its_directory() -> None:
    given = recipe().as_vars()
    assert given["generation"] == f"/opt/neuraltalk/generations/{recipe().id}"
    back = json.loads(json.dumps(given))
    assert back["parts"][0]["edits"][0]["pattern"] == EDIT.pattern
    assert back["parts"][0]["files"][0] == {"name": "torch", "file": "torch.tgz", "sha256": "sha-torch", "size": 10}


def test_shipped_catalogue_makes_a_recipe_from_a_full_mirror_and_names_all_that_an_empty_one_lacks() -> None:
    known = catalogue.load()
    full = lock(*(artifact.name for artifact in known.artifacts if not artifact.per_platform))
    made = write(known, full, DEBIAN, SETTINGS)
    without_card = [component.name for component in known.components if not component.profiles]
    assert [part.name for part in made.parts] == without_card
    assert made.left_out == ()
    with pytest.raises(MirrorError) as caught:
        write(known, {}, DEBIAN, SETTINGS)
    required = [a.name for a in known.artifacts if not a.optional]
    assert all(f"{name} (" in caught.value.message for name in required)
    assert "coco-caption" not in caught.value.message
