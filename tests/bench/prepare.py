"""`python -m tests.bench.prepare`: the speed and memory of `provision data prepare`; a benchmark, not a test.

Images per second of these, measured in turns on the same pictures:

- a loop like that of upstream's prepro.py: one process, imread, imresize, a row of the HDF5;
- with `--python2 PYTHON --prepro FILE` the original prepro.py;
- `provision data prepare`: only its reading of pictures, and the whole command;
- the limit: the same pictures decoded and resized on all cores, without writing;
- only decoding, on all cores.

The pictures are 1,500 JPEGs of 640 x 480 (waves with noise), and a set of mixed kinds and sizes. Afterwards the memory
of our processes is measured with 1,000 and with 50,000 pictures, which are links to small ones.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuraltalk_provision import paths

OURS = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from module_utils.preparing import prepare
print(json.dumps(prepare.prepare(json.loads(sys.argv[2]), lambda text: None)))
"""
LOOP = """
import json, os, sys, time
import h5py, numpy
from PIL import Image
folder, target = sys.argv[1:]
names = sorted(os.listdir(folder))
with h5py.File(target, "w") as file:
    images = file.create_dataset("images", (len(names), 3, 256, 256), dtype="uint8")
    began = time.monotonic()
    for row, name in enumerate(names):
        with Image.open(os.path.join(folder, name)) as image:
            pixels = numpy.array(image)
        small = numpy.array(Image.fromarray(pixels).resize((256, 256), 2))
        if small.ndim == 2:
            small = numpy.concatenate([small[:, :, None]] * 3, axis=2)
        images[row] = small[:, :, :3].transpose(2, 0, 1)
print(len(names) / (time.monotonic() - began))
"""
ALL_CORES = """
import os, sys, time
from PIL import Image
folder, resized, jobs = sys.argv[1], sys.argv[2] == "resized", int(sys.argv[3])
names = sorted(os.listdir(folder))
Image.init()
began, children = time.monotonic(), []
for job in range(jobs):
    child = os.fork()
    if child == 0:
        for name in names[job::jobs]:
            with Image.open(os.path.join(folder, name)) as image:
                image.load()
                if resized:
                    image.resize((256, 256), 2).tobytes()
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
print(len(names) / (time.monotonic() - began))
"""

WHOLE = "data prepare, all of it"
LIMIT = "the limit: decoded and resized"


@dataclass(frozen=True)
class Bench:
    """The working directory, the number of processes, and the original program if there is one."""

    folder: Path
    jobs: int
    python2: str
    prepro: str


@dataclass(frozen=True)
class Set:
    """Pictures of one kind, and the captions of all of them."""

    name: str
    images: Path
    raw: Path
    count: int


def waves(numpy: Any, number: int, width: int, height: int) -> Any:
    """Pixels (height, width, 3): waves with coarse and fine noise, so that JPEGs are as large as photographs."""
    random = numpy.random.default_rng(number)
    y, x = numpy.mgrid[0:height, 0:width]
    coarse = random.normal(0, 25, (height // 4 + 1, width // 4 + 1, 3)).repeat(4, axis=0).repeat(4, axis=1)
    waves = [60 * numpy.sin(x / (20 + number % 17) + c) + 50 * numpy.cos(y / (15 + number % 23) + c) for c in range(3)]
    pixels = 128 + numpy.stack(waves, axis=-1) + coarse[:height, :width] + random.normal(0, 5, (height, width, 3))
    return numpy.clip(pixels, 0, 255).astype("uint8")


def describe(name: str, images: Path, names: list[str]) -> Set:
    """Write captions for the pictures; the set."""
    entries = [{"file_path": each, "captions": ["a picture of waves"], "id": place} for place, each in enumerate(names)]
    raw = images.parent / f"{name}.json"
    raw.write_text(json.dumps(entries), encoding="utf-8")
    return Set(name, images, raw, len(names))


def photographs(folder: Path, count: int) -> Set:
    """Make JPEGs of 640 x 480: 200 different ones, and copies of them."""
    import numpy
    from PIL import Image

    folder.mkdir()
    names = [f"{number:05}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        if number < 200:
            Image.fromarray(waves(numpy, number, 640, 480)).save(folder / name, quality=85)
        else:
            shutil.copyfile(folder / names[number % 200], folder / name)
    return describe("jpeg", folder, names)


def mixed(folder: Path, count: int) -> Set:
    """Pictures of 100 to 2,000 pixels: JPEGs in colour and grey, progressive ones, PNGs with and without a palette."""
    import numpy
    from PIL import Image

    folder.mkdir()
    names = []
    for number in range(count):
        width, height = [(320, 240), (1024, 768), (100, 2000), (333, 500), (1600, 1200)][number % 5]
        image = Image.fromarray(waves(numpy, number, width, height))
        if number % 7 == 3:
            image = image.convert("L")
        if number % 11 == 5:
            image = image.quantize(64)
        names.append(f"{number:05}.png" if image.mode == "P" or number % 4 == 1 else f"{number:05}.jpg")
        image.save(folder / names[-1], progressive=number % 3 == 0)  # ignored for PNG
    return describe("mixed", folder, names)


def python(program: str, *arguments: str) -> str:
    """Run a program; the last line of its output."""
    argv = [sys.executable, "-c", program, *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()[-1]


def ours(bench: Bench, data: Set) -> dict[str, Any]:
    """Run the code of `provision data prepare` alone; its result, with `wall`, the seconds of the process."""
    for old in bench.folder.glob("out.*"):
        old.unlink()
    request = {
        "input_json": [str(data.raw)], "images_root": str(data.images), "output_json": str(bench.folder / "out.json"),
        "output_h5": str(bench.folder / "out.h5"), "num_val": 1, "num_test": 0, "word_count_threshold": 0,
        "jobs": bench.jobs,
    }  # fmt: skip
    began = time.monotonic()
    result: dict[str, Any] = json.loads(python(OURS, str(paths.plugins()), json.dumps(request)))
    return dict(result, wall=time.monotonic() - began)


def original(bench: Bench, data: Set) -> float:
    """Images per second of prepro.py, including its start."""
    arguments = ["--input_json", str(data.raw), "--images_root", str(data.images), "--num_val", "1"]
    arguments += ["--word_count_threshold", "0", "--output_json", str(bench.folder / "original.json")]
    arguments += ["--output_h5", str(bench.folder / "original.h5")]
    began = time.monotonic()
    subprocess.run([bench.python2, bench.prepro, *arguments], check=True, capture_output=True)
    return data.count / (time.monotonic() - began)


def compare(bench: Bench, data: Set, rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Images per second of all programs, and the milliseconds of CPU time per image, including starts."""
    taken: dict[str, list[float]] = {}
    spent: dict[str, list[float]] = {}

    def reading() -> float:
        result = ours(bench, data)
        taken.setdefault(WHOLE, []).append(data.count / result["wall"])
        return float(result["per_second"])

    def all_cores(what: str) -> float:
        return float(python(ALL_CORES, str(data.images), what, str(bench.jobs)))

    # The two that are compared run one after the other.
    ways: dict[str, Callable[[], float]] = {
        "upstream's loop, serial": lambda: float(python(LOOP, str(data.images), str(bench.folder / "loop.h5"))),
        LIMIT: lambda: all_cores("resized"),
        "data prepare, reading": reading,
        "decoding alone": lambda: all_cores("decoded"),
    }
    if bench.python2 and bench.prepro:
        ways["prepro.py itself, all of it"] = lambda: original(bench, data)
    for _round in range(rounds):
        for what, way in ways.items():
            before = processor()
            taken.setdefault(what, []).append(way())
            spent.setdefault(what, []).append(1000 * (processor() - before) / data.count)
    return taken, spent


def processor() -> float:
    """Seconds of CPU time of all ended child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def show(data: Set, taken: dict[str, list[float]], spent: dict[str, list[float]]) -> None:
    """Print medians, least and most, the share of the limit, and the CPU time."""
    median = {what: statistics.median(rates) for what, rates in taken.items()}
    limit = median[LIMIT]
    print(f"\n{data.count} pictures, {data.name}: images a second (least, most), share of the limit, processor ms each")
    for what, rates in sorted(taken.items(), key=lambda each: median[each[0]]):
        used = f"{statistics.median(spent[what]):>6.2f}" if what in spent else ""
        spread = f"{min(rates):>6.0f} {max(rates):>6.0f}"
        print(f"{what:<32} {median[what]:>7.0f}  {spread}  {median[what] / limit:>5.2f}  {used}", flush=True)


def memory(bench: Bench, count: int) -> dict[str, int]:
    """The largest memory of each of our processes with `count` pictures, in bytes."""
    import numpy
    from PIL import Image

    folder = bench.folder / f"links-{count}"
    folder.mkdir()
    for number in range(100):
        Image.fromarray(waves(numpy, number, 96, 72)).save(bench.folder / f"small-{number}.jpg")
    names = [f"{number:06}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        (folder / name).hardlink_to(bench.folder / f"small-{number % 100}.jpg")
    result = ours(bench, describe(folder.name, folder, names))
    shutil.rmtree(folder)
    kept: dict[str, int] = result["memory"]
    print(f"{count:>7} pictures: " + ", ".join(f"{who} {most / 1e6:.0f} MB" for who, most in sorted(kept.items())))
    return kept


def main() -> int:
    """Make the pictures, measure, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.prepare", description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=1500, help="number of JPEGs of 640 x 480 (default: 1500)")
    parser.add_argument("--mixed", type=int, default=300, help="number of pictures of mixed sizes (default: 300)")
    parser.add_argument(
        "--many", type=int, nargs="+", default=[1000, 50_000], help="numbers of links (default: 1000 50000)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each program is measured (default: 3)")
    parser.add_argument("--python2", default="", help="a Python 2.7 with numpy, scipy 1.1.0, h5py and Pillow")
    parser.add_argument("--prepro", default="", help="upstream's prepro.py")
    parser.add_argument("--folder", default=None, help="directory for pictures and HDF5 (default: a temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        bench = Bench(Path(name), len(os.sched_getaffinity(0)), arguments.python2, arguments.prepro)
        sets = [photographs(bench.folder / "jpeg", arguments.pictures), mixed(bench.folder / "mixed", arguments.mixed)]
        size = sum(file.stat().st_size for file in sets[0].images.iterdir()) / arguments.pictures
        print(f"{bench.jobs} cores, load before: {os.getloadavg()[0]:.1f}; JPEGs of {size / 1000:.0f} KB", flush=True)
        for data in sets:
            show(data, *compare(bench, data, arguments.rounds))
        print(f"\nthe most memory of a process; load now: {os.getloadavg()[0]:.1f}")
        for count in arguments.many:
            memory(bench, count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
