"""`python3 -m tests.gpu --tree FILE`: the built tree on this machine's card, within ten minutes.

Torch's own suites of cutorch and cunn, neuraltalk2's test of its language model with the CUDA part, then real
trainings and captions by train.lua and eval.lua with -backend nn, on the card and on the processor from the same
seed and weights, with nvidia-smi's record; and a base training with its finetuning, led as runs are led on hosts.
Standard library only: nothing has to be installed here.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.gpu import led, machine, suites, weights

ROOT = Path(__file__).resolve().parents[2]
TRAINING = (
    "-backend nn -batch_size 2 -seq_per_img 2 -max_iters 6 -save_checkpoint_every 3 -val_images_use 2 "
    "-losses_log_every 1 -drop_prob_lm 0 -seed 123 -language_eval 0"
).split()
VGG = {"proto": "prototxt", "model": "caffemodel"}
CLOSE = 0.02
"""How far the first validation loss of the card may be from the processor's, of the loss itself.

One update came before it, with another dropout on each.
"""
SAME = 0.0001
"""How far the loss of one model may differ, of the loss itself: sums in another order, and nothing random."""


@dataclass
class Bench:
    """The tree on this machine, and how programs run in it."""

    generation: Path
    work: Path
    folders: Sequence[str]
    deadline: float
    seconds: dict[str, float] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """What programs find: the tree's own environment, CUDA's libraries and the tree's run-time libraries."""
        libraries = ":".join([*self.folders, str(self.generation / "lib-run")])
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, "TERM": "dumb", "NEURALTALK_LIBRARY_PATH": libraries, "CUDA_VISIBLE_DEVICES": "0"}

    def run(self, name: str, *words: str, folder: Path | None = None, threads: int = 0) -> tuple[int, str]:
        """(exit code, output) of a program in the tree; 124 where the time was up. The output is kept as a file."""
        command = [str(self.generation / "bin" / "with-stack"), *words]
        started = time.monotonic()
        with subprocess.Popen(
            command,
            cwd=folder or self.work,
            env={**self.environment(), **({"OMP_NUM_THREADS": str(threads)} if threads else {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                text = process.communicate(timeout=max(1.0, self.deadline - time.monotonic()))[0]
                code = process.returncode
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                text, code = process.communicate()[0], 124
        self.seconds[name] = time.monotonic() - started
        (self.work / f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')}.log").write_text(text, encoding="utf-8")
        return code, text

    def suite(self, name: str, *words: str, folder: Path | None = None, threads: int = 0) -> suites.Suite:
        """A suite of torch's Tester."""
        text = self.run(name, *words, folder=folder, threads=threads)[1]
        return suites.read(name, text, self.seconds[name])


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


def work(bench: Bench) -> dict[str, Any]:
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
    stages = led.lead(
        bench.work,
        bench.generation,
        {
            **dict(zip((word.lstrip("-") for word in TRAINING[::2]), TRAINING[1::2], strict=True)),
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


def problems(report: Mapping[str, Any]) -> list[str]:
    """What is wrong with the results, in words; empty where nothing is."""
    found = [suite["words"] for suite in report["suites"] if not suite["green"]]
    card, processor = report["training"]["card"], report["training"]["processor"]
    for where, training in report["training"].items():
        if training["exit_code"] or not training["model"]:
            found.append(f"training on the {where} ended with {training['exit_code']} and left no model")
    if card["validation"] and processor["validation"]:
        one, other = card["validation"][0], processor["validation"][0]
        if abs(one - other) > CLOSE * abs(other):
            found.append(f"the first validation loss is {one} on the card and {other} on the processor")
    if not card["card"]["processes"] and not card["card"]["utilisation"]:
        found.append("nvidia-smi saw nothing compute on the card during the training on it")
    for where, captioned in report["captions"].items():
        if captioned["exit_code"] or not captioned["captions"]:
            found.append(f"captions on the {where} ended with {captioned['exit_code']}")
    found += led.problems(report["stages"])
    found += led.facts_problems(report["facts"], report["card"])
    losses = {where: evaluated["loss"] for where, evaluated in report["evaluation"].items()}
    if not losses or None in losses.values():
        found.append("one model could not be evaluated on both, the card and the processor")
    elif abs(losses["card"] - losses["processor"]) > SAME * abs(losses["processor"]):
        found.append(
            f"the loss of one model is {losses['card']} on the card and {losses['processor']} on the processor"
        )
    if (
        len({json.dumps(captioned["captions"], sort_keys=True) for captioned in list(report["captions"].values())[:2]})
        > 1
    ):
        found.append("one model gave other captions on the card than on the processor")
    if not report["captions"]:
        found.append("there was no model to caption with")
    return found


def start(bench: Bench, pool: ThreadPoolExecutor, name: str) -> list[Future[suites.Suite]]:
    """The parts of a suite, running."""
    load, run, count = suites.SUITES[name]
    return [pool.submit(part, bench, name, load, run, number, count) for number in range(1, count + 1)]


def part(bench: Bench, name: str, load: str, run: str, number: int, count: int) -> suites.Suite:
    """One part of a suite, in as many processes as it needs."""
    title = f"{name} part {number}"
    processes = itertools.count(1)

    def process(program: str) -> tuple[int, str, float]:
        one = f"{title} process {next(processes)}"
        code, text = bench.run(one, "luajit", "-e", program, threads=1)
        return code, text, bench.seconds[one]

    return suites.run_part(title, lambda done: suites.program(load, run, number, count, done), process)


def prepare(tree: Path, out: Path, limit: float, libraries: str) -> Bench:
    """Unpack the tree, make the weights, and see that the libraries load."""
    started = time.monotonic()
    shutil.rmtree(out, ignore_errors=True)
    (out / "vgg").mkdir(parents=True)
    generation = machine.unpack(tree)
    bench = Bench(generation, out, machine.library_folders(libraries), started + limit)
    for name in ("libTHC", "libTHCUNN"):
        for library in sorted((generation / "torch").rglob(f"{name}.so")):
            command = [str(generation / "bin" / "with-stack"), "ldd", str(library)]
            told = subprocess.run(command, env=bench.environment(), capture_output=True, text=True, check=False).stdout
            missing = re.findall(r"^\s*(\S+) => not found", told, re.M)
            if missing:
                sys.exit(
                    f"{library} needs {', '.join(missing)}; looked in {', '.join(bench.folders) or 'no folder'}.\n"
                    "Name the folder of this machine's CUDA libraries with --libraries, or build the tree for its CUDA."
                )
    weights.write(out / "vgg")
    bench.seconds["preparation"] = time.monotonic() - started
    return bench


def main() -> int:
    """Run it all; 0 where nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.gpu", description=__doc__)
    parser.add_argument(
        "--tree", type=Path, default=ROOT / ".cache" / "gpu" / "tree.tar.xz", help="what make gpu-tree packed"
    )
    parser.add_argument("--out", type=Path, default=ROOT / ".cache" / "gpu" / "report", help="gets the report and logs")
    parser.add_argument("--limit", type=float, default=540, help="seconds after which what still runs is ended")
    parser.add_argument("--libraries", default="", help="more folders with CUDA libraries, with colons")
    asked = parser.parse_args()
    if not asked.tree.is_file():
        sys.exit(f"{asked.tree} is not there: `make gpu-tree MIRROR=DIR` builds it, on a machine with Docker")
    try:
        card = machine.card()
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        sys.exit(f"nvidia-smi does not tell of a card here: {error}")
    print(f"card: {card}", flush=True)
    bench = prepare(asked.tree, asked.out.resolve(), asked.limit, asked.libraries)
    print(f"tree: {bench.generation}; CUDA libraries: {', '.join(bench.folders)}", flush=True)
    with ThreadPoolExecutor(sum(count for _load, _run, count in suites.SUITES.values())) as pool:
        running = {name: start(bench, pool, name) for name in suites.SUITES}
        main_work = work(bench)
        divided = [suites.side_by_side(name, [part.result() for part in parts]) for name, parts in running.items()]
        done = [main_work["language"], *divided]
    report: dict[str, Any] = {
        "card": card,
        "facts": led.facts(),
        "suites": [{**asdict(suite), "green": suite.green, "words": suite.words()} for suite in done],
        "training": main_work["training"],
        "evaluation": main_work["evaluation"],
        "captions": main_work["captions"],
        "stages": main_work["stages"],
        "seconds": {name: round(seconds, 1) for name, seconds in bench.seconds.items()},
    }
    report["problems"] = problems(report)
    (bench.work / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    tell(report)
    print(f"the whole report and every log: {bench.work}")
    return 1 if report["problems"] else 0


def tell(report: Mapping[str, Any]) -> None:
    """The report in words."""
    for suite in report["suites"]:
        print(suite["words"])
        for test, message in suite["failed"].items():
            print(f"  {test}: {message[:300]}")
        for line in suite["tail"]:
            print(f"  {line}")
    for where, training in report["training"].items():
        print(f"training on the {where}, {training['seconds']} s: losses {training['losses']}")
        print(f"  validation {training['validation']}; model {training['bytes']:,} bytes")
        for line in training["tail"]:
            print(f"  {line}")
    seen = report["training"]["card"]["card"]
    print(f"nvidia-smi during the training on the card, {seen['samples']} samples: {seen['utilisation']} % at most, ")
    print(f"  {seen['memory']} MiB at most, processes {seen['processes']}")
    for where, evaluated in report["evaluation"].items():
        print(f"loss of one model on the {where}: {evaluated['loss']}")
        for line in evaluated["tail"]:
            print(f"  {line}")
    for where, captioned in report["captions"].items():
        print(f"captions on the {where}: {captioned['captions']}")
        for line in captioned["tail"]:
            print(f"  {line}")
    for name, stage in report["stages"].items():
        print(
            f"stage {name}, led by the supervisor: exit code {stage['exit_code']}, begins at {stage['begins']}, models"
        )
        print(
            f"  {[model['iteration'] for model in stage['models']]}; pid {stage['pids']} on {stage['card']} in", end=" "
        )
        print(f"{stage['seen']} of {stage['samples']} samples, {stage['memory']} MiB, {stage['utilisation']} % at most")
        for line in stage["tail"]:
            print(f"  {line}")
    for problem in report["problems"]:
        print(f"PROBLEM {problem}")
    if not report["problems"]:
        print("nothing is wrong")


if __name__ == "__main__":
    sys.exit(main())
