"""Fixtures of the real test: the user's mirror, completed, and a bare host without a route out."""

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
from tests.real import brought, made, vgg16
from tests.standin import images

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".cache" / "real"
LAB = Lab(name="real", image="bare", airgap=True)
DATA = "/data"
"""The directory of the pictures and captions on the host."""
NEW = made.scenes(12, seed=10)
"""Pictures that are not in the training data, to be captioned."""
BAD = ("._x.jpg", "empty.jpg", "cut.png", "text.jpg")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mirror", default="", help="a mirror of the real sources, with its lock")


def provision(*arguments: str, code: int | None = 0) -> str:
    """Run the command in the site's directory and print its output; the output. None accepts any exit code."""
    print(f"\n$ provision {' '.join(arguments)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "neuraltalk_provision", *arguments],
        cwd=WORK,
        check=False,
        capture_output=True,
        text=True,
    )
    print(done.stdout + done.stderr, flush=True)
    assert code in (None, done.returncode), f"provision {arguments[0]} ended with {done.returncode}"
    return done.stdout


@pytest.fixture(scope="session")
def mirror(pytestconfig: pytest.Config) -> Path:
    """The user's mirror, linked, and completed with packages, wheels, the scorer and VGG-16's weights if missing."""
    given = pytestconfig.getoption("--mirror")
    if not given:
        pytest.exit("give a mirror of the real sources: make test-real MIRROR=DIR", returncode=2)
    shutil.rmtree(WORK, ignore_errors=True)
    return brought.complete(Path(given).resolve(), WORK, LAB.image, {"vgg16-model": vgg16.write})


def write_data(folder: Path) -> None:
    """Write the training pictures with captions, one of them truncated; and new pictures, some of them invalid."""
    made.write(folder)
    picture = made.encoded(NEW[0], "PNG")
    (folder / "pictures" / "cut.png").write_bytes(picture[: len(picture) // 2])
    with (folder / "captions.csv").open("a", encoding="utf-8") as file:
        file.write("cut.png,half a picture\n")
    new = folder / "new"
    new.mkdir()
    for scene in NEW:
        (new / Path(scene.file).name).write_bytes(made.encoded(scene))
    for name, content in zip(
        BAD, (images.APPLE_DOUBLE, b"", picture[: len(picture) // 2], b"no picture\n"), strict=True
    ):
        (new / name).write_bytes(content)


@pytest.fixture(scope="session")
def host(mirror: Path) -> Iterator[str]:
    """A bare air-gapped host with pictures and captions. With KEEP_LAB set it is not removed."""
    engine.ensure()
    inventory = hosts.up(LAB)
    (WORK / "provision.yml").write_text(f"mirror: {mirror}\ninventory: {inventory}\n", encoding="utf-8")
    write_data(WORK / "data")
    name = LAB.containers[0]
    engine.docker("cp", str(WORK / "data"), f"{name}:{DATA}")
    engine.docker("exec", name, "chmod", "-R", "a+rX", DATA)
    yield name
    if not os.environ.get("KEEP_LAB"):
        hosts.down(LAB.name)
