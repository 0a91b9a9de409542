"""The wheels of the catalogue: complete, for every release that they are meant for, and allowed by pyproject.toml."""

from __future__ import annotations

import re

import pytest
from packaging.utils import canonicalize_name, parse_wheel_filename

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue import pythons, target
from neuraltalk_provision.catalogue.model import PackageSource
from neuraltalk_provision.mirror import wheels
from neuraltalk_provision.site import pythons as site_pythons
from tests.unit.test_dependencies import asked, versions
from tools import wheel_pins

PINS = catalogue.wheels()
SETS = [(artifact, python) for artifact, sets in PINS.items() for python in sets]


def test_every_artifact_that_is_collected_from_an_index_has_wheels() -> None:
    sources = catalogue.load().sources.items()
    names = {name for name, source in sources if isinstance(source, PackageSource) and source.kind == "python_wheels"}
    assert set(PINS) == names


@pytest.mark.parametrize(("artifact", "python"), SETS)
def test_file_names_say_the_same_as_the_rows(artifact: str, python: str) -> None:
    rows = PINS[artifact][python]
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        name, version, _build, _tags = parse_wheel_filename(row.file)
        assert (canonicalize_name(row.name), row.version) == (name, str(version))


def test_hosts_of_every_python_get_what_the_component_requires() -> None:
    (component,) = (part for part in catalogue.load().components if part.artifact == "python-wheels")
    assert set(PINS["python-wheels"]) == set(pythons.every_python())
    for python, rows in PINS["python-wheels"].items():
        assert set(component.requirements) <= {row.name for row in rows}, python


@pytest.mark.parametrize("python", pythons.every_python())
def test_pip_of_every_release_can_use_the_wheels_for_its_python(python: str) -> None:
    limit = min(pythons.version(release.manylinux) for release in pythons.releases(python))
    late = [row.file for row in PINS["python-wheels"][python] if pythons.manylinux(row.file) > limit]
    assert late == []
    assert pythons.version(python) < (3,) or not any("-py2-" in row.file for row in PINS["python-wheels"][python])


def test_manylinux_is_read_from_names() -> None:
    names = {
        "numpy-1-cp27-cp27mu-manylinux1_x86_64.whl": (2, 5),
        "numpy-1-cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl": (2, 27),
        "a-1-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl": (2, 17),
        "six-1-py2.py3-none-any.whl": (0,),
    }
    assert {name: pythons.manylinux(name) for name in names} == names


def test_provision_gets_the_versions_of_its_list_of_requirements() -> None:
    """Each file is one that requirements.txt allows, and all of them satisfy pyproject.toml."""
    allowed, demanded = wheel_pins.hashes(), asked()
    assert set(PINS[wheels.PROVISION]) == set(pythons.CONTROLLER)
    for python, rows in PINS[wheels.PROVISION].items():
        assert {row.name: row.version for row in rows} == versions(python)
        assert {row.sha256 for row in rows} <= allowed
        found = {row.name: row.version for row in rows}
        assert [name for name, versions_ in demanded.items() if found.get(name) not in versions_] == []
        limit = pythons.version(pythons.CONTROLLER[python].manylinux)
        assert [row.file for row in rows if pythons.manylinux(row.file) > limit] == []


def test_old_ansible_core_satisfies_what_provision_demands() -> None:
    """And it is the release that hosts with Python 2.7 are told of."""
    old, demanded = catalogue.old_ansible(), asked()
    found = {wheel.name: wheel.version for wheel in old.wheels}
    assert found["ansible-core"] in demanded["ansible-core"]
    assert found["ansible-core"].startswith(f"{old.version}.")
    assert ".".join(map(str, site_pythons.LAST_FOR_PYTHON_2)) == old.version
    assert set(old.pythons) <= set(pythons.CONTROLLER)
    assert " or ".join(old.pythons) == site_pythons.ITS_CONTROLLERS
    assert set(wheels.with_old_ansible(PINS[wheels.PROVISION])) == set(old.pythons)
    for wheel in old.wheels:
        name, version, _build, tags = parse_wheel_filename(wheel.file)
        assert (name, str(version)) == (canonicalize_name(wheel.name), wheel.version)
        assert {str(tag) for tag in tags} >= {"py3-none-any"}


def test_cuda_is_one_release_for_hosts_with_a_glibc_that_it_runs_on() -> None:
    rows = {row.name: row for row in PINS["cuda-wheels"]["any"]}
    releases = {rows[f"nvidia-{name}"].version[:5] for name in ("cuda-nvcc", "cuda-runtime", "nvjitlink")}
    assert releases == {"13.0."}
    artifact = catalogue.load().artifact("cuda-wheels")
    assert len(wheels.pins_of(artifact, target.parse("rocky-8-x86_64"))) == len(rows)


def test_document_of_pins_is_one_line_for_each_wheel() -> None:
    row = {"name": "h5py", "version": "2.10", "file": "h5py-2.10-py3-none-any.whl", "sha256": "1e3", "size": 7}
    text = "".join(wheel_pins.document({"python-wheels": {"2.7": [row]}}))
    line = '    - {name: h5py, version: "2.10", file: h5py-2.10-py3-none-any.whl, sha256: "1e3", size: 7}\n'
    assert text == f'python-wheels:\n  "2.7":\n{line}'


def test_first_lines_of_the_file_name_the_command_that_wrote_it() -> None:
    text = wheel_pins.FILE.read_text(encoding="utf-8")
    assert text.startswith(wheel_pins.HEAD)
    assert re.search(wheel_pins.COMMAND, wheel_pins.__doc__ or "")
