"""`python -m tests.gpu.site MIRROR`: the whole job by `provision` on this machine itself, which has a card; as root.

`site`, `verify` and a second `site`; then the data set of the real test, its training in two stages on a free card,
`runs verify` of both, and captions. The weights of VGG-16 are those of the real test. Scores are left out if the
mirror has no scorer. Needs the project's environment, and a platform whose OS packages the mirror or the machine has.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from neuraltalk_provision import catalogue
from neuraltalk_provision.mirror import lock, store
from tests.gpu import machine
from tests.real import brought, training, vgg16

PROVISION = (sys.executable, "-m", "neuraltalk_provision")
HOST = "card"
"""The name of this machine in its inventory."""
ACCOUNT = "neuraltalk"
"""The account that runs belong to."""
STAGES = ("made-base", "made-finetune")
SCORED = "score-wheels"
"""The artifact without which nothing is scored."""
WEIGHTS = "vgg16-model"
"""The artifact that is made if the mirror does not have it."""
NOT_SCORED = "scores are fresh"
"""The gate that is left out if nothing is scored."""


@dataclass
class Job:
    """The site's directory, and what each command did."""

    work: Path
    steps: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def provision(self, *words: str, code: int | None = 0) -> str:
        """What a command prints on stdout; another exit code than `code` is a problem, None accepts every one.

        Its output is in files from the beginning, so that it is there also if this program is killed.
        """
        line = f"provision {' '.join(words)}"
        print(f"\n$ {line}", flush=True)
        name = f"{len(self.steps) + 1:02d}-{words[0]}"
        out, err = self.work / f"{name}.out.log", self.work / f"{name}.err.log"
        started = time.monotonic()
        with out.open("w") as stdout, err.open("w") as stderr:
            ended = subprocess.run([*PROVISION, *words], cwd=self.work, check=False, stdout=stdout, stderr=stderr)
        seconds = round(time.monotonic() - started, 1)
        told, warned = (file.read_text(encoding="utf-8", errors="replace") for file in (out, err))
        print(f"{told[-4000:]}{warned[-4000:]}\nexit code {ended.returncode} after {seconds} s", flush=True)
        self.steps.append({"command": line, "exit_code": ended.returncode, "seconds": seconds})
        self.expect(code in (None, ended.returncode), f"{line} ended with {ended.returncode}: {warned[-300:]}")
        return told

    def document(self, *words: str, code: int | None = 0) -> dict[str, Any]:
        """What a command prints with --json; empty if it printed none."""
        options = words.index("--") if "--" in words else len(words)
        text = self.provision(*words[:options], "--json", *words[options:], code=code)
        found: dict[str, Any] = json.loads(text) if text.strip().startswith("{") else {}
        return found

    def expect(self, fact: bool, problem: str) -> None:
        """Note the problem if the fact is not true."""
        if not fact:
            self.problems.append(problem)


def prepare(job: Job, given: Path) -> bool:
    """Write weights, pictures, the inventory and the settings; whether the mirror has the scorer."""
    mirror = brought.linked(given, job.work)
    for file in vgg16.write(job.work) if WEIGHTS not in lock.read(mirror).by_name() else ():
        store.add(mirror, file, catalogue.load())
        file.unlink()
    training.write_data(Path(training.DATA))
    subprocess.run(["chmod", "-R", "a+rX", training.DATA], check=True)
    host = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
    (job.work / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {HOST: host}}}), encoding="utf-8")
    (job.work / "provision.yml").write_text(f"mirror: {mirror}\ninventory: hosts.yml\n", encoding="utf-8")
    return SCORED in lock.read(mirror).by_name()


def build(job: Job) -> bool:
    """Run `site` twice and `verify`; whether the stack is there."""
    job.provision("site", "--plan")
    job.provision("site")
    if job.problems:
        return False
    job.expect(job.document("site").get("changed") is False, "the second site changed something")
    checks = [check for host in job.document("verify").get("hosts", ()) for check in host.get("checks", ())]
    for check in checks:
        print(f"{'ok' if check['passed'] else 'FAIL'} {check}")
    job.expect(bool(checks), "verify checked nothing")
    return not job.problems


def prepare_data(job: Job) -> bool:
    """Make the data set of the pictures, in a directory of the account that runs belong to; whether it is there."""
    subprocess.run(["install", "-d", "-o", ACCOUNT, training.OUT], check=True)
    job.provision("data", "prepare", "--host", HOST, "--id", "prepared", *training.PREPARE, "--set-aside")
    return not job.problems


def specification(scored: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the file for `train`, the envelope for `runs verify`)."""
    options = {**training.STAGED["options"], "language_eval": int(scored)}
    wanted = {name: limits for name, limits in training.ENVELOPE["ranges"].items() if scored or name == "loss"}
    return {"host": HOST, "gpu": "auto", **training.STAGED, "options": options}, {**training.ENVELOPE, "ranges": wanted}


def train(job: Job, scored: bool) -> None:
    """Train both stages on a free card, ask for the same card meanwhile, and judge both."""
    spec, envelope = specification(scored)
    (job.work / "train.yml").write_text(json.dumps(spec), encoding="utf-8")
    (job.work / "envelope.yml").write_text(json.dumps(envelope), encoding="utf-8")
    card = (job.document("train", "train.yml", "--detach").get("card") or {}).get("uuid")
    job.expect(bool(card), "the training has no card")
    if not card:
        return
    refused = job.document("train", "train.yml", "--id", "second", "--gpu", card, "--detach", code=1)
    job.expect("run made-" in refused.get("error", ""), f"a second training on {card}: {refused}")
    job.provision("runs", "list", code=None)
    for stage in STAGES:
        job.provision("runs", "watch", stage, "--every", "10")
    for stage in STAGES:
        judge(job, stage, scored)
    job.provision("runs", "report", STAGES[-1], "--out", "made.html")


def judge(job: Job, stage: str, scored: bool) -> None:
    """Verify a stage: every gate has to be green, but for that of the scores if nothing is scored."""
    judged = job.document("runs", "verify", stage, "--envelope", "envelope.yml")
    for gate in judged.get("gates", []):
        print(f"{stage}: {gate['name']}: {gate['colour']}: {gate['evidence']}")
        right = "green" if scored or gate["name"] != NOT_SCORED else "left out"
        job.expect(gate["colour"] == right, f"{stage}: {gate['name']} is {gate['colour']}: {gate['evidence']}")
    job.expect(bool(judged.get("gates")), f"{stage} was not judged")


def caption(job: Job) -> None:
    """Caption new pictures on a card; most captions have to be right."""
    models = job.document("runs", "show", STAGES[-1], code=None).get("models", [])
    job.expect(bool(models), "there is no model to caption with")
    if not models:
        return
    model = min(models, key=lambda one: str(one["file"]).endswith(".last.t7"))["file"]
    end = job.document(
        "eval", "--host", HOST, "--gpu", "auto", "--id", "captions", "--", "-model", model,
        "-image_folder", f"{training.DATA}/new",
    )  # fmt: skip
    captions = {entry["file"]: entry["caption"] for entry in end.get("captions", [])}
    right = training.right(captions, {Path(scene.file).name: scene for scene in training.NEW})
    print(f"{right} of {len(captions)} captions name the colour and the shape: {captions}")
    job.expect(right > len(training.NEW) / 2, f"only {right} of {len(captions)} captions are right")


def main() -> int:
    """Run it all; 0 where nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.site", description=__doc__)
    parser.add_argument("mirror", type=Path, help="a mirror with the real sources, cutorch-modern and cunn-modern")
    parser.add_argument("--out", type=Path, required=True, help="gets the report, the logs and the site's directory")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True)
    job = Job(asked.out.resolve())
    card = machine.card()
    print(f"card: {card}", flush=True)
    ended = False
    try:
        scored = prepare(job, asked.mirror.resolve())
        if build(job) and prepare_data(job):
            train(job, scored)
            caption(job)
        ended = True
    finally:
        job.expect(ended, "it ended with an error of its own")
        result = {"card": card, "steps": job.steps, "problems": job.problems}
        (job.work / "report.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    print("\n" + ("\n".join(f"FAIL: {problem}" for problem in job.problems) or "everything passed"))
    return 1 if job.problems else 0


if __name__ == "__main__":
    sys.exit(main())
