"""neuraltalk2's own programs in the tree, on the card and on the processor."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from tests.gpu import machine, supervised
from tests.gpu.bench import Bench

TRAINING = (
    "-backend nn -batch_size 2 -seq_per_img 2 -max_iters 6 -save_checkpoint_every 3 -val_images_use 2 "
    "-losses_log_every 1 -drop_prob_lm 0 -seed 123 -language_eval 0"
).split()
STAGES = {"max_iters": "121", "save_checkpoint_every": "60"}
"""Some seconds of computation, so that samples of the card's use, which are seconds apart, see it."""
VGG = {"proto": "prototxt", "model": "caffemodel"}


def lay_out(bench: Bench, name: str) -> Path:
    """A folder of links in which train.lua and eval.lua may write beside what they read."""
    place = bench.work / name
    source = bench.generation / "neuraltalk2"
    (place / "vis" / "imgs").mkdir(parents=True)
    (place / "model").mkdir()
    for part in ("train.lua", "eval.lua", "misc", "test_language_model.lua"):
        (place / part).symlink_to(source / part)
    for file in (bench.work / "vgg").iterdir():
        (place / "model" / file.name).symlink_to(file)
    return place


def train(bench: Bench, where: str, gpuid: str) -> dict[str, Any]:
    """Six iterations of the real train.lua; losses, validation losses, the model and who computed."""
    place = lay_out(bench, f"train-{where}")
    data = bench.generation / "test-data"
    files = ("-input_h5", str(data / "cocotalk.h5"), "-input_json", str(data / "cocotalk.json"))
    words = ("th", "train.lua", *files, "-id", where, "-checkpoint_path", str(place), "-gpuid", gpuid, *TRAINING)
    with machine.Watch() as watch:
        code, text = bench.run(f"training on the {where}", *words, folder=place)
    model = place / f"model_id{where}.t7"
    return {
        "exit_code": code,
        "seconds": round(bench.seconds[f"training on the {where}"], 1),
        "losses": [float(loss) for loss in re.findall(r"^iter \d+: (\S+)", text, re.M)],
        "validation": [float(loss) for loss in re.findall(r"^validation loss:\s+(\S+)", text, re.M)],
        "model": str(model) if model.is_file() else "",
        "bytes": model.stat().st_size if model.is_file() else 0,
        "card": watch.told(),
        "tail": text.splitlines()[-15:] if code else [],
    }


def caption(bench: Bench, where: str, gpuid: str, model: str) -> dict[str, Any]:
    """Captions by the real eval.lua, by file."""
    place = lay_out(bench, f"eval-{where}")
    images = bench.generation / "test-data" / "images"
    words = ("th", "eval.lua", "-model", model, "-image_folder", str(images), "-num_images", "5", "-dump_path", "1")
    code, text = bench.run(f"captions on the {where}", *words, "-backend", "nn", "-gpuid", gpuid, folder=place)
    told = place / "vis" / "vis.json"
    entries = json.loads(told.read_text(encoding="utf-8")) if told.is_file() else []
    captions = {Path(entry["file_name"]).name: entry["caption"] for entry in entries}
    return {"exit_code": code, "captions": captions, "tail": text.splitlines()[-15:] if code else []}


def evaluate(bench: Bench, where: str, gpuid: str, model: str) -> dict[str, Any]:
    """The loss of a model over the validation pictures, by the real eval.lua."""
    place = lay_out(bench, f"loss-{where}")
    data = bench.generation / "test-data"
    files = ("-input_h5", str(data / "cocotalk.h5"), "-input_json", str(data / "cocotalk.json"))
    more = ("-num_images", "2", "-split", "val", "-language_eval", "0", "-dump_images", "0", "-dump_json", "0")
    words = ("th", "eval.lua", "-model", model, *files, *more, "-backend", "nn", "-gpuid", gpuid)
    code, text = bench.run(f"loss on the {where}", *words, folder=place)
    found = re.findall(r"^loss:\s+([-+.\de]+)", text, re.M)
    loss = float(found[-1]) if found else None
    return {"exit_code": code, "loss": loss, "tail": text.splitlines()[-15:] if loss is None else []}


def run_all(bench: Bench) -> dict[str, Any]:
    """neuraltalk2 itself, one after the other."""
    language = bench.suite(
        "test_language_model.lua", "th", "test_language_model.lua", folder=lay_out(bench, "language")
    )
    card, processor = train(bench, "card", "0"), train(bench, "processor", "-1")
    captions: dict[str, Any] = {}
    evaluation: dict[str, Any] = {}
    if processor["model"]:
        evaluation = {
            "card": evaluate(bench, "card", "0", processor["model"]),
            "processor": evaluate(bench, "processor", "-1", processor["model"]),
        }
        # One model, saved by the processor: eval.lua moves it to the card.
        captions = {
            "card": caption(bench, "card", "0", processor["model"]),
            "processor": caption(bench, "processor", "-1", processor["model"]),
        }
    if card["model"]:
        captions["card's own"] = caption(bench, "own", "0", card["model"])
    stages = supervised.run_stages(
        bench.work,
        bench.generation,
        {
            **dict(zip((word.lstrip("-") for word in TRAINING[::2]), TRAINING[1::2], strict=True)),
            **STAGES,
            "input_h5": str(bench.generation / "test-data" / "cocotalk.h5"),
            "input_json": str(bench.generation / "test-data" / "cocotalk.json"),
            **{f"cnn_{part}": str(next((bench.work / "vgg").glob(f"*.{end}"))) for part, end in VGG.items()},
        },
        bench.environment(),
        max(1.0, bench.deadline - time.monotonic()),
    )
    training = {"card": card, "processor": processor}
    return {
        "language": language,
        "training": training,
        "evaluation": evaluation,
        "captions": captions,
        "stages": stages,
    }
