"""Whether dpkg of a host installs anything at all; dpkg is the real one, with a directory of its own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from plugins.module_utils.host import dpkg
from tests.unit.programs import program

pytestmark = pytest.mark.skipif(not shutil.which("dpkg"), reason="this system has no dpkg")


@pytest.fixture
def admin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a dpkg without packages, which is used through a program of that name."""
    admin = tmp_path / "admin"
    for name in ("info", "updates", "triggers", "tmp.ci", "parts"):
        (admin / name).mkdir(parents=True)
    for name in ("status", "available", "statoverride"):
        (admin / name).touch()
    real = shutil.which("dpkg")
    program(tmp_path / "bin" / "dpkg", f'#!/bin/sh\nexec {real} --admindir={admin} --force-not-root "$@"\n')
    monkeypatch.setattr(
        "plugins.module_utils.host.environment.PATH", f"{tmp_path / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin"
    )
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return admin


def test_dpkg_that_works_is_no_problem_and_nothing_is_left(admin: Path, tmp_path: Path) -> None:
    assert dpkg.problem() == ""
    assert list((tmp_path / "tmp").iterdir()) == []
    assert (admin / "status").read_text() == ""


def test_statoverride_of_a_group_that_is_gone_is_told(admin: Path) -> None:
    (admin / "statoverride").write_text("root nosuchgroup 0750 /var/lib/puppet\n")
    assert "unknown system group 'nosuchgroup'" in dpkg.problem()


def test_option_that_dpkg_does_not_know_is_told(tmp_path: Path, admin: Path) -> None:
    program(tmp_path / "bin" / "dpkg", "#!/bin/sh\necho \"dpkg: error: unknown option 'x'\" >&2; exit 2\n")
    assert dpkg.problem() == "dpkg: error: unknown option 'x'"


def test_hooks_of_the_host_are_named_and_not_that_of_every_debian(monkeypatch: pytest.MonkeyPatch) -> None:
    dump = (
        'DPkg "";\nDPkg::Pre-Install-Pkgs "";\n'
        'DPkg::Pre-Install-Pkgs:: "/usr/sbin/dpkg-preconfigure --apt || true";\n'
        'DPkg::Pre-Install-Pkgs:: "/usr/bin/apt-listbugs apt";\nDPkg::Post-Invoke:: "rm -f /var/cache/x";\n'
    )
    monkeypatch.setattr(dpkg, "query", lambda argv: dump)
    assert dpkg.hooks() == ["/usr/bin/apt-listbugs apt", "rm -f /var/cache/x"]
