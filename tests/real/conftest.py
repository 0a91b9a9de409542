"""What the real run needs: the user's mirror, completed, and a bare host without a route out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import engine, hosts
from tests.lab.spec import Lab
from tests.real import brought, vgg16
from tests.standin import dataset, images

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".cache" / "real"
LAB = Lab(name="real", image="bare", airgap=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mirror", default="", help="a mirror of the real sources, with its lock")


def provision(*words: str, code: int | None = 0) -> str:
    """Run the command from the real site's directory and show what it prints; its output. None takes every code."""
    print(f"\n$ provision {' '.join(words)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "neuraltalk_provision", *words], cwd=WORK, check=False, capture_output=True, text=True
    )
    print(done.stdout + done.stderr, flush=True)
    assert code in (None, done.returncode), f"provision {words[0]} ended with {done.returncode}"
    return done.stdout


@pytest.fixture(scope="session")
def mirror(pytestconfig: pytest.Config) -> Path:
    """The user's mirror, linked, with what it lacks made here: packages, wheels and random VGG-16 weights."""
    given = pytestconfig.getoption("--mirror")
    if not given:
        pytest.exit("name a mirror of the real sources: make test-real MIRROR=DIR", returncode=2)
    shutil.rmtree(WORK, ignore_errors=True)
    return brought.complete(Path(given).resolve(), WORK, LAB.image, {"vgg16-model": vgg16.write})


@pytest.fixture(scope="session")
def host(mirror: Path) -> Iterator[str]:
    """A bare air-gapped host with a data set and images on it; stays for a look when a test failed."""
    engine.ensure()
    inventory = hosts.up(LAB)
    (WORK / "provision.yml").write_text(f"mirror: {mirror}\ninventory: {inventory}\n", encoding="utf-8")
    dataset.write(WORK / "data", images=10)
    images.write(WORK / "data" / "images", apple_double=True, empty=True)
    name = LAB.containers[0]
    engine.docker("cp", str(WORK / "data"), f"{name}:/data")
    engine.docker("exec", name, "chmod", "-R", "a+rX", "/data")
    yield name
    if not os.environ.get("KEEP_LAB"):
        hosts.down(LAB.name)
