"""A training in two stages on the card, under the supervisor of `provision train --gpu`, and what its samples show."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

STAGES = ("base", "finetune")
PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


def shared(name: str) -> Any:
    """A module of plugins/module_utils. There is no Ansible here."""
    if str(PLUGINS) not in sys.path:
        sys.path.insert(0, str(PLUGINS))
    return importlib.import_module(f"module_utils.{name}")


def facts() -> dict[str, Any]:
    """What the product finds out about this machine's cards, driver, toolkits and compiler."""
    result: dict[str, Any] = shared("gpu.facts").gpu_facts()
    return result


def facts_problems(facts: dict[str, Any], card: dict[str, str]) -> list[str]:
    """Where `facts` differs from what nvidia-smi was asked directly (machine.card), in words."""
    if facts["answer"] != "card" or facts["problem"]:
        return [f"the product finds {facts['answer']!r} for the card: {facts['problem'] or facts['evidence']}"]
    first = facts["cards"][0]
    pairs = {"uuid": "uuid", "name": "name", "capability": "compute_cap", "driver": "driver_version"}
    return [
        f"the product finds {first[ours]!r} for {theirs}, and nvidia-smi says {card[theirs]!r}"
        for ours, theirs in pairs.items()
        if first[ours] != card[theirs]
    ]


def run_stages(
    work: Path,
    generation: Path,
    arguments: dict[str, str],
    environment: dict[str, str],
    limit: float,
    card: bool = True,
) -> dict[str, Any]:
    """The summary of a base training and its finetuning on the first card (or, without `card`, the processor).

    `seen` counts the samples in which nvidia-smi listed the run's pid on its card; `wrong` lists other cards with it.
    """
    packaging, runs, gpu = shared("runs.packaging"), shared("runs.files"), shared("gpu.cards")
    listing = shared("runs.summary")
    root = work / "stack"
    (root / "generations").mkdir(parents=True)
    (root / "generations" / generation.name).symlink_to(generation)
    (root / "current").symlink_to(Path("generations") / generation.name)
    options = arguments if card else {**arguments, "gpuid": "-1", "backend": "nn"}
    base = {"id": "base", "program": "train.lua", "requested": options, "files": [], "stage": "base"}
    continued = {"needs": "base", "parent": {"id": "base", "choose": "best"}}
    tuned = {**options, "finetune_cnn_after": "0"}
    tune = {"id": "finetune", "program": "train.lua", "requested": tuned, "files": [], "stage": "finetune", **continued}
    first = runs.Run(str(root), "base")
    plan = {
        "root": str(root),
        "generation": str(root / "generations" / generation.name),
        "card": gpu.cards()[0] if card else None,
        "runs": [base, tune],
    }
    shared("runs.admission").admit(str(root), plan, first.path)
    Path(first.path, "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    Path(first.path, "supervisor.zip").write_bytes(packaging.packed())
    command = [sys.executable, str(Path(first.path, "supervisor.zip")), first.path]
    with subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True) as process:
        try:
            process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            process.terminate()
    return {run["id"]: summary(run) for run in listing.details(str(root), list(STAGES), 1000, 1000)}


def summary(run: dict[str, Any]) -> dict[str, Any]:
    """One stage: its end, its models, and the cards on which its process was listed."""
    uuid = (run["card"] or {}).get("uuid")
    on = [(sample, entry) for sample in run["samples"] for entry in sample.get("on") or []]
    seen = [(sample, entry) for sample, entry in on if entry["uuid"] == uuid]
    return {
        "exit_code": run["exit_code"],
        "ended": run["ended"],
        "begins": run["begins"],
        "models": [{key: model[key] for key in ("file", "bytes", "iteration")} for model in run["models"]],
        "card": uuid,
        "samples": len(run["samples"]),
        "seen": len(seen),
        "wrong": sorted({entry["uuid"] for _sample, entry in on if entry["uuid"] != uuid}),
        "pids": sorted({entry["pid"] for _sample, entry in seen}),
        "memory": max((entry["memory"] or 0 for _sample, entry in seen), default=0),
        "utilisation": max((sample.get("utilization") or 0 for sample, _entry in seen), default=0),
        "cpu": max((sample["cpu"] for sample in run["samples"]), default=0.0),
        "tail": run["tail"].splitlines()[-10:] if run["exit_code"] else [],
    }


def problems(stages: dict[str, dict[str, Any]]) -> list[str]:
    """The problems of stages on a card, as messages; empty if there are none."""
    found = [f"stage {name} did not run" for name in STAGES if name not in stages]
    for name, stage in stages.items():
        if not shared("rules.run").ended_well(stage):
            found.append(f"stage {name} ended with {stage['exit_code']} ({stage['ended']})")
        if not stage["models"]:
            found.append(f"stage {name} left no model")
        if stage["wrong"]:
            found.append(f"stage {name} was seen on {', '.join(stage['wrong'])}, and its card is {stage['card']}")
        if not stage["seen"]:
            found.append(f"in {stage['samples']} samples of stage {name} its process was never on its card")
    # nvidia-smi gives the use of the last moment, which is often 0 % where a large card has little to do.
    if stages and not any(stage["utilisation"] for stage in stages.values()):
        found.append("no sample of any stage shows that the card was in use")
    return found
