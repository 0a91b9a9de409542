"""The Python of a host and the wheels of the mirror: what does not go together is refused before a build."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue import pythons
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import wheels
from neuraltalk_provision.site.plan import HostPlan
from neuraltalk_provision.site.unpack import from_builder
from tests.unit.plans import RECIPE, part, planned

FILES = (
    "h5py-3.16.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    "ipython-8.12.3-py3-none-any.whl",
    "Pillow-10.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    "Pillow-10.0-cp312-cp312-manylinux_2_28_x86_64.whl",
    "six-1.17.0-py2.py3-none-any.whl",
    "crypto-1-cp37-abi3-manylinux_2_28_x86_64.whl",
    "h5py-3.16.0.tar.gz.sha256",
)


@pytest.mark.parametrize(
    ("python", "lacking"),
    [
        ("3.11.2", ()),
        ("3.12.3", ("h5py",)),
        ("3.9.1", ("h5py", "pillow")),
        ("3.6", ("crypto", "h5py", "pillow")),
        ("2.7.18", ("crypto", "h5py", "ipython", "pillow")),
        ("", ()),
    ],
)
def test_wheels_are_compared_by_the_tags_in_their_names(python: str, lacking: tuple[str, ...]) -> None:
    assert pythons.without_wheel(FILES, python) == lacking


def test_pins_of_every_release_are_for_its_python() -> None:
    for python, pins in catalogue.wheels()["python-wheels"].items():
        assert pythons.without_wheel((pin.file for pin in pins), python) == ()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with tarfile.open(tmp_path / "python.bin", "w") as tar:
        for name in FILES:
            tar.addfile(tarfile.TarInfo(name))
    return Settings(mirror=tmp_path)


def bare(python: str, source: str = "mirror") -> HostPlan:
    wheel = replace(
        part("python", 1), files=({"file": "python.bin", "name": "python-wheels", "sha256": "0", "size": 1},)
    )
    recipe = replace(RECIPE, parts=(*RECIPE.parts, wheel), pip_source=source)
    return replace(planned("bare", recipe=recipe), versions={"python": python}, refusals=())


def test_host_whose_python_can_use_no_wheel_is_refused(settings: Settings) -> None:
    fits, newer = wheels.judged([bare("3.11.2"), bare("3.12.3")], settings)
    assert fits.refusals == ()
    (refusal,) = newer.refusals
    assert refusal.startswith(
        "node1: its Python is 3.12.3, but python.bin has no wheel of h5py for it: set ansible_python"
    )


def test_host_that_needs_no_wheels_is_not_compared(settings: Settings) -> None:
    plans = [bare("3.12.3", "index"), replace(bare("3.12.3"), unpack=from_builder("node2")), planned("converged")]
    assert [plan.refusals for plan in wheels.judged(plans, settings)] == [(), (), ()]


def test_archive_that_cannot_be_read_is_reported_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "python.bin").write_bytes(b"no tar")
    for mirror in (tmp_path, tmp_path / "none"):
        assert wheels.judged([bare("3.12.3")], Settings(mirror=mirror))[0].refusals == ()
