"""`python -m tests.bench.captions [PYTHON ...]`: seconds and memory to read and encode captions of COCO's size.

There are 123,287 generated pictures with 616,435 captions of 30,000 words, as prepro.py's raw JSON and as COCO's two
files. Each PYTHON is measured; without one, this Python.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from neuraltalk_provision import paths
from tests.standin import captions

PICTURES = 123_287
PROGRAM = """
import os, resource, sys, time
sys.path.insert(0, sys.argv[1])
from module_utils.captions import encoding, sources
started = time.time()
entries = sources.read(sys.argv[2:])
read = time.time()
made = encoding.lay_out(entries, {"num_val": 5000, "num_test": 5000})
laid = time.time()
text = made.json_text()
written = time.time()
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
annotations = made.annotations()
print("read %.1f s, lay_out %.1f s, json_text %.1f s, %d MiB at most; annotations %.1f s, %d MiB; JSON of %d bytes" % (
    read - started, laid - read, written - laid, most, time.time() - written,
    resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, len(text)))
"""


def write(folder: Path) -> dict[str, list[Path]]:
    """The files of each kind of source."""
    entries = captions.entries(PICTURES, words=30_000)
    raw = folder / "raw.json"
    raw.write_text(json.dumps(entries), encoding="utf-8")
    coco, _ = captions.coco(entries, folder)
    return {"raw JSON": [raw], "COCO": coco}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", nargs="*", default=[sys.executable])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        for kind, files in write(Path(work)).items():
            for python in arguments.python:
                command = [python, "-c", PROGRAM, str(paths.plugins()), *map(str, files)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                print(f"{kind}, {python}: {done.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()
