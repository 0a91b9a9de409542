"""The catalogue's data: everything that it names exists, in an order that can be built."""

from __future__ import annotations

import fnmatch
import re

import pytest
from pydantic import ValidationError

from neuraltalk_provision import catalogue, paths
from neuraltalk_provision.catalogue.edits import problems
from neuraltalk_provision.catalogue.model import Artifact, Edit, Need
from neuraltalk_provision.rules import edits
from neuraltalk_provision.runs.request import spec
from tests.standin import archives

CATALOGUE = catalogue.load()
ARTIFACTS = {artifact.name: artifact for artifact in CATALOGUE.artifacts}
ROLES = {path.name for path in (paths.share() / "roles").iterdir() if path.is_dir()}
COMPONENTS = [component.name for component in CATALOGUE.components]


def test_names_are_given_once() -> None:
    assert len(ARTIFACTS) == len(CATALOGUE.artifacts)
    for profile in ("", *CATALOGUE.compatibility.profiles):
        names = [c.name for c in CATALOGUE.components if not c.profiles or profile in c.profiles]
        assert len(set(names)) == len(names)
    assert len({need.need for need in CATALOGUE.needs}) == len(CATALOGUE.needs)


@pytest.mark.parametrize("component", CATALOGUE.components, ids=COMPONENTS)
def test_component_is_built_from_what_there_is_after_what_it_requires(component: catalogue.Component) -> None:
    assert set(component.requires) <= set(COMPONENTS[: COMPONENTS.index(component.name)])
    python3 = (component.python3,) if component.python3 else ()
    names = (component.artifact, *component.companions, *component.extras, *python3)
    assert set(names) <= set(ARTIFACTS)
    assert component.role in ROLES
    assert all(ARTIFACTS[name].role == component.role for name in names)
    assert all(ARTIFACTS[name].optional for name in (*component.extras, *python3))


def test_rocks_of_one_role_have_a_rockspec() -> None:
    for component in CATALOGUE.components:
        no_rock = component.requirements or component.name in ("cuda", "cudnn")
        assert bool(component.rockspec) == (component.role in ("lua_rocks", "hdf5", "gpu_stack") and not no_rock)


@pytest.mark.parametrize("component", [c for c in CATALOGUE.components if c.rockspec], ids=lambda c: c.name)
def test_rockspec_is_something_that_its_archive_has_to_hold(component: catalogue.Component) -> None:
    assert component.rockspec in ARTIFACTS[component.artifact].holds


def test_seed_rebuilds_are_all_there() -> None:
    """What the manual procedure installs, in an order in which nn, nngraph and image are one set."""
    wanted = ["torch", "cjson", "nn", "nngraph", "image", "loadcaffe", "totem", "hdf5", "neuraltalk2"]
    assert [name for name in COMPONENTS if name in wanted] == wanted


@pytest.mark.parametrize("name", CATALOGUE.edits)
def test_edits_belong_to_an_archive_that_something_is_built_from(name: str) -> None:
    assert ARTIFACTS[name].archive
    built = {component.artifact for component in CATALOGUE.components if component.rockspec}
    assert name in built | {"torch", "neuraltalk2", "coco-caption"}


@pytest.mark.parametrize(
    "edit",
    [edit for edits in CATALOGUE.edits.values() for edit in edits],
    ids=lambda edit: f"{edit.file}: {edit.reason}",
)
def test_edit_changes_something_says_why_and_cannot_be_made_twice_unseen(edit: Edit) -> None:
    assert edit.count >= 1
    assert edit.pattern.strip()
    assert edit.replacement != edit.pattern
    assert len(edit.reason) > 20
    assert (edit.pattern + edit.replacement).isascii()  # Python 2.7 hands the module bytes
    assert not edit.file.startswith("/") and ".." not in edit.file.split("/")


@pytest.mark.parametrize("name", CATALOGUE.edits)
def test_edits_of_one_archive_do_not_hinder_each_other(name: str) -> None:
    """A source with each pattern as often as expected takes all edits, in their order."""
    sources: dict[str, str] = {}
    for edit in CATALOGUE.edits[name]:
        sources[edit.file] = sources.get(edit.file, "") + f"{edit.pattern}\n--\n" * edit.count
    assert problems(sources, CATALOGUE.edits[name]) == []
    (first, *_) = CATALOGUE.edits[name]
    assert len(problems({**sources, first.file: ""}, CATALOGUE.edits[name])) == 1


@pytest.mark.parametrize("artifact", CATALOGUE.artifacts, ids=list(ARTIFACTS))
def test_proposed_file_name_is_known_as_that_artifact_and_no_other(artifact: Artifact) -> None:
    assert artifact.role in ROLES | {"controller"}  # what goes to no host
    if artifact.per_platform:
        return
    proposed = artifact.matches[0].replace("*", "1.0")
    others = [
        o for o in CATALOGUE.artifacts if o is not artifact and any(fnmatch.fnmatch(proposed, m) for m in o.matches)
    ]
    assert others == []


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("torch.tgz", "torch"),
        ("torch-hdf5.tgz", "torch-hdf5"),
        ("torch-totem-master.tar.gz", "torch-totem"),
        ("nn-master.tgz", "nn"),
        ("nngraph.tgz", "nngraph"),
        ("image-master.tar.gz", "image"),
        ("cudnn-7.5-linux-x64-v5.0-ga.tgz", "cudnn-archive"),
        ("cudnn.torch-R5.tgz", "cudnn-rock"),
        ("VGG_ILSVRC_16_layers.caffemodel", "vgg16-model"),
        ("score-wheels.tar", "score-wheels"),
        ("score-wheels-debian-12-x86_64.tar", "score-wheels"),
        ("captions_val2014.json", "coco-annotations"),
        ("VGG_ILSVRC_16_layers_deploy.prototxt", "vgg16-proto"),
    ],
)
def test_names_under_which_people_bring_files_are_known(file: str, name: str) -> None:
    found = [a.name for a in CATALOGUE.artifacts if any(fnmatch.fnmatch(file, glob) for glob in a.matches)]
    assert found == [name]


def test_document_about_mirrors_says_what_to_bring_for_every_artifact() -> None:
    text = (paths.share() / "docs" / "mirror-by-hand.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| [^|]{5,} \|", text.partition("\n## Artifacts\n")[2].partition("\n## ")[0], re.M)
    named = {name.removesuffix("-PLATFORM") for row in rows for name in row.split(", ")}
    assert set(ARTIFACTS) - named == set()
    assert named - set(ARTIFACTS) == {"artifact"}, "rows of artifacts that do not exist"


@pytest.mark.parametrize("need", CATALOGUE.needs, ids=lambda need: need.need)
def test_package_need_has_names_for_every_family(need: Need) -> None:
    assert need.role in ROLES
    for manager, keys in (("apt", ("debian-12",)), ("yum", ("centos-7", "el-7")), ("dnf", ("rocky-9", "el-9"))):
        names = need.names(manager, keys)
        assert names
        assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+_-]*", name) for name in names)


def test_own_release_wins_over_its_family_and_the_default() -> None:
    need = Need(need="n", role="torch", apt=("a",), rpm={"default": ("d",), "el-7": ("e",), "centos-7": ("c",)})
    assert need.names("yum", ("centos-7", "el-7")) == ("c",)
    assert need.names("yum", ("rhel-7", "el-7")) == ("e",)
    assert need.names("dnf", ("rocky-9", "el-9")) == ("d",)
    assert need.names("apt", ("debian-12",)) == ("a",)
    assert need.every_name() == {"a", "c", "d", "e"}


def test_question_asks_for_packages_of_every_family_once() -> None:
    names = CATALOGUE.package_names()
    assert names == sorted(set(names))
    assert {"g++", "gcc-c++", "python-pip", "python3-pip"} <= set(names)


def test_data_with_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        Artifact.model_validate({"name": "a", "role": "r", "matches": ["a"], "colour": "red"})


@pytest.mark.parametrize("program", ["train.lua", "eval.lua"])
def test_default_of_every_option_is_a_value_that_it_can_have(program: str) -> None:
    """Paths apart, which the programs know relative to their own directory."""
    for name, option in catalogue.program_options(program).items():
        if option.type not in ("file", "folder", "text"):
            spec._refuse_invalid(name, str(option.default), option)


def edited(archive: str, file: str, text: str) -> str:
    """A file of an archive, after its edits."""
    of_file = [edit.model_dump() for edit in CATALOGUE.edits[archive] if edit.file == file]
    assert of_file
    return edits.apply_edits(text, of_file)


def standin(archive: str, file: str) -> str:
    return archives.members(archive)[f"{archive}/{file}"].decode()


def test_torch_does_not_build_what_is_built_from_an_archive_of_its_own() -> None:
    """nn alone takes half a minute, and was built twice."""
    script = edited("torch", "install.sh", standin("torch", "install.sh"))
    built = re.findall(r"&& \$PREFIX/bin/luarocks make (\S+)", script)
    assert {"rocks/torch-scm-1.rockspec", "nnx-0.1-1.rockspec"} <= set(built)
    own = {c.rockspec for c in CATALOGUE.components if c.role == "lua_rocks" and c.name != "cjson"}
    assert [rock for rock in built for pattern in own if fnmatch.fnmatchcase(rock, pattern)] == []
    (torch,) = [component for component in CATALOGUE.components if component.name == "torch"]
    assert not {"nn", "nngraph", "image"} & set(torch.loads)


def test_mathematics_of_each_type_is_compiled_in_one_of_the_files() -> None:
    text = edited("torch", "pkg/torch/lib/TH/THTensor.c", standin("torch", "pkg/torch/lib/TH/THTensor.c"))
    types = re.findall(r'#include "generic/THTensorMath.c"\n#include "THGenerate(\w+).h"', text)
    assert types == ["FloatTypes", "ByteType", "CharType", "ShortType", "IntType", "LongType"]
    assert text.count("#if") == text.count("#endif")
