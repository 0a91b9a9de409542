"""apt of a host with odd settings installs from the mirror's archive all the same; apt and dpkg are the real ones."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from plugins.module_utils.host.package_managers import QUIET, Apt

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="this system has no apt")

ODD = {
    "another release by default": 'APT::Default-Release "trixie";',
    "every question answered with no": 'APT::Get::Assume-No "true";',
    "by hash": 'Acquire::By-Hash "force";',
    "a proxy": 'Acquire::http::Proxy "http://192.0.2.1:3128";',
    "weak repositories refused": 'Acquire::AllowWeakRepositories "false"; Acquire::AllowInsecureRepositories "false";',
    "a hook that fails after update": 'APT::Update::Post-Invoke-Success {"false";};',
    "a hook that fails before update": 'APT::Update::Pre-Invoke {"false";};',
    "any error": 'APT::Update::Error-Mode "any";',
    "nothing but simulations": 'APT::Get::Simulate "true";',
    "what nobody needs is removed": 'APT::Get::AutomaticRemove "true"; APT::Get::Purge "true";',
}
PINS = {
    "repositories that are allowed by name": "Package: *\nPin: release *\nPin-Priority: -1\n",
    "a package that is pinned away": "Package: low\nPin: release *\nPin-Priority: -1\n",
}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A repository of two packages, of which one needs the other."""
    folder = tmp_path / "archive"
    folder.mkdir()
    entries = []
    for name, needs in (("low", ""), ("high", "Depends: low\n")):
        control = f"Package: {name}\nVersion: 1\nArchitecture: all\n{needs}"
        control += f"Maintainer: a <a@example.org>\nDescription: {name}\n"
        (tmp_path / name / "DEBIAN").mkdir(parents=True)
        (tmp_path / name / "DEBIAN" / "control").write_text(control)
        file = folder / f"{name}_1_all.deb"
        subprocess.run(["dpkg-deb", "--build", str(tmp_path / name), str(file)], check=True, capture_output=True)
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        entries.append(f"{control}Filename: ./{file.name}\nSize: {len(content)}\nSHA256: {digest}\n")
    (folder / "Packages").write_text("\n".join(entries))
    return folder


def installs(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str) -> None:
    """Check that apt with these settings, and with an own state, would install `high` from the archive."""
    state = tmp_path / "state"
    (state / "cache" / "archives" / "partial").mkdir(parents=True)
    (state / "status").touch()
    config = tmp_path / "apt.conf"
    places = {"Dir::State": state, "Dir::State::status": state / "status", "Dir::Cache": state / "cache"}
    nowhere = {"Dir::Etc::parts": tmp_path / "none", "Dir::Etc::main": tmp_path / "none"}
    lines = [f'{name} "{place}";' for name, place in {**places, **nowhere}.items()]
    config.write_text("\n".join([*lines, 'Debug::NoLocking "1";', settings]))
    monkeypatch.setenv("APT_CONFIG", str(config))
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    apt = Apt(str(archive))
    said = []
    for argv in (apt.refresh(), apt.simulations(["high"], False)[0], [*apt.install(["high"]), "--download-only"]):
        done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout)
    assert ["Inst low" in text for text in said] == [False, True, False]
    assert "low" in said[-1]


@pytest.mark.slow
@pytest.mark.parametrize("settings", ODD.values(), ids=ODD)
def test_settings_of_the_host_do_not_prevent_it(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    installs(archive, tmp_path, monkeypatch, settings)


@pytest.mark.parametrize("pin", PINS.values(), ids=PINS)
@pytest.mark.parametrize("place", ["preferences", "preferencesparts"])
def test_pins_of_the_host_have_no_meaning_for_the_archive(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pin: str, place: str
) -> None:
    pins = tmp_path / "pins"
    pins.mkdir()
    (pins / "corporate").write_text(pin)
    path = pins if place == "preferencesparts" else pins / "corporate"
    installs(archive, tmp_path, monkeypatch, f'Dir::Etc::{place} "{path}";')


@pytest.mark.parametrize("days", [400, -900])
def test_clock_that_is_wrong_by_a_year_does_not_prevent_it(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """The same as an archive of the future, or one that has expired."""
    made = datetime.now(UTC) + timedelta(days=days)
    packages = (archive / "Packages").read_bytes()
    (archive / "Release").write_text(
        f"Origin: x\nSuite: x\nDate: {made:%a, %d %b %Y %H:%M:%S} UTC\n"
        f"Valid-Until: {made + timedelta(days=7):%a, %d %b %Y %H:%M:%S} UTC\n"
        f"SHA256:\n {hashlib.sha256(packages).hexdigest()} {len(packages)} Packages\n"
    )
    installs(archive, tmp_path, monkeypatch, "")
