"""The collector of wheels, and the wheel that provision makes of itself."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from importlib import metadata
from pathlib import Path
from threading import Event

import pytest

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue import Wheel, target
from neuraltalk_provision.catalogue.pythons import OldAnsible
from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.mirror import own_wheel, wheels
from neuraltalk_provision.mirror.collection import UnavailableError
from neuraltalk_provision.mirror.collectors import load
from neuraltalk_provision.mirror.own_wheel import OwnWheel
from neuraltalk_provision.mirror.repository_file import Repositories
from tests.unit import indexes

CATALOGUE = catalogues.load()
PYTHON_WHEELS, CUDA, PROVISION = (CATALOGUE.artifact(n) for n in ("python-wheels", "cuda-wheels", "provision-wheels"))
DEBIAN, CENTOS = target.parse("debian-12-x86_64"), target.parse("centos-7-x86_64")
FILES = {"h5py-3.16.0-cp311-cp311-manylinux_2_28_x86_64.whl": b"h5py", "numpy-2-py3-none-any.whl": b"numpy"}
OLD = {"h5py-2.10.0-cp27-cp27mu-manylinux1_x86_64.whl": b"old"}
OWN = OwnWheel("neuraltalk_provision-0.1.0-py3-none-any.whl", "0.1.0", b"own")


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, tuple[Wheel, ...]]]:
    """A catalogue with a few wheels."""
    new = tuple(indexes.wheel(*row) for row in FILES.items())
    old = tuple(indexes.wheel(*row) for row in OLD.items())
    found = {"python-wheels": {"2.7": old, "3.11": new}, "provision-wheels": {"3.11": new, "3.12": new[1:]}}
    monkeypatch.setattr(catalogues, "wheels", lambda: found)
    monkeypatch.setattr(own_wheel, "made", lambda: OWN)
    older = indexes.wheel("numpy-1-py3-none-any.whl", b"older")
    monkeypatch.setattr(
        catalogues, "old_ansible", lambda: OldAnsible(version="2.16", pythons=("3.11",), wheels=(older,))
    )
    return found


def test_wheels_are_those_for_the_python_of_the_platform(
    pins: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = indexes.write(tmp_path / "index", {**FILES, **OLD})
    indexes.configure(monkeypatch, tmp_path, index_url=index, constraint=str(tmp_path / "no such file"))
    found = {one.key: wheels.Wheels().collect(PYTHON_WHEELS, one, tmp_path, Event()) for one in (DEBIAN, CENTOS)}
    assert {piece.name for piece in found[CENTOS.key].pieces} == set(OLD)
    assert {piece.name: piece.sha256 for piece in found[DEBIAN.key].pieces} == {
        name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()
    }
    assert all(piece.address.startswith("file:///") and piece.size for piece in found[DEBIAN.key].pieces)
    assert (found[DEBIAN.key].version, found[CENTOS.key].version) == ("h5py 3.16.0", "h5py 2.10.0")


def test_request_changes_with_the_wheels_and_with_nothing_else(
    pins: dict[str, dict[str, tuple[Wheel, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = wheels.Wheels().request
    lines = [request(PYTHON_WHEELS, DEBIAN), request(PYTHON_WHEELS, CENTOS), request(PROVISION, DEBIAN)]
    assert len(set(lines)) == 3
    assert request(PROVISION, CENTOS) == lines[2]
    pins["python-wheels"]["2.7"] = ()
    assert request(PYTHON_WHEELS, DEBIAN) == lines[0]
    monkeypatch.setattr(own_wheel, "made", lambda: OwnWheel(OWN.file, OWN.version, b"other"))
    assert request(PROVISION, DEBIAN) != lines[2]


def test_platform_whose_python_is_not_known_is_left_to_a_person() -> None:
    with pytest.raises(UnavailableError, match="fedora 40") as error:
        wheels.Wheels().request(PYTHON_WHEELS, target.parse("fedora-40-x86_64"))
    assert "python-wheels-fedora-40-x86_64.tar" in error.value.advice
    asked = load(CATALOGUE, Repositories()).ask(PYTHON_WHEELS, target.parse("fedora-40-x86_64"))
    assert (asked.line, asked.left_out) == ("", True)


def test_cuda_is_not_collected_for_a_system_that_is_too_old_for_it() -> None:
    with pytest.raises(UnavailableError, match=r"needs a newer glibc than 2\.17, which centos 7 has"):
        wheels.Wheels().request(CUDA, CENTOS)


def test_provision_comes_with_its_own_wheel_and_one_list_for_all_pythons(
    pins: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = {"numpy-1-py3-none-any.whl": b"older"}
    indexes.configure(monkeypatch, tmp_path, index_url=indexes.write(tmp_path / "index", {**FILES, **older}))
    found = wheels.Wheels().collect(PROVISION, DEBIAN, tmp_path, Event())
    digests = {name.split("-")[0]: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    assert found.version == "0.1.0"
    assert {piece.name for piece in found.pieces} == {*FILES, *older}
    assert found.made == {
        OWN.file: b"own",
        "requirements.txt": (
            f'h5py==3.16.0 ; python_version == "3.11" \\\n    --hash=sha256:{digests["h5py"]}\n'
            f"numpy==2 \\\n    --hash=sha256:{digests['numpy']}\n"
            f"neuraltalk-provision==0.1.0 \\\n    --hash=sha256:{OWN.sha256}\n"
        ).encode(),
        "requirements-ansible-2.16.txt": (
            f"h5py==3.16.0 \\\n    --hash=sha256:{digests['h5py']}\n"
            f"numpy==1 \\\n    --hash=sha256:{hashlib.sha256(b'older').hexdigest()}\n"
            f"neuraltalk-provision==0.1.0 \\\n    --hash=sha256:{OWN.sha256}\n"
        ).encode(),
    }


def test_error_of_the_index_is_told(pins: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    indexes.configure(monkeypatch, tmp_path, index_url=indexes.write(tmp_path / "index", OLD))
    with pytest.raises(MirrorError, match=r"no package index has the file h5py-3\.16\.0"):
        wheels.Wheels().collect(PYTHON_WHEELS, DEBIAN, tmp_path, Event())


PACKED = {
    "neuraltalk_provision/__init__.py": (b"x = 1\n", False),
    "neuraltalk_provision/share/run": (b"#!/bin/sh\n", True),
    "neuraltalk_provision-0.1.0.dist-info/METADATA": (b"Name: neuraltalk-provision\nVersion: 0.1.0\n", False),
    "neuraltalk_provision-0.1.0.dist-info/WHEEL": (b"Root-Is-Purelib: true\nTag: py3-none-any\n", False),
}
FOLDER = "neuraltalk_provision-0.1.0.dist-info"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where that wheel is installed, with all that an installer adds."""
    site = tmp_path / "site packages"
    with zipfile.ZipFile(io.BytesIO(own_wheel.packed(PACKED, FOLDER))) as archive:
        archive.extractall(site)
    (site / "neuraltalk_provision" / "share" / "run").chmod(0o755)
    record = site / FOLDER / "RECORD"
    (site / FOLDER / "INSTALLER").write_text("pip\n")
    (site / FOLDER / "direct_url.json").write_text("{}")
    added = [f"{FOLDER}/INSTALLER,sha256=zuuue4knoyJ-UwPPXg8fezS7VCrXJQrAP7zeNuwvFQg,4", "../bin/provision,sha256=x,3"]
    added += [f"{FOLDER}/direct_url.json,sha256=RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o,2"]
    added += ["neuraltalk_provision/__pycache__/__init__.cpython-311.pyc,,"]
    record.write_text(record.read_text() + "".join(f"{line}\n" for line in added))
    monkeypatch.setattr(metadata, "distribution", lambda name: metadata.PathDistribution(site / FOLDER))
    monkeypatch.setattr(own_wheel.paths, "share", lambda: site / "neuraltalk_provision" / "share")
    own_wheel.made.cache_clear()
    return site


def test_installed_provision_becomes_the_same_wheel_again(installed: Path) -> None:
    made = own_wheel.made()
    own_wheel.made.cache_clear()
    assert (made.file, made.version) == (OWN.file, "0.1.0")
    assert made.content == own_wheel.packed(PACKED, FOLDER)
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        rows = list(csv.reader(io.StringIO(archive.read(f"{FOLDER}/RECORD").decode())))
        assert [row[0] for row in rows] == [*sorted(PACKED), f"{FOLDER}/RECORD"]
        modes = {one.filename.rpartition("/")[2]: one.external_attr >> 16 & 0o777 for one in archive.infolist()}
        assert (modes["run"], modes["__init__.py"]) == (0o755, 0o644)
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_STORED}


def test_installed_file_that_was_changed_is_refused(installed: Path) -> None:
    (installed / "neuraltalk_provision" / "__init__.py").write_text("x = 2\n")
    with pytest.raises(UsageError, match=r"__init__\.py was changed after its installation"):
        own_wheel.made()
    (installed / "neuraltalk_provision" / "__init__.py").unlink()
    with pytest.raises(UsageError, match=r"__init__\.py cannot be read"):
        own_wheel.made()


def test_provision_that_is_not_installed_is_told(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", none)
    with pytest.raises(UsageError, match="not installed"):
        own_wheel.made()


def test_wheel_of_a_checkout_contains_the_collection() -> None:
    own_wheel.made.cache_clear()
    first = own_wheel.made()
    own_wheel.made.cache_clear()
    assert own_wheel.made() == first
    with zipfile.ZipFile(io.BytesIO(first.content)) as archive:
        names = set(archive.namelist())
    assert {"neuraltalk_provision/share/galaxy.yml", "neuraltalk_provision/mirror/install-provision.sh"} <= names
    assert not [name for name in names if name.endswith(".pyc")]
