"""One generation is current, through a relative link. An incomplete or broken generation never stays current."""

from __future__ import annotations

import json
from typing import Any

from testinfra.host import Host

ROOT = "/opt/neuraltalk"


def test_current_is_a_relative_link_to_the_generation_of_the_rollback(host: Host) -> None:
    """`four` was current; side_effect.yml rolled back to the previous one."""
    assert host.file(f"{ROOT}/current").is_symlink
    assert host.check_output(f"readlink {ROOT}/current") == "generations/three"
    assert json.loads(host.file(f"{ROOT}/history.json").content_string)["previous"] == "four"


def test_the_last_three_generations_stay_and_older_ones_are_removed(host: Host) -> None:
    sealed = {name for name in host.file(f"{ROOT}/generations").listdir() if is_sealed(host, name)}
    # The activation of `broken` failed, so nothing was removed for it.
    assert {"two", "three", "four"} <= sealed
    assert not host.file(f"{ROOT}/generations/one").exists


def is_sealed(host: Host, name: str) -> bool:
    """Whether a generation has a seal."""
    return bool(host.file(f"{ROOT}/generations/{name}/generation.json").exists)


def test_the_seal_lists_the_components_and_the_sources_are_removed(host: Host) -> None:
    seal = json.loads(host.file(f"{ROOT}/generations/four/generation.json").content_string)
    assert (seal["id"], seal["components"]) == ("four", {"neuraltalk2": "d0"})
    assert not host.file(f"{ROOT}/build/four").exists


def test_a_generation_without_all_stamps_is_not_sealed(host: Host) -> None:
    assert "half is not complete: neuraltalk2" in host.file("/var/tmp/refused-seal").content_string
    assert host.file(f"{ROOT}/generations/half/environment").exists
    assert not is_sealed(host, "half")


def test_a_generation_that_fails_when_current_is_withdrawn_and_rollback_skips_it(host: Host) -> None:
    """side_effect.yml checked that `four` was current again, and then rolled back to `three`."""
    assert is_sealed(host, "broken")
    assert "th train.lua -help" in host.file("/var/tmp/refused-activation").content_string


def test_a_first_generation_that_fails_when_current_leaves_no_current_one(host: Host) -> None:
    assert host.file("/opt/first/generations/broken/generation.json").exists
    assert not host.file("/opt/first/current").exists
    assert not host.file("/opt/first/current").is_symlink


def test_without_free_space_no_generation_is_created(host: Host) -> None:
    assert "make room" in host.file("/var/tmp/refused-space").content_string
    assert not host.file(f"{ROOT}/generations/large").exists


def test_the_environment_contains_only_its_own_generation_and_works_without_any_variable(host: Host) -> None:
    path = f"{ROOT}/generations/four"
    done = host.run(f"env -i /bin/sh -euc '. {path}/environment; env'")
    assert done.rc == 0, done.stderr
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert variables["NEURALTALK_STACK"] == path
    assert variables["PATH"].split(":")[:2] == [f"{path}/torch/bin", f"{path}/bin"]
    for name in ("LUA_PATH", "LUA_CPATH"):
        places = variables[name].split(";")
        assert all(place.startswith((f"{path}/torch/", "./")) for place in places), name


def test_with_stack_passes_arguments_unchanged(host: Host) -> None:
    command = f"{ROOT}/generations/four/bin/with-stack printf '%s|' 'two words' \"it's\" ''"
    assert host.check_output(command) == "two words|it's||"


def test_luarocks_has_no_server(host: Host) -> None:
    path = f"{ROOT}/generations/four/etc"
    assert host.file(f"{path}/luarocks.lua").content_string == f"rocks_servers = {{ [[{path}/no-rocks]] }}\n"


def test_no_host_tried_the_network(crossings: list[dict[str, Any]]) -> None:
    assert crossings == []
