"""Every rock is built from its own archive, loads, and was built without the network."""

from __future__ import annotations

import re

import pytest
from testinfra.host import Host

from neuraltalk_provision import catalogue
from tests.molecule.conftest import Stack
from tests.standin.archives import members

ROCKS = {component.name: component.loads for component in catalogue.load().components if component.role == "lua_rocks"}
"""Each rock of the catalogue with the modules that must load."""
CO_DATED = {"nn": "extra/nn", "nngraph": "extra/nngraph", "image": "pkg/image"}


def version(archive: str, folder: str) -> str:
    """The version in the init.lua of that directory of a stand-in archive."""
    found = re.search(r'_VERSION = "(.*?)"', members(archive)[f"{folder}/init.lua"].decode())
    assert found
    return found[1]


@pytest.mark.parametrize("rock", ROCKS)
def test_a_rock_loads_in_its_own_process(stack: Stack, rock: str) -> None:
    program = "; ".join(f"require '{module}'" for module in ROCKS[rock])
    assert stack.lua(f"{program}; print 'loaded'").splitlines()[-1] == "loaded"


@pytest.mark.parametrize("rock", ROCKS)
def test_a_stamp_lists_the_loaded_modules(stack: Stack, rock: str) -> None:
    part = stack.part(rock)
    assert stack.stamp(rock)["digest"] == part["digest"]
    assert set(part["loads"]) <= set(stack.evidence(rock))


def test_the_recipe_has_exactly_these_rocks(stack: Stack) -> None:
    assert {part["name"] for part in stack.recipe["parts"] if part["role"] == "lua_rocks"} == set(ROCKS)


@pytest.mark.parametrize("rock", CO_DATED)
def test_the_co_dated_rock_is_the_one_of_its_own_archive(stack: Stack, rock: str) -> None:
    own, older = version(rock, rock), version("torch", f"torch/{CO_DATED[rock]}")
    assert own != older
    assert stack.lua(f"print(require('{rock}')._VERSION)").splitlines()[-1] == own
    assert stack.evidence(rock)[rock]["version"] == own


def test_image_reads_all_kinds_of_pictures(stack: Stack) -> None:
    """Without libpng-dev, which the host did not have at first, the rock would build but read no PNG."""
    trials = stack.part("image")["tries"]
    assert trials
    assert all(stack.lua(f"require 'image'; {trial}; print 'read'").endswith("read") for trial in trials)


def test_sources_are_edited_exactly_once(host: Host, stack: Stack) -> None:
    edits = stack.part("loadcaffe")["edits"]
    assert edits
    for edit in edits:
        text = host.file(f"{stack.build}/loadcaffe/{edit['file']}").content_string
        assert text.count(edit["replacement"]) == edit["count"]


def test_luarocks_has_no_server(stack: Stack) -> None:
    done = stack.run("luarocks", "install", "no-such-rock")
    assert done.rc != 0
    assert "://" not in done.stdout + done.stderr
