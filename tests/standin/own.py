"""python -m tests.standin.own DIR [--count N]: write pictures/ and captions.csv, like the data of a user."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.standin import images, pictures


def write(folder: Path, count: int = 12) -> list[Path]:
    """Write `count` pictures of one colour each, with five captions that name it; the pictures' paths."""
    files = images.write(folder / "pictures", count=count)
    with (folder / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "caption"))
        for path in files:
            colour = path.stem.rpartition("-")[2]
            rows.writerows((path.name, pattern.format(colour)) for pattern in pictures.PATTERNS)
    return files


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.standin.own", description=__doc__)
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument("--count", type=int, default=12, metavar="N", help="how many pictures")
    given = parser.parse_args(arguments)
    for path in write(given.dir, given.count):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
