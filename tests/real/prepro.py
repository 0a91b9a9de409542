"""python -m tests.real.prepro PREPRO.py PYTHON2: neuraltalk2's own prepro.py and ours on the same generated data.

PYTHON2 is a Python 2.7 with numpy 1.16.6, scipy 1.1.0, h5py 2.10.0 and Pillow 6.2.2. It compares the text
of the JSON and the datasets of labels, bit by bit. Exit code 1 if one differs. `--write FILE` writes the SHA-256 of all
outputs of the original; tests/unit/data/prepro.json is such a file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from tests.standin import captions, images

DATASETS = ("labels", "label_start_ix", "label_end_ix", "label_length")


@dataclass(frozen=True)
class Case:
    """The options of prepro.py, and those of the generated captions (tests/standin/captions.py)."""

    made: dict[str, Any]
    num_val: int
    num_test: int = 0
    threshold: int = 5
    max_length: int = 16
    source: str = "raw"

    def write(self, folder: Path) -> tuple[list[Path], list[dict[str, Any]]]:
        """Write the captions for our program; the files, and the same captions as prepro.py's raw JSON."""
        made = captions.entries(**self.made)
        if self.source == "coco":
            return captions.coco(made, folder)
        file = folder / f"captions.{self.source}"
        if self.source in ("csv", "jsonl"):
            (captions.table if self.source == "csv" else captions.lines)(made, file)
            return [file], [{**entry, "id": number} for number, entry in enumerate(made, 1)]
        raw = captions.odd(made) if self.source == "odd" else made
        file.write_text(json.dumps(raw), encoding="utf-8")
        return [file], raw

    def options(self) -> dict[str, int]:
        return {
            "num_val": self.num_val,
            "num_test": self.num_test,
            "word_count_threshold": self.threshold,
            "max_length": self.max_length,
        }


SMALL = {"pictures": 300}
CASES = {
    "threshold 5": Case(SMALL, num_val=30, num_test=20),
    "threshold 1": Case(SMALL, num_val=30, threshold=1),
    "threshold 0, no UNK": Case(SMALL, num_val=0, threshold=0, max_length=7),
    "one picture": Case({"pictures": 1, "each": 1, "words": 5}, num_val=0, threshold=0),
    "without ids": Case({"pictures": 40, "words": 9, "ids": False, "seed": 3}, num_val=7, num_test=3),
    "all words rare": Case({"pictures": 12, "words": 10**6}, num_val=2),
    "odd fields": Case({"pictures": 60, "words": 40, "seed": 5}, num_val=5, threshold=2, source="odd"),
    "COCO's files": Case({"pictures": 150, "seed": 6}, num_val=20, num_test=20, source="coco"),
    "a table": Case({"pictures": 150, "seed": 7}, num_val=20, threshold=3, source="csv"),
    "JSON Lines": Case({"pictures": 150, "seed": 8}, num_val=20, threshold=3, source="jsonl"),
    # A dict of Python 2.7 with more than 87,381 keys grows by another factor.
    "90,000 words": Case(
        {"pictures": 200, "each": 65, "words": 90000, "every": True, "seed": 2}, num_val=20, num_test=10, threshold=0
    ),
    "90,000 words, threshold 1": Case(
        {"pictures": 200, "each": 130, "words": 90000, "every": True, "seed": 4}, num_val=20, num_test=10, threshold=1
    ),
}


def original(program: Path, python: str, entries: list[dict[str, Any]], case: Case, work: Path) -> dict[str, bytes]:
    """The output of prepro.py: {json, labels, ...} as bytes, numbers as 32 bits, little-endian."""
    picture = images.png(32, 24, (200, 40, 40))
    for entry in entries:
        file = work / entry["file_path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture)
    raw, text, h5 = work / "raw.json", work / "out.json", work / "out.h5"
    raw.write_text(json.dumps(entries), encoding="utf-8")
    arguments = [f"--{name}={value}" for name, value in case.options().items()]
    where = [f"--input_json={raw}", f"--output_json={text}", f"--output_h5={h5}", f"--images_root={work}"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}
    command = [python, "-W", "ignore", str(program), *arguments, *where]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{program} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    with h5py.File(h5, "r") as file:
        found = {name: file[name][()].astype("<u4").tobytes() for name in DATASETS}
    return {"json": text.read_bytes(), **found}


def ours(files: list[Path], case: Case) -> dict[str, bytes]:
    """The output of our own modules for the same captions, in the same form."""
    from plugins.module_utils.captions import encoding, sources

    entries = sources.read([str(file) for file in files])
    made = encoding.lay_out(entries, case.options())
    arrays = {name: getattr(made, name) for name in DATASETS}
    if sys.byteorder == "big":
        for array in arrays.values():
            array.byteswap()
    return {"json": made.json_text().encode(), **{name: array.tobytes() for name, array in arrays.items()}}


def versions(python: str) -> str:
    """The versions of Python and the packages of the original."""
    program = (
        "import sys, numpy, scipy, h5py, PIL; print('Python %s, numpy %s, scipy %s, h5py %s, Pillow %s' % ("
        "sys.version.split()[0], numpy.__version__, scipy.__version__, h5py.__version__, PIL.__version__))"
    )
    return subprocess.run([python, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path, metavar="PREPRO.py")
    parser.add_argument("python", metavar="PYTHON2")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the SHA-256 of the outputs of the original")
    arguments = parser.parse_args()
    wrong, digests = 0, {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            files, entries = case.write(Path(folder))
            theirs = original(arguments.program, arguments.python, entries, case, Path(folder))
            mine = ours(files, case)
        different = [part for part in theirs if theirs[part] != mine[part]]
        wrong += bool(different)
        rows, size = len(theirs["label_length"]) // 4, len(theirs["json"])
        print(f"{name}: {len(entries)} pictures, {rows} captions, {size} bytes of JSON:", end=" ")
        print(f"DIFFERENT: {', '.join(different)}" if different else "equal")
        digests[name] = {part: hashlib.sha256(content).hexdigest() for part, content in theirs.items()}
    if arguments.write:
        program = hashlib.sha256(arguments.program.read_bytes()).hexdigest()
        document = {"prepro.py": program, "python": versions(arguments.python), "cases": digests}
        arguments.write.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
