"""python -m tests.real.pixels PREPRO.py PYTHON2: neuraltalk2's own prepro.py and `data prepare` on the same pictures.

PYTHON2 is a Python 2.7 with numpy 1.16.6, scipy 1.1.0, h5py 2.10.0 and Pillow 6.2.2. It makes
pictures of many kinds and sizes, and compares all datasets of the HDF5 and the text of the JSON:

- ours under PYTHON2: all pictures, because both use the same decoders;
- ours under this Python: all except JPEGs and WEBPs, whose decoders round differently in each version.

It also shows that the original fails at one picture of each kind that we convert. Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy
from PIL import Image

from neuraltalk_provision import paths

SIZES = ((1, 1), (1, 7), (7, 1), (3, 3), (50, 3), (3, 50), (3, 4), (50, 4), (4, 50), (257, 255), (255, 257), (256, 256),
         (640, 480), (517, 333), (480, 640), (30, 1000), (2001, 17))  # fmt: skip
"""Widths and heights; scipy mistakes 3 and 4 for channels."""
OURS = """
import json, sys
from module_utils.preparing import prepare
def say(text):
    pass
sys.stdout.write(json.dumps(prepare.prepare(json.loads(sys.argv[1]), say)["converted"]))
"""


def made(width: int, height: int, channels: int) -> Any:
    """Waves with noise, (height, width, channels)."""
    y, x = numpy.mgrid[0:height, 0:width]
    waves = [128 + 100 * numpy.sin(x / (7 + 3 * c) + c) * numpy.cos(y / (11 + c)) for c in range(channels)]
    noise = numpy.random.default_rng(width * 7919 + height).normal(0, 20, (height, width, channels))
    return numpy.clip(numpy.stack(waves, -1) + noise, 0, 255).astype("uint8")


def write(folder: Path) -> None:
    """Write all pictures. Names of those at which the original fails start with `dies`."""
    for width, height in SIZES:
        name = f"{width}x{height}"
        colour = Image.fromarray(made(width, height, 3))
        grey = Image.fromarray(made(width, height, 1)[:, :, 0])
        for ending in ("png", "jpg", "bmp", "ppm", "tif", "webp"):
            colour.save(folder / f"colour-{name}.{ending}")
        for ending in ("png", "jpg", "bmp", "pgm", "gif"):
            grey.save(folder / f"grey-{name}.{ending}")
        colour.save(folder / f"progressive-{name}.jpg", progressive=True, quality=90, subsampling=0)
        palette = colour.quantize(37)
        palette.save(folder / f"palette-{name}.png")
        palette.save(folder / f"palette-{name}.gif")
        for ending in ("png", "pbm", "tif"):
            grey.convert("1").save(folder / f"two-{name}.{ending}")
        deep = (made(width, height, 1)[:, :, 0].astype("uint16") * 151) + 100
        Image.fromarray(deep).save(folder / f"deep-{name}.png")
        Image.fromarray(deep).save(folder / f"deep-{name}.tif")
        Image.fromarray(deep.astype("int32") * 3 - 500).save(folder / f"signed-{name}.tif")
        Image.fromarray(deep.astype("float32") / 7 - 99).save(folder / f"float-{name}.tif")
        alpha = Image.fromarray(made(width, height, 4))
        both = alpha.convert("LA")
        kind = "thin" if 3 in (width, height) else "dies"
        alpha.save(folder / f"{kind}-rgba-{name}.png")
        both.save(folder / f"{kind}-la-{name}.png")
        palette.save(folder / f"{kind}-seen-through-{name}.png", transparency=3)
        palette.save(folder / f"{kind}-seen-through-{name}.gif", transparency=3)
        colour.convert("CMYK").save(folder / f"{kind}-cmyk-{name}.jpg")
    Image.fromarray(made(4000, 3000, 3)).save(folder / "large.jpg")


def describe(folder: Path, names: list[str]) -> Path:
    """prepro.py's raw JSON of these pictures."""
    words = random.Random(9)
    entries = [
        {"file_path": name, "captions": [f"a picture of {words.choice('abc')} kind", "it is small"], "id": number}
        for number, name in enumerate(names)
    ]
    raw = folder / "raw.json"
    raw.write_text(json.dumps(entries), encoding="utf-8")
    return raw


def original(program: Path, python: str, work: Path, names: list[str]) -> subprocess.CompletedProcess[str]:
    """Run prepro.py on these pictures; it writes original.h5 and original.json."""
    where = [f"--input_json={describe(work, names)}", f"--images_root={work / 'pictures'}", "--num_val=5"]
    where += [f"--output_json={work / 'original.json'}", f"--output_h5={work / 'original.h5'}"]
    command = [python, "-W", "ignore", str(program), *where, "--num_test=5", "--word_count_threshold=1"]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def ours(python: str, work: Path, names: list[str]) -> int:
    """Run `data prepare` with a Python; it writes ours.h5 and ours.json. The number of converted pictures."""
    for old in work.glob("ours.*"):
        old.unlink()
    request = {
        "input_json": [str(describe(work, names))], "images_root": str(work / "pictures"), "num_val": 5, "num_test": 5,
        "output_json": str(work / "ours.json"), "output_h5": str(work / "ours.h5"), "word_count_threshold": 1,
    }  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(paths.plugins()), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [python, "-c", OURS, json.dumps(request)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode or done.stderr:
        raise SystemExit(f"ours ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return int(done.stdout)


def different(work: Path, leave_out: tuple[str, ...]) -> list[str]:
    """What differs between the two. Pictures with these endings are not compared."""
    texts = [(work / name).read_bytes() for name in ("original.json", "ours.json")]
    found = [] if texts[0] == texts[1] else ["the JSON"]
    listed = [image["file_path"] for image in json.loads(texts[0])["images"]]
    with h5py.File(work / "original.h5") as theirs, h5py.File(work / "ours.h5") as mine:
        for name in sorted(set(theirs) | set(mine)):
            if theirs[name].dtype != mine[name].dtype or theirs[name].shape != mine[name].shape:
                found.append(f"the form of {name}")
            elif name != "images" and (theirs[name][()] != mine[name][()]).any():
                found.append(name)
        for row, name in enumerate(listed):
            if not name.endswith(leave_out) and (theirs["images"][row] != mine["images"][row]).any():
                found.append(name)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path, metavar="PREPRO.py")
    parser.add_argument("python", metavar="PYTHON2")
    arguments = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "pictures").mkdir()
        write(work / "pictures")
        names = sorted(file.name for file in (work / "pictures").iterdir())
        fine = [name for name in names if not name.startswith("dies")]
        done = original(arguments.program, arguments.python, work, fine)
        if done.returncode:
            raise SystemExit(f"{arguments.program} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        for python, leave_out in ((arguments.python, ()), (sys.executable, (".jpg", ".webp"))):
            converted = ours(python, work, fine)
            found = different(work, leave_out) + ([f"{converted} were converted"] if converted else [])
            compared = sum(not name.endswith(leave_out) for name in fine)
            print(f"{python}: {compared} pictures: {', '.join(found) or 'equal, and all other data sets and the JSON'}")
            wrong += found
        dying = [name for name in names if name.startswith("dies")]
        for name in [name for name in dying if "640x480" in name]:
            ended = original(arguments.program, arguments.python, work, [name, fine[0]]).returncode
            print(f"{name}: the original ends with {ended}")
            wrong += [] if ended else [name]
        converted = ours(arguments.python, work, dying)
        print(f"{converted} of {len(dying)} pictures that end the original are converted")
        wrong += [] if converted == len(dying) else ["what is converted"]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
