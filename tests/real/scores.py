"""Compares the scores of roles/neuraltalk2/files/myeval.py with those of coco-caption under Python 2.

    python -m tests.real.scores COCO_CAPTION_DIR PYTHON2 PACKAGES

COCO_CAPTION_DIR is tylin/coco-caption with its jars. A copy without its large files can be completed with those of
pycocoevalcap's wheel: tokenizer/stanford-corenlp-3.4.1.jar, meteor/meteor-1.5.jar and meteor/data/paraphrase-en.gz.
PYTHON2 is a Python 2.7 with numpy. PACKAGES is a directory with pycocoevalcap, or its wheel. This Python needs
numpy, and java must be on the PATH. The captions are generated, always the same ones.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MYEVAL = ROOT / "roles" / "neuraltalk2" / "files" / "myeval.py"
IMAGES = 600
"""The number of images with predictions; 400 of them are annotated."""
SUBJECTS = (
    "a man;two women;the young girl;a black-and-white dog;an old cat;three people;someone's bus;a red train".split(";")
)
VERBS = "sits;is standing;rides;doesn't look;plays;are walking;holds a frisbee;eats pizza;(blurry) jumps".split(";")
PLACES = (
    "on a bench;near the water;in front of a house;down the street at 5:30;with a kite -- outside;next to it".split(";")
)
ENDS = [".", "", "!", " .", "...", " , it seems", "; smiling"]

# What neuraltalk2's own script does, with coco-caption's own packages. SPICE, which is not scored here, and the drawing
# packages are replaced by stand-ins.
ORIGINAL = """
import json, sys, types
sys.path.insert(0, ".")
def module(name, **content):
    made = types.ModuleType(name)
    made.__dict__.update(content)
    sys.modules[name] = made
    if name.rpartition(".")[0] in sys.modules:
        setattr(sys.modules[name.rpartition(".")[0]], name.rpartition(".")[2], made)
module("matplotlib"), module("matplotlib.pyplot"), module("matplotlib.collections", PatchCollection=None)
module("matplotlib.patches", Polygon=None), module("skimage"), module("skimage.draw", polygon=None)
class Spice(object):
    def method(self): return "SPICE"
    def compute_score(self, gts, res): return 0.0, [0.0] * len(gts)
module("pycocoevalcap.spice"), module("pycocoevalcap.spice.spice", Spice=Spice)
from pycocotools.coco import COCO
from pycocoevalcap.eval import COCOEvalCap
coco = COCO("annotations/captions_val2014.json")
known = set(coco.getImgIds())
predictions = json.load(open("valx.json"))["val_predictions"]
json.dump([entry for entry in predictions if entry["image_id"] in known], open("tmp.json", "w"))
results = coco.loadRes("tmp.json")
scorer = COCOEvalCap(coco, results)
scorer.params["image_id"] = results.getImgIds()
scorer.evaluate()
del scorer.eval["SPICE"]
json.dump(dict((name, [format(float(value), ".3f"), repr(float(value))]) for name, value in scorer.eval.items()),
          open("scores.json", "w"))
"""
OURS = """
import json, sys
sys.path.insert(0, ".")
import myeval
truths = myeval.references(myeval.ANNOTATIONS)
found = myeval.scores(myeval.load(), myeval.chosen("valx.json", truths), truths)
json.dump({name: [format(value, ".3f"), repr(value)] for name, value in found}, open("scores.json", "w"))
"""


def made(seed: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    """(annotations in the form of MS COCO, predictions): five captions an image, and one prediction."""
    draw = random.Random(seed)

    def caption() -> str:
        text = f"{draw.choice(SUBJECTS)} {draw.choice(VERBS)} {draw.choice(PLACES)}{draw.choice(ENDS)}"
        return text.capitalize() if draw.random() < 0.8 else text

    annotated = range(1000, 1000 + IMAGES * 2 // 3)
    annotations = [
        {"image_id": image, "id": n, "caption": caption()} for n, image in enumerate(sorted([*annotated] * 5))
    ]
    known: dict[int, list[str]] = {}
    for entry in annotations:
        known.setdefault(entry["image_id"], []).append(entry["caption"])
    predictions = []
    for image in range(1000, 1000 + IMAGES):
        words = draw.choice(known.get(image, ["a picture"])).lower().split()
        for place in range(len(words)):
            if draw.random() < 0.25:
                words[place] = draw.choice(caption().lower().split())
        kept = words[: draw.randint(1, len(words))] if draw.random() < 0.2 else words
        predictions.append({"image_id": image, "caption": " ".join(kept)})
    whole = {"info": {}, "licenses": [], "type": "captions", "images": [{"id": image} for image in annotated]}
    return {**whole, "annotations": annotations}, {"val_predictions": predictions}


def run(folder: Path, python: str, program: str) -> Any:
    """Run a program in a directory; its scores.json, usually {name: [as printed, with all digits]}."""
    subprocess.run([python, "-B", "-c", program], cwd=folder, check=True, env={**os.environ, "MPLBACKEND": "Agg"})
    return json.loads((folder / "scores.json").read_text(encoding="utf-8"))


def lay_out(folder: Path, packages: Path) -> Path:
    """Write the packages and the generated captions into a directory, as a run has them."""
    if packages.suffix == ".whl":
        zipfile.ZipFile(packages).extractall(folder)
    else:
        shutil.copytree(packages, folder, dirs_exist_ok=True)
    annotations, predictions = made()
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations" / "captions_val2014.json").write_text(json.dumps(annotations), encoding="utf-8")
    (folder / "valx.json").write_text(json.dumps(predictions), encoding="utf-8")
    shutil.copyfile(MYEVAL, folder / "myeval.py")
    return folder


def main(arguments: Sequence[str]) -> int:
    """Print every score of both. Exit code 1 if one differs as printed."""
    original, python2, packages = arguments
    with tempfile.TemporaryDirectory() as private:
        one, two = Path(private, "one"), Path(private, "two")
        one.mkdir()
        two.mkdir()
        before = run(lay_out(one, Path(original)), python2, ORIGINAL)
        after = run(lay_out(two, Path(packages)), sys.executable, OURS)
    print(f"{'score':8} {'Python 2':>8} {'ours':>8}  all digits")
    for name in sorted(before):
        (printed, digits), (printed_, digits_) = before[name], after.get(name, ["missing", ""])
        print(f"{name:8} {printed:>8} {printed_:>8}  {digits} {digits_}{' the same' if digits == digits_ else ''}")
    same = {name: both[0] for name, both in before.items()} == {name: both[0] for name, both in after.items()}
    print(f"{len(before)} scores of {IMAGES * 2 // 3} captions are {'the same' if same else 'NOT the same'} as printed")
    return 0 if same and documented(Path(packages)) else 1


METEOR = """
import json, sys
sys.path.insert(0, ".")
import myeval
rows = json.load(open("rows.json"))
classes = myeval.load()
found = []
for some in [[row] for row in rows] + [rows, [["a bed with a cat on it", *rows[1][1:]]]]:
    truths = {n: row[1:] for n, row in enumerate(some)}
    found.append("%.3f" % dict(myeval.scores(classes, {n: row[0] for n, row in enumerate(some)}, truths))["METEOR"])
json.dump(found, open("scores.json", "w"))
"""


def documented(packages: Path) -> bool:
    """Whether docs/metrics.md has the right numbers of METEOR for its table of captions."""
    text = " ".join((ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").split("\n"))
    rows = [row.split(" | ") for row in re.findall(r"\| \d+ \| (a [^|]* \| [^|]* \| [^|]*) \|", text)]
    with tempfile.TemporaryDirectory() as private:
        folder = lay_out(Path(private), packages)
        (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
        one, two, three, every, turned = run(folder, sys.executable, METEOR)
    line = f"picture 1: METEOR {one}; picture 2: METEOR {two}; picture 3: METEOR {three}; all pictures: METEOR {every}"
    right = line in text and f"in another order, it gives {turned}." in text
    print(f"{line}; with the words in another order {turned}: docs/metrics.md {'agrees' if right else 'DIFFERS'}")
    return right


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
