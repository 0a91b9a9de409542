"""Fixtures of the real test: the user's mirror, completed, a bare host without a route out, and the record."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import engine, hosts
from tests.lab import images as lab_images
from tests.lab.spec import Lab
from tests.real import brought, record, releases, training, vgg16
from tests.real.training import DATA

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".cache" / "real"
TRIED = ROOT / ".cache" / "tried.yaml"
"""What all real tests in this checkout saw, a row for each platform."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mirror", default="", help="a mirror of the real sources, with its lock")
    parser.addoption("--release", default=releases.DEFAULT, choices=sorted(releases.IMAGES), help="of Debian or Ubuntu")
    parser.addoption("--short", action="store_true", help="train 12 iterations; no comparison with install.sh")


PASSED = pytest.StashKey[dict[str, bool]]()
MEASURED = pytest.StashKey[dict[str, Any]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[PASSED], config.stash[MEASURED] = {}, {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Notes the verdict of each test for the record."""
    report = yield
    if report.when == "call" and not report.skipped:
        item.config.stash[PASSED][item.name] = report.passed
    return report


@pytest.fixture(scope="session")
def short(pytestconfig: pytest.Config) -> bool:
    """Whether only a short training is wanted."""
    return bool(pytestconfig.getoption("--short"))


@pytest.fixture(scope="session")
def measured(pytestconfig: pytest.Config) -> dict[str, Any]:
    """What the tests measured for the record."""
    return pytestconfig.stash[MEASURED]


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> Lab:
    """The lab of the release."""
    return releases.lab(pytestconfig.getoption("--release"))


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
def mirror(pytestconfig: pytest.Config, lab: Lab) -> Path:
    """The user's mirror, linked, and completed with packages, wheels, the scorer and VGG-16's weights if missing."""
    given = pytestconfig.getoption("--mirror")
    if not given:
        pytest.exit("give a mirror of the real sources: make test-real MIRROR=DIR", returncode=2)
    if kept(lab):
        return WORK / "mirror"
    shutil.rmtree(WORK, ignore_errors=True)
    return brought.complete(Path(given).resolve(), WORK, lab.image, {"vgg16-model": vgg16.write})


def kept(lab: Lab) -> bool:
    """Whether a run with KEEP_LAB left the lab, and this one is to go on with it."""
    site = WORK / "provision.yml"
    known = lab.state.exists() and site.exists() and str(lab.inventory) in site.read_text(encoding="utf-8")
    return bool(os.environ.get("KEEP_LAB")) and known


def put_data(host: str) -> None:
    """Copy to a host what `write_data` wrote on this machine."""
    engine.docker("cp", str(WORK / "data"), f"{host}:{DATA}")
    engine.docker("exec", host, "chmod", "-R", "a+rX", DATA)


@pytest.fixture(scope="session")
def host(pytestconfig: pytest.Config, lab: Lab, mirror: Path) -> Iterator[str]:
    """A bare air-gapped host with pictures and captions. With KEEP_LAB it stays, and the next run goes on with it."""
    engine.ensure()
    name = lab.containers[0]
    if not kept(lab):
        inventory = hosts.up(lab)
        training.write_data(WORK / "data")
        put_data(name)
        (WORK / "provision.yml").write_text(f"mirror: {mirror}\ninventory: {inventory}\n", encoding="utf-8")
    yield name
    write_record(pytestconfig, lab, name)
    if not os.environ.get("KEEP_LAB"):
        hosts.down(lab.name)


def write_record(config: pytest.Config, lab: Lab, name: str) -> None:
    """Put what was seen into TRIED, as a row of tried.yaml, and show it; not if steps were left out."""
    if not config.stash[PASSED].keys() >= set(record.STEPS.values()):
        return
    answers = {what: engine.docker("exec", name, "sh", "-c", f"{ask} || :") for what, ask in record.ASKED.items()}
    answers["ansible_core"] = importlib.metadata.version("ansible-core")
    given = config.stash
    source = "make test-real" + (" SHORT=1" if config.getoption("--short") else "")
    platform = lab_images.find(lab.image).platform
    new = record.row(platform, time.strftime("%Y-%m-%d"), answers, given[PASSED], given[MEASURED], source)
    old = yaml.safe_load(TRIED.read_text(encoding="utf-8")) if TRIED.exists() else []
    TRIED.write_text(yaml.safe_dump(record.merged(old, new), sort_keys=False), encoding="utf-8")
    print(f"\n{TRIED}:\n{yaml.safe_dump([new], sort_keys=False)}")
