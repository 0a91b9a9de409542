"""`python -m tools.tried [ROWS.yaml]`: add trials of the real sources to the catalogue, and write the docs' table.

ROWS.yaml has one row as in catalogue/data/tried.yaml, or a list of them, for example `.cache/tried.yaml`, which `make
test-real` writes. A row replaces that of the same platform, unless that was built, or trained on, and it was not.
Comments of the data file are kept.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from neuraltalk_provision.catalogue.tried import NAMES, Table, Tried
from tools.release import ROOT

DATA = ROOT / "neuraltalk_provision" / "catalogue" / "data" / "tried.yaml"
PAGE = ROOT / "docs" / "real-run.md"
COMMAND = "python -m tools.tried"
BEGIN = f"<!-- Written by `{COMMAND}` from neuraltalk_provision/catalogue/data/tried.yaml. -->"
END = "<!-- The end of the table. -->"
LARGEST = 1 << 20
"""The most bytes of a file with a row."""
_START, _AFTER = "\ntried:\n", "\n\n# Versions that are known to fail"


def read(path: Path) -> Any:
    """The YAML document in a file. Raises ValueError if it is no YAML, or too large."""
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    try:
        return yaml.safe_load(content.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"it is no YAML: {error}") from None


def merged(rows: Sequence[Tried], new: Tried) -> list[Tried]:
    """The rows with a new one: in place of the row of the same platform, or at the end.

    Rows of a component are told apart by their HDF5, others by their CUDA. Raises ValueError if something that was
    built, or trained on, would be replaced by a row that says that it was not.
    """
    same = [row for row in rows if _key(row) == _key(new)]
    for done, words in (("built", "built"), ("trained", "trained on")):
        if any(getattr(row, done) for row in same) and not getattr(new, done):
            raise ValueError(f"{new.platform} was not {words}, but it was before: find out why, or remove the old row")
    if same:
        return [new if row == same[0] else row for row in rows if row not in same[1:]]
    return [*rows, new]


def _key(row: Tried) -> tuple[str, ...]:
    return (row.platform, row.component, row.hdf5 if row.component else row.cuda)


def _given(document: Any) -> list[Tried]:
    """The rows of a document, which is one row or a list of them."""
    return [Tried.model_validate(row) for row in (document if isinstance(document, list) else [document])]


def written(text: str, rows: Sequence[Tried]) -> str:
    """The text of the data file with these rows; all else is kept. ValueError if it lacks a mark."""
    head, start, rest = text.partition(_START)
    _, mark, tail = rest.partition(_AFTER)
    if not start or not mark:
        lacks, what = (_AFTER, "end before it") if start else (_START, "begin after it")
        raise ValueError(f"it lacks the line {lacks.strip()!r}; the rows {what}")
    items = yaml.safe_dump([_fields(row) for row in rows], sort_keys=False, width=110, allow_unicode=True)
    listed = "".join(f"  {line}\n" for line in items.splitlines())
    return head + _START + listed.rstrip("\n") + mark + tail


def _fields(row: Tried) -> dict[str, Any]:
    """What is known of a row."""
    return {name: value for name, value in row.model_dump().items() if value not in ("", None)}


def table(rows: Sequence[Tried]) -> str:
    """The table of the docs: one line per trial, the platforms in order."""
    columns = ("platform", "seen", *NAMES.values(), "built", "trained", "captioned", "`verify`", "`site`", "how")
    shown = [[_cell(text) for text in _line(row)] for row in sorted(rows, key=lambda row: row.platform)]
    used = [at for at in range(len(columns)) if any(line[at] for line in shown)]
    lines = [columns, ["---"] * len(columns), *shown]
    return "\n".join("| " + " | ".join(line[at] for at in used) + " |" for line in lines)


def _line(row: Tried) -> tuple[object, ...]:
    where = f"{row.platform}, {row.component} alone" if row.component else row.platform
    how = f"{row.source}: {row.why}" if row.why else row.source
    seconds = f"{row.seconds} s" if row.seconds is not None else ""
    versions = (getattr(row, name) for name in NAMES)
    return (where, row.seen, *versions, row.built, row.trained, row.captioned, row.verified, seconds, how)


def _cell(value: object) -> str:
    return {True: "yes", False: "no", None: ""}.get(value, str(value)) if isinstance(value, bool | None) else str(value)


def page(text: str, rows: Sequence[Tried]) -> str:
    """The text of the page with the table between its two marks. Raises ValueError if it lacks them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"it lacks the lines {BEGIN} and {END}")
    return f"{before}{begin}\n\n{table(rows)}\n\n{end}{after}"


def _write(path: Path, text: str) -> bool:
    """Whether the file had another text; it is replaced in one step."""
    if path.read_text(encoding="utf-8") == text:
        return False
    beside = path.with_name(f".{path.name}.new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return True


def main(arguments: Sequence[str], data: Path = DATA, document: Path = PAGE) -> int:
    """Add the rows of a file if one is given, then write both files. Prints what changed; 2 if a row is wrong."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(f"usage: {COMMAND} [ROWS.yaml]", file=sys.stderr)
        return 2
    rows = list(Table.model_validate(read(data)).tried)
    for name in arguments:
        try:
            for row in _given(read(Path(name))):
                rows = merged(rows, row)
        except (OSError, ValueError, ValidationError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
    texts = {}
    for path, make in ((data, written), (document, page)):
        try:
            texts[path] = make(path.read_text(encoding="utf-8"), rows)
        except ValueError as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 2
    for path, text in texts.items():
        if _write(path, text):
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
