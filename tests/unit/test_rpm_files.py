"""RPM files that have arrived, as far as rpm itself is not needed: missing programs, names, disks without links."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.mirror import rpm_files


def program(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/bash\n{text}\n")
    file.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory with programs."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def test_missing_programs_are_named_with_their_packages(programs: Path) -> None:
    program(programs / "rpmkeys", "exit 0")
    with pytest.raises(UsageError, match="this machine lacks createrepo_c") as error:
        rpm_files.need_programs()
    assert "apt-get install dnf createrepo-c rpm" in error.value.advice
    assert "dnf install python3-dnf createrepo_c rpm" in error.value.advice


def test_files_get_their_names_also_on_a_disk_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *more: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    (tmp_path / "aaaa").write_bytes(b"rpm")
    for refused in (False, True):
        if refused:
            monkeypatch.setattr(Path, "symlink_to", refuse)
        rpm_files.lay_out({"gcc-1.rpm": tmp_path / "aaaa"}, tmp_path / "packages")
        found = tmp_path / "packages" / "gcc-1.rpm"
        assert (found.read_bytes(), found.stat().st_mtime, found.is_symlink()) == (b"rpm", 0, not refused)


@pytest.mark.parametrize(
    "said",
    [
        "echo $f: digests SIGNATURES NOT OK; exit 1",
        "echo $f: digests OK",
        "echo $f: digests signatures OK; exit 1",
        "exit 0",
        "echo other.rpm: digests signatures OK",
    ],
)
def test_only_a_package_whose_signature_is_said_to_be_good_is_good(programs: Path, tmp_path: Path, said: str) -> None:
    program(programs / "rpmkeys", f'f="${{@: -1}}"; case "$*" in *--checksig*) {said} ;; esac')
    with pytest.raises(MirrorError, match=r"a\.rpm"):
        rpm_files.check_signatures(tmp_path, ["a.rpm"], [tmp_path / "key"], tmp_path / "keys", Event())
    program(programs / "rpmkeys", 'echo "${@: -1}: digests signatures OK"')
    rpm_files.check_signatures(tmp_path, ["a.rpm"], [tmp_path / "key"], tmp_path / "keys", Event())


def test_index_that_cannot_be_made_is_told(programs: Path, tmp_path: Path) -> None:
    program(programs / "createrepo_c", "echo 'cannot read gcc-1.rpm' >&2; exit 2")
    with pytest.raises(MirrorError, match=r"cannot read gcc-1\.rpm"):
        rpm_files.make_index(tmp_path, tmp_path, Event())
