"""`python -m tools.tried`: a row of a trial is added to the data file, and the table of the docs is its."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from neuraltalk_provision.catalogue.tried import Table
from tools import tried

ROW: dict[str, Any] = {
    "platform": "debian-15-x86_64",
    "seen": "2027-01-02",
    "gcc": "16.1",
    "hdf5": "2.2",
    "built": True,
    "trained": True,
    "verified": "16 of 16",
    "source": "make test-real",
}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Copies of the data file and of the page."""
    data, page = tmp_path / "tried.yaml", tmp_path / "page.md"
    data.write_text(tried.DATA.read_text(encoding="utf-8"), encoding="utf-8")
    page.write_text(tried.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    return data, page


def add(tmp_path: Path, files: tuple[Path, Path], row: Any) -> int:
    file = tmp_path / "row.yaml"
    file.write_text(row if isinstance(row, str) else yaml.safe_dump(row), encoding="utf-8")
    return tried.main([str(file)], *files)


def test_table_of_the_docs_is_that_of_the_data_file(files: tuple[Path, Path]) -> None:
    before = [file.read_text() for file in files]
    assert tried.main([], *files) == 0
    assert [file.read_text() for file in files] == before, f"run `{tried.COMMAND}`"


def test_every_hdf5_that_the_docs_say_was_tried_is_in_the_data() -> None:
    text = tried.PAGE.read_text(encoding="utf-8")
    section = re.split(r"^## HDF5 1\.8 to .*$", text, flags=re.M)[1].partition("\n## ")[0]
    named = set(re.findall(r"^\| (\d+\.\d+\.\d+)[,: ]", section, re.M))
    rows = Table.model_validate(tried.read(tried.DATA)).tried
    assert len(named) >= 4
    assert named <= {row.hdf5 for row in rows if row.built}


def test_row_is_added_and_everything_else_is_kept(tmp_path: Path, files: tuple[Path, Path]) -> None:
    data, page = files
    before = data.read_text()
    assert add(tmp_path, files, ROW) == 0
    added = "".join(line + "\n" for line in set(data.read_text().splitlines()) - set(before.splitlines()))
    assert "debian-15-x86_64" in added
    assert set(before.splitlines()) <= set(data.read_text().splitlines())
    table = Table.model_validate(tried.read(data))
    assert table.tried[-1].model_dump(exclude_unset=True) == ROW
    assert "| debian-15-x86_64 | 2027-01-02 | 16.1 |  | 2.2 |" in page.read_text()
    again = data.read_text(), page.read_text()
    assert add(tmp_path, files, ROW) == 0
    assert (data.read_text(), page.read_text()) == again


def test_row_of_the_same_platform_is_replaced(tmp_path: Path, files: tuple[Path, Path]) -> None:
    add(tmp_path, files, ROW)
    count = len(Table.model_validate(tried.read(files[0])).tried)
    add(tmp_path, files, {**ROW, "seen": "2027-02-03", "captioned": True})
    rows = Table.model_validate(tried.read(files[0])).tried
    assert (len(rows), rows[-1].seen, rows[-1].captioned) == (count, "2027-02-03", True)
    assert add(tmp_path, files, {**ROW, "hdf5": "2.3"}) == 0
    assert len(Table.model_validate(tried.read(files[0])).tried) == count
    assert add(tmp_path, files, {**ROW, "cuda": "13.0"}) == 0
    assert add(tmp_path, files, {**ROW, "component": "hdf5"}) == 0
    assert add(tmp_path, files, {**ROW, "component": "hdf5", "hdf5": "2.4"}) == 0
    assert len(Table.model_validate(tried.read(files[0])).tried) == count + 3


def test_list_of_rows_is_added_as_the_real_test_writes_it(tmp_path: Path, files: tuple[Path, Path]) -> None:
    empty = {"verified": "", "seconds": 0, "trained": False, "built": False}
    assert add(tmp_path, files, [ROW, {**ROW, **empty, "platform": "debian-16-x86_64"}]) == 0
    rows = Table.model_validate(tried.read(files[0])).tried
    assert [(row.platform, row.built) for row in rows[-2:]] == [("debian-15-x86_64", True), ("debian-16-x86_64", False)]
    assert "seconds" not in yaml.safe_load(files[0].read_text())["tried"][-1]


def test_platform_that_was_built_before_is_not_replaced_by_a_failure(
    tmp_path: Path, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    add(tmp_path, files, ROW)
    before = files[0].read_text()
    assert add(tmp_path, files, {**ROW, "built": False, "trained": False}) == 2
    assert files[0].read_text() == before
    assert "debian-15-x86_64 was not built, but it was before: find out why" in capsys.readouterr().err


def test_platform_that_was_trained_on_is_not_replaced_by_one_on_which_training_failed(
    tmp_path: Path, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    add(tmp_path, files, ROW)
    before = files[0].read_text()
    assert add(tmp_path, files, {**ROW, "trained": False}) == 2
    assert files[0].read_text() == before
    assert "debian-15-x86_64 was not trained on, but it was before: find out why" in capsys.readouterr().err


def test_versions_that_are_known_to_fail_are_not_lost_with_their_heading(
    tmp_path: Path, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    text = files[0].read_text().replace("# Versions that are known to fail", "# What fails")
    files[0].write_text(text)
    assert add(tmp_path, files, ROW) == 2
    assert files[0].read_text() == text
    assert "lacks the line" in capsys.readouterr().err


@pytest.mark.parametrize(
    "row", [{**ROW, "hdf5": 2.2}, {**ROW, "guessed": 1}, [[ROW]], "a: [", "", "x: \x01", "a" * (tried.LARGEST + 1)]
)
def test_wrong_row_is_refused_in_words_and_changes_nothing(
    tmp_path: Path, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], row: Any
) -> None:
    before = [file.read_text() for file in files]
    assert add(tmp_path, files, row) == 2
    assert [file.read_text() for file in files] == before
    assert "row.yaml: " in capsys.readouterr().err


def test_file_that_does_not_exist_and_wrong_usage(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert tried.main(["none.yaml"], *files) == 2
    assert "none.yaml" in capsys.readouterr().err
    assert tried.main(["--help"], *files) == 2
    assert "usage: python -m tools.tried [ROWS.yaml]" in capsys.readouterr().err


def test_page_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="it lacks the lines"):
        tried.page("# A page\n", [])
