"""`install-provision.sh`: a pull writes it for the wheels that the mirror has; it makes one directory or nothing."""

from __future__ import annotations

import hashlib
import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue import target
from neuraltalk_provision.catalogue.model import MadeSource, PackageSource
from neuraltalk_provision.mirror import collecting, installer, lock, made, pull, pull_plan, store
from neuraltalk_provision.mirror import wheels as collector
from neuraltalk_provision.mirror.pull_plan import PullPlan
from tests.unit.collected import Shelf, shelf
from tests.unit.test_collecting import Said
from tests.unit.test_wheels import FOLDER, PACKED, own_wheel
from tests.unit.waiting import until

pytestmark = pytest.mark.slow

CATALOGUE = catalogues.load().model_copy(
    update={
        "sources": {
            "provision-wheels": PackageSource(kind="python_wheels"),
            "install-provision": MadeSource(kind="made", of="provision-wheels"),
        }
    }
)
WHEELS = {"ansible_core-2-py3-none-any.whl": b"a", "neuraltalk_provision-1-py3-none-any.whl": b"n"}
PROGRAM = b"""import sys\ndef main():\n    print("0.1.0")\n"""
POINTS = b"[console_scripts]\nprovision = neuraltalk_provision:main\n"


def planned(mirror: Path, wheels: Shelf) -> PullPlan:
    gather = wheels.collectors(CATALOGUE)
    only = ["provision-wheels", "install-provision"]
    targets = [target.parse("debian-12-x86_64")]
    plan = pull_plan.plan(CATALOGUE, targets, ["cpu"], pull.inventory(mirror), only=only, ask=gather.ask)
    return collecting.collect(mirror, plan, gather, Said())


def pulled(mirror: Path, wheels: Shelf) -> list[str]:
    done = pull.pull(mirror, planned(mirror, wheels), CATALOGUE, Said())
    assert done.failures == ()
    return [entry.name for entry in done.added]


@pytest.fixture
def wheels(tmp_path: Path) -> Shelf:
    found = shelf(tmp_path / "index", WHEELS)
    found.changes = {"made": {"requirements.txt": b"\n"}, "version": "1", "left_out": {}}
    return found


def test_pull_writes_the_program_for_the_wheels_and_again_only_if_they_change(tmp_path: Path, wheels: Shelf) -> None:
    mirror = tmp_path / "m"
    assert pulled(mirror, wheels) == ["provision-wheels", "install-provision"]
    entries = lock.read(mirror).by_name()
    base, own = entries["provision-wheels"], entries["install-provision"]
    assert (own.file, own.role, own.origin) == (installer.FILE, "controller", made.origin(base))
    assert (mirror / installer.FILE).read_text() == installer.text(base)
    assert f"WHEELS_SHA256='{base.sha256}'" in installer.text(base)
    assert "@" not in installer.text(base).replace('"$@"', "")
    assert store.verify(mirror, CATALOGUE).findings == ()
    assert [row.state for row in planned(mirror, wheels).rows] == ["present", "present"]
    assert pulled(mirror, wheels) == []
    (mirror / installer.FILE).unlink()
    assert pulled(mirror, wheels) == ["install-provision"]


def test_program_that_a_person_added_is_kept(tmp_path: Path, wheels: Shelf) -> None:
    mirror, own = tmp_path / "m", tmp_path / installer.FILE
    own.write_text("#!/bin/sh\nWHEELS_SHA256=''\n")
    store.add(mirror, own, CATALOGUE)
    assert {row.name: row.state for row in planned(mirror, wheels).rows}["install-provision"] == "kept"
    assert pulled(mirror, wheels) == ["provision-wheels"]


def test_program_is_not_written_before_there_are_wheels(tmp_path: Path, wheels: Shelf) -> None:
    shutil.rmtree(wheels.place)
    wheels.place.mkdir()
    plan = planned(tmp_path / "m", wheels)
    assert {row.name: row.state for row in plan.rows} == {"install-provision": "make", "provision-wheels": "failed"}
    assert pull.pull(tmp_path / "m", plan, CATALOGUE, Said()).added == ()


@dataclass(frozen=True)
class Machine:
    """A mirror, and how its program is called."""

    mirror: Path
    home: Path

    def command(self, *arguments: str) -> list[str]:
        return ["sh", str(self.mirror / installer.FILE), *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "PYTHON": sys.executable} | more

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command, environment = self.command(*arguments), self.environment(**more)
        return subprocess.run(
            command, env=environment, cwd=self.home, text=True, capture_output=True, timeout=300, check=False
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A mirror in which provision is one small wheel that needs nothing."""
    mirror, home = tmp_path / "the mirror", tmp_path / "home"
    mirror.mkdir()
    home.mkdir()
    more = {"neuraltalk_provision/__init__.py": (PROGRAM, False), f"{FOLDER}/entry_points.txt": (POINTS, False)}
    more[f"{FOLDER}/WHEEL"] = (b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n", False)
    more[f"{FOLDER}/METADATA"] = (b"Metadata-Version: 2.1\nName: neuraltalk-provision\nVersion: 0.1.0\n", False)
    wheel = own_wheel.packed({**PACKED, **more}, FOLDER)
    digest = hashlib.sha256(wheel).hexdigest()
    files = {
        "neuraltalk_provision-0.1.0-py3-none-any.whl": wheel,
        "requirements.txt": f"neuraltalk-provision==0.1.0 --hash=sha256:{digest}\n".encode(),
        collector.old_requirements(): f"neuraltalk-provision==0.1.0 --hash=sha256:{digest}\n# old\n".encode(),
    }
    with tarfile.open(mirror / "provision-wheels.tar", "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    content = (mirror / "provision-wheels.tar").read_bytes()
    entry = lock.Entry(
        name="provision-wheels",
        file="provision-wheels.tar",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        version="0.1.0",
        role="controller",
    )
    (mirror / installer.FILE).write_text(installer.text(entry))
    (mirror / "mirror.lock").touch()
    return Machine(mirror, home)


@pytest.fixture
def quick(tmp_path: Path) -> str:
    """A Python that makes virtual environments with its own pip, as ensurepip takes seconds to install one."""
    program = tmp_path / "quick-python"
    lines = (
        "#!/bin/sh",
        'case "$*" in',
        f'    "-I -m venv "*) {sys.executable} -I -m venv --without-pip "$4" && '
        f'cp -R {sysconfig.get_path("purelib")}/pip "$4"/lib/python*/site-packages/;;',
        f'    *) exec {sys.executable} "$@";;',
        "esac",
    )
    program.write_text("\n".join(lines) + "\n")
    program.chmod(0o755)
    return str(program)


def below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_installs_into_one_directory_and_a_second_time_changes_nothing(machine: Machine) -> None:
    hostile = {"PIP_INDEX_URL": "https://index.example.org", "PIP_TARGET": "/none", "PYTHONPATH": "/none"}
    done = machine.run("a place", **hostile)
    assert done.returncode == 0, done.stderr
    place = machine.home / "a place"
    assert shlex.split(done.stdout.splitlines()[-1]) == [
        f"{place}/bin/provision",
        *("mirror", "verify", "--mirror", str(machine.mirror)),
    ]
    run = subprocess.run([place / "bin" / "provision"], env={}, capture_output=True, text=True, check=True)
    assert run.stdout == "0.1.0\n"
    assert below(machine.home) == ["a place"]
    assert not (place / ".wheels").exists()
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    again = machine.run("a place")
    assert (again.returncode, "already installed" in again.stdout) == (0, True)
    assert before == {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    (place / ".neuraltalk-provision").write_text(f"complete {'1' * 64}\n")
    other = machine.run("a place")
    assert other.returncode == 2
    assert "another version of provision or of ansible-core, which is kept" in other.stderr


def test_old_ansible_gets_a_directory_of_its_own(machine: Machine, quick: str) -> None:
    """A Python that the old ansible-core accepts is faked, because this one may be newer."""
    program = python_312(machine, quick)
    done = machine.run("--ansible", "2.16", PYTHON=program)
    assert done.returncode == 0, done.stderr
    assert below(machine.home) == ["neuraltalk-provision-ansible-2.16"]
    again = machine.run("--ansible", "2.16", PYTHON=program)
    assert (again.returncode, "already installed" in again.stdout) == (0, True)
    other = machine.run("neuraltalk-provision-ansible-2.16")
    assert (other.returncode, "or of ansible-core, which is kept" in other.stderr) == (2, True)
    newer = machine.run("--ansible", "2.16", "b", PYTHON="", PATH=str(fake_pythons(machine, "3.13")))
    assert (newer.returncode, "it needs one of 3.11 3.12. python3 is Python 3.13" in newer.stderr) == (2, True)


def python_312(machine: Machine, python: str = sys.executable) -> str:
    """A Python which says that it is 3.12."""
    program = machine.home.parent / "python-3.12"
    program.write_text(f'#!/bin/sh\ncase "$*" in *version_info*) echo 3.12;; *) exec {python} "$@";; esac\n')
    program.chmod(0o755)
    return str(program)


def fake_pythons(machine: Machine, version: str) -> Path:
    """A directory with a python3 of that version and what the program needs else."""
    folder = machine.home.parent / f"bin-{version}"
    folder.mkdir()
    for name in ("sh", "dirname", "sed", "ls"):
        (folder / name).symlink_to(shutil.which(name) or "")
    program = folder / "python3"
    program.write_text(f'#!/bin/sh\ncase "$*" in *version_info*) echo {version};; *) exit 1;; esac\n')
    program.chmod(0o755)
    return folder


def test_wheels_of_an_older_version_have_no_old_ansible(machine: Machine) -> None:
    file = machine.mirror / installer.FILE
    file.write_text(file.read_text().replace("requirements-ansible-$", "requirements-none-$"))
    done = machine.run("--ansible", "2.16", PYTHON=python_312(machine))
    assert (done.returncode, "was made by an older version" in done.stderr) == (2, True)
    assert below(machine.home) == []


def test_what_a_killed_call_left_is_replaced_and_a_failed_one_leaves_nothing(machine: Machine, quick: str) -> None:
    place = machine.home / "neuraltalk-provision"
    killed = subprocess.Popen(
        machine.command(),
        env=machine.environment(PYTHON=quick),
        cwd=machine.home,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    until(lambda: (place / "pyvenv.cfg").exists() or killed.poll() is not None)
    assert killed.poll() is None
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert (place / ".neuraltalk-provision").read_text() == f"building {killed.pid}\n"
    (place / "lib" / "rest").write_text("half")
    done = machine.run(PYTHON=quick)
    assert done.returncode == 0, done.stderr
    assert not (place / "lib" / "rest").exists()
    assert below(machine.home) == ["neuraltalk-provision"]
    shutil.rmtree(place)
    broken = machine.run(PATH=f"{_without_pip(machine.home)}:/usr/bin:/bin", PYTHON="python-broken")
    assert broken.returncode != 0
    assert "Nothing was installed" in broken.stderr
    assert not place.exists()


def _without_pip(home: Path) -> Path:
    """A directory with a Python whose `-m venv` fails."""
    folder = home.parent / "bin"
    folder.mkdir()
    program = folder / "python-broken"
    program.write_text(f'#!/bin/sh\ncase "$*" in *"-m venv"*) exit 9;; esac\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    return folder


def test_next_steps_beside_the_files_of_a_bundle_that_was_unpacked_by_hand(machine: Machine, quick: str) -> None:
    """Each part has its own directory `artifacts`, without a lock, so no command can verify the files there."""
    (machine.mirror / "mirror.lock").unlink()
    done = machine.run(PYTHON=quick)
    assert "mirror verify" not in done.stdout
    assert shlex.split(done.stdout.splitlines()[-1])[1:] == ["mirror", "unbundle", "DIR..."]
    (machine.mirror / "provision-wheels.tar").unlink()
    refused = machine.run("other")
    assert refused.returncode == 2
    assert "in the directory artifacts of one part: copy it from there" in refused.stderr


def test_directory_that_it_did_not_make_is_kept(machine: Machine) -> None:
    place = machine.home / "mine"
    place.mkdir()
    (place / "file").write_text("mine")
    (machine.home / "file").write_text("mine")
    for name in ("mine", "file"):
        done = machine.run(name)
        assert (done.returncode, "another directory" in done.stderr) == (2, True)
    assert below(place) == ["file"]
    (place / ".neuraltalk-provision").write_text(f"building {os.getpid()}\n")
    running = machine.run("mine")
    assert (running.returncode, "another process" in running.stderr) == (2, True)
    assert (place / "file").read_text() == "mine"


@pytest.mark.parametrize("change", ["altered", "missing"])
def test_wheels_that_are_not_the_signed_ones_are_refused(machine: Machine, change: str) -> None:
    file = machine.mirror / "provision-wheels.tar"
    if change == "altered":
        file.write_bytes(file.read_bytes() + b"\0")
    else:
        file.unlink()
    done = machine.run()
    assert done.returncode == 2
    assert str(file) in done.stderr
    assert below(machine.home) == []


def test_python_that_does_not_fit_is_told_with_what_to_install(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "pythons"
    folder.mkdir()
    for name in ("sh", "dirname", "sed", "ls"):
        (folder / name).symlink_to(shutil.which(name) or "")
    old = machine.run(PATH=str(folder), PYTHON="")
    assert old.returncode == 2
    assert "it needs one of 3.11 3.12 3.13 3.14" in old.stderr
    assert "python3 and python3-venv (Debian 12, 13, 14; Ubuntu 24.04, 26.04)" in old.stderr
    assert "python3.11 and python3.11-venv (Ubuntu 22.04)" in old.stderr
    assert (
        "python3-venv (Debian 12; Ubuntu 24.04)" in machine.run("--ansible", "2.16", PATH=str(folder), PYTHON="").stderr
    )
    for name, version in (("python3", "3.9"), ("python3.11", "3.11")):
        program = folder / name
        program.write_text(f'#!/bin/sh\ncase "$*" in *version_info*) echo {version};; *) exit 1;; esac\n')
        program.chmod(0o755)
    without = machine.run(PATH=str(folder), PYTHON="")
    assert (without.returncode, "python3.11-venv" in without.stderr) == (2, True)
    (folder / "python3.11").unlink()
    assert "python3 is Python 3.9" in machine.run(PATH=str(folder), PYTHON="").stderr


def test_help_and_wrong_options(machine: Machine) -> None:
    assert "sh MIRROR/install-provision.sh [--ansible 2.16] [DIRECTORY]" in machine.run("--help").stdout
    assert "Python 3.11 3.12." in machine.run("--help").stdout.splitlines()[-1]
    for arguments in (["--replace"], ["a", "b"], ["--ansible"], ["--ansible", "2.9"], ["--ansible", "2.16", "-x"]):
        done = machine.run(*arguments)
        assert (done.returncode, "Usage:" in done.stderr) == (2, True)
    assert below(machine.home) == []
