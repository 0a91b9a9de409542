"""Torch is installed only in the generation, and runs only in its environment."""

from __future__ import annotations

import re
from typing import Any

import pytest
from testinfra.host import Host

from tests.molecule.conftest import Stack, newer_than_prepared

HOMES = ("/root", "/home/ops")


def test_torch_computes(stack: Stack) -> None:
    assert stack.lua("require 'torch'; print(torch.Tensor(2, 2):fill(1):sum())") == "4"


def test_th_runs_a_program_in_the_environment(stack: Stack) -> None:
    done = stack.run("th", "-e", "print(torch.Tensor{1, 2}:sum())")
    assert "3" in done.stdout.split(), done.stdout + done.stderr


def test_the_environment_file_works_without_any_variable(host: Host, stack: Stack) -> None:
    shell = f'. {stack.path}/environment; test -n "$LUA_PATH"; exec luajit -e \'require "torch"\''
    done = host.run("env -i /bin/sh -euc %s", shell)
    assert done.rc == 0, done.stderr


def test_nothing_was_written_into_home_directories(host: Host) -> None:
    assert newer_than_prepared(host, *HOMES) == []


@pytest.mark.parametrize("home", HOMES)
def test_shell_start_up_files_do_not_mention_torch(host: Host, home: str) -> None:
    assert host.file(f"{home}/.bashrc").exists
    assert host.run(f"grep -il torch {home}/.bashrc {home}/.profile {home}/.bash_profile").stdout == ""


def test_rocks_in_a_users_home_are_not_loaded(host: Host, stack: Stack) -> None:
    rocks = "/root/.luarocks/share/lua/5.1"
    host.run_test(f"mkdir -p {rocks} && for m in torch paths; do echo \"error('poison')\" >{rocks}/$m.lua; done")
    try:
        assert stack.lua("require 'torch'; print('sound')") == "sound"
        assert "poison" not in stack.run("th", "-e", "print(1)").stdout
    finally:
        host.run_test("rm -r /root/.luarocks")


def test_the_stamp_lists_every_loaded_module(stack: Stack) -> None:
    assert stack.stamp("torch")["digest"] == stack.part("torch")["digest"]
    evidence = stack.evidence("torch")
    assert set(stack.part("torch")["loads"]) <= set(evidence)


def test_rocks_with_archives_of_their_own_are_not_built_from_torchs(host: Host, stack: Stack) -> None:
    """lua_rocks builds them. Torch's installer would build them a first time."""
    log = host.file(f"{stack.path}/logs/torch.log").content_string
    built = set(re.findall(r"^(\S+) \S+ is now (?:built and )?installed", log, re.MULTILINE))
    assert "nnx" in built
    assert built & {"nn", "nngraph", "image"} == set()


def test_the_installer_has_the_edits_of_the_catalogue(host: Host, stack: Stack) -> None:
    for edit in stack.part("torch")["edits"]:
        text = host.file(f"{stack.build}/torch/{edit['file']}").content_string
        assert text.count(edit["replacement"]) == edit["count"], edit["reason"]


def test_no_host_tried_the_network(crossings: list[dict[str, Any]]) -> None:
    assert crossings == []
