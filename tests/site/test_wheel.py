"""The wheel works in an environment without the checkout, from any directory."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.lab import paths
from tests.site.sites import Site


def call(*command: str, cwd: Path, **environment: str) -> str:
    """Run a command; its output. Fails if the command fails."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        command, cwd=cwd, env=clean | environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def provision(tmp_path_factory: pytest.TempPathFactory) -> str:
    """`provision` from a wheel in a new environment, with the dependencies of this one but without the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    call(*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(paths.ROOT), cwd=folder)
    (wheel,) = folder.glob("neuraltalk_provision-*.whl")
    call(sys.executable, "-m", "venv", str(folder / "venv"), cwd=folder)
    call(str(folder / "venv/bin/pip"), "install", "--quiet", "--no-index", "--no-deps", str(wheel), cwd=folder)
    # A .pth file adds the directory, but does not read the .pth files there, of which one adds the checkout.
    own = call(
        str(folder / "venv/bin/python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder
    )
    Path(own.strip(), "others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return str(folder / "venv/bin/provision")


def test_it_runs_from_the_wheel(provision: str, tmp_path: Path) -> None:
    python = str(Path(provision).with_name("python"))
    path = call(python, "-c", "import neuraltalk_provision; print(neuraltalk_provision.__file__)", cwd=tmp_path)
    assert str(paths.ROOT) not in path
    assert call(provision, "--version", cwd=tmp_path).strip()


def test_it_needs_no_checkout(provision: str, converged: Site, tmp_path: Path) -> None:
    """Playbooks, roles, modules and the example inventory come from the wheel."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    call(provision, "init", "a site", cwd=tmp_path)
    assert (tmp_path / "a site" / "hosts.yml").is_file()
    inventory = converged.directory.path / "hosts.yml"
    options = ("--inventory", str(inventory), "--mirror", str(converged.mirror))
    output = call(provision, "site", *options, cwd=tmp_path / "a site", PATH=path)
    assert "3 hosts, nothing to change" in output
    assert "3 of 3 hosts passed" in call(provision, "verify", *options, cwd=tmp_path, PATH=path)
