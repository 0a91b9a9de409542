"""The host gets the files of the mirror, sources are edited once, and a changed file or a wrong edit is refused."""

from __future__ import annotations

import hashlib
from typing import Any

from testinfra.host import Host

from tests.molecule.conftest import EPHEMERAL

ROOT = "/opt/neuraltalk"


def digest_of(file: str) -> str:
    """The digest of a file of the scenario's mirror."""
    return hashlib.sha256((EPHEMERAL / "mirror" / file).read_bytes()).hexdigest()


def test_a_file_is_named_by_its_digest_and_readable_by_all(host: Host) -> None:
    for folder, file in (("artifacts", "tree.tgz"), ("artifacts", "plain.bin"), ("pulled", "plain.bin")):
        digest = digest_of(file)
        found = host.file(f"{ROOT}/{folder}/{digest[:16]}-{file}")
        assert found.sha256sum == digest
        assert (found.mode, found.user) == (0o644, "root")


def test_the_tree_is_unpacked_without_its_top_directory(host: Host) -> None:
    assert host.file(f"{ROOT}/tree/folder/data.txt").content_string == "data\n"
    assert host.file(f"{ROOT}/tree/folder/data.txt").user == "root"


def test_modes_are_set_by_the_role_and_not_taken_from_the_archive(host: Host) -> None:
    modes = {
        name: host.file(f"{ROOT}/tree/{name}").mode for name in ("open.sh", "code.lua", "folder", "folder/data.txt")
    }
    assert modes == {"open.sh": 0o755, "code.lua": 0o644, "folder": 0o755, "folder/data.txt": 0o644}
    assert host.check_output(f"find {ROOT}/tree -perm /7022 -o ! -user root") == ""


def test_files_that_macos_adds_are_not_unpacked(host: Host) -> None:
    assert host.check_output(f"find {ROOT}/tree -name '._*' -o -name .DS_Store") == ""


def test_the_edit_was_applied_once(host: Host) -> None:
    """`size = 1024` contains its own pattern `size = 1`: applied twice the result would be 1024024."""
    assert host.file(f"{ROOT}/tree/code.lua").content_string == "local size = 1024\nlocal other = 2\n"


def test_an_edit_that_does_not_fit_is_refused_with_the_lines_found(host: Host) -> None:
    message = host.file("/var/tmp/refused-edit").content_string
    assert "occurs 2 times, expected 1" in message
    assert "line 2: local other = 2" in message


def test_a_file_that_differs_from_the_lock_is_refused(host: Host) -> None:
    assert not host.file("/var/tmp/took-altered").exists
    assert digest_of("tree.tgz") in host.file("/var/tmp/refused-altered").content_string
    assert host.file(f"{ROOT}/pulled").listdir() == [f"{digest_of('plain.bin')[:16]}-plain.bin"]


def test_a_directory_of_another_user_is_refused(host: Host) -> None:
    message = host.file("/var/tmp/refused-foreign").content_string
    assert f"belongs to plain (uid {host.user('plain').uid})" in message
    assert "could be replaced" in message
    assert not host.file("/var/tmp/took-foreign").exists
    assert host.file("/tmp/stack/artifacts").listdir() == []


def test_no_host_tried_the_network(crossings: list[dict[str, Any]]) -> None:
    assert crossings == []
