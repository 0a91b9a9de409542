"""The stand-in torch-hdf5 over HDF5 as it differs from release to release: it fails and is mended where upstream is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue.model import Edit
from tests.standin import archives

DATA = Path(__file__).parent / "data" / "hdf5"
EDITS = catalogue.load().edits["torch-hdf5"]
RELEASES = ("1.8.12", "1.8.21", "1.10.8", "1.12.0", "1.14.5", "2.0.0", "2.2.0")


def read(place: Path, release: str, edits: tuple[Edit, ...], name: str = "data.h5") -> str:
    """What reading a file said, by the sources with these edits and a library of that release."""
    sources = place / "sources"
    sources.mkdir(parents=True)
    for path, held in archives.members("torch-hdf5").items():
        if path.startswith("torch-hdf5/luasrc/"):
            text = held.decode()
            for edit in edits:
                text = text.replace(edit.pattern, edit.replacement) if path.endswith(f"/{edit.file}") else text
            (sources / Path(path).name).write_text(text)
    major, minor, patch = release.split(".")
    header = f"#define MAJOR {major}\n#define MINOR {minor}\n#define RELEASE {patch}\n{(DATA / 'hdf5.h').read_text()}"
    (place / "hdf5.h").write_text(header)
    shutil.copy(DATA / "hdf5.c", place)
    library = place / "libhdf5.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, place / "hdf5.c"], check=True)
    words = ["luajit", DATA / "read.lua", sources, library, place, place / name]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def without(words: str) -> tuple[Edit, ...]:
    left = tuple(edit for edit in EDITS if words not in edit.pattern)
    assert len(left) == len(EDITS) - 1, words
    return left


@pytest.mark.parametrize("release", RELEASES)
def test_one_edited_tree_reads_by_every_release(tmp_path: Path, release: str) -> None:
    said = read(tmp_path, release, EDITS)
    assert f"HDF5 {release}: images [HDF5DataSet (" in said, said
    assert "/images DATASET)]" in said, said


def test_unedited_it_reads_by_the_release_that_upstream_was_written_for(tmp_path: Path) -> None:
    assert "HDF5 1.8.12: images [HDF5DataSet (" in read(tmp_path, "1.8.12", ())


@pytest.mark.parametrize("release", ["1.10.8", "1.12.0", "1.14.5", "2.2.0"])
def test_unedited_it_refuses_newer_ones_as_upstream_does(tmp_path: Path, release: str) -> None:
    assert f"Unsupported HDF5 version: {release}" in read(tmp_path, release, ())


@pytest.mark.parametrize("release", ["1.6.10", "3.0.0"])
def test_release_older_than_upstreams_or_with_another_interface_is_refused(tmp_path: Path, release: str) -> None:
    assert f"Unsupported HDF5 version: {release}" in read(tmp_path, release, EDITS)


def test_file_that_is_not_there_is_told_by_its_id(tmp_path: Path) -> None:
    assert "HDF5File: fileID -1LL is not valid" in read(tmp_path, "1.14.5", EDITS, "absent.h5")


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("H5I_REFERENCE", "missing declaration for symbol 'H5I_REFERENCE'"),
        ("H5L_iterate_t", "declaration specifier expected near 'H5L_iterate_t'"),
        ("H5Literate(", "missing declaration for symbol 'H5Literate'"),
        ("openCount", "cannot convert 'int [2]' to "),
        ("type(fileID)", "HDF5File.__init() requires a fileID"),
        ("[HDF5Group ", "attempt to concatenate 'int64_t' and 'string'"),
        ("hdf5.version[3] >= 14", "missing declaration for symbol 'H5P_CLS_DATASET_CREATE_g'"),
    ],
)
def test_without_an_edit_it_fails_where_upstream_does(tmp_path: Path, pattern: str, words: str) -> None:
    said = read(tmp_path, "1.14.5", without(pattern))
    assert words in said, said
