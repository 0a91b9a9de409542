"""`make demo`: the main job on an embedded default, from stand-in sources to captions.

Where Docker runs or can be started, the site is two containers on a network without any route out; else it is
this machine itself, under a private prefix.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.lab import engine, hosts, packages, proof
from tests.lab.errors import LabError
from tests.lab.spec import Lab
from tests.standin import images, own
from tests.standin.__main__ import write as write_standins

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".cache" / "demo"
PREFIX = WORK if os.geteuid() else Path("/opt/neuraltalk-demo")
"""Where the stack and the data lie where there is no engine."""
LAB = Lab(name="demo", image="debian12", airgap=True, names=("node1", "node2"))
TRAINING = (
    "-batch_size 1 -seq_per_img 2 -max_iters 40 -save_checkpoint_every 10 -val_images_use 4 -losses_log_every 10"
).split()


def provision(*words: str) -> None:
    """Run the command as a user would, and end the demo where it fails."""
    print(f"\n$ provision {shlex.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "neuraltalk_provision", *words], cwd=WORK, check=False)
    if done.returncode:
        sys.exit(f"the demo stopped: `provision {words[0]}` ended with {done.returncode}")


def make_mirror(image: str | None) -> None:
    """Stand-in sources, and for containers the packages and wheels that they lack, filed in a mirror."""
    brought = WORK / "brought"
    shutil.rmtree(WORK, ignore_errors=True)
    brought.mkdir(parents=True)
    print("making stand-in sources: same names, layout and output as upstream, not upstream's code", flush=True)
    files = write_standins(brought)
    if image:
        files += [packages.archive(image, brought), packages.wheels_archive(image, brought)]
    provision("mirror", "add", *(str(file) for file in files))


def bring_data() -> Path:
    """A data set made of pictures and a CSV of captions, and a folder of images with the files that a Mac leaves."""
    data = WORK / "data"
    own.write(data)
    captions = ("--input_json", "data/captions.csv", "--images_root", "data/pictures", "--word_count_threshold", "0")
    made = ("--output_h5", "data/cocotalk.h5", "--output_json", "data/cocotalk.json")
    provision("data", "prepare", *captions, "--val_share", "0.2", *made)
    images.write(data / "images", apple_double=True, empty=True)
    return data


def bring_luajit() -> None:
    """The stand-in Torch wraps the distribution's LuaJIT and luarocks, which no real stack needs."""
    if all(shutil.which(name) for name in ("luajit", "luarocks")):
        return
    words = "apt-get -q install -y luajit luarocks libluajit-5.1-dev"
    if os.geteuid():
        sys.exit(f"the stand-in Torch needs the distribution's LuaJIT; as root: {words}")
    subprocess.run(f"apt-get -q update && DEBIAN_FRONTEND=noninteractive {words}", shell=True, check=True)


def beside_others(data: Path) -> Path:
    """The data where the account that runs belong to can read it, which comes to no home of root's."""
    if PREFIX == WORK:
        return data
    PREFIX.mkdir(mode=0o755, parents=True, exist_ok=True)
    there = PREFIX / "data"
    shutil.rmtree(there, ignore_errors=True)
    shutil.copytree(data, there)
    for path in (PREFIX, there, *there.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return there


def in_containers() -> tuple[Path, str, str]:
    """Start the site; its inventory, the host that trains, and where the data is there."""
    inventory = hosts.up(LAB)
    for name in LAB.containers:
        engine.docker("cp", str(WORK / "data"), f"{name}:/data")
        engine.docker("exec", name, "chmod", "-R", "a+rX", "/data")
    return inventory, LAB.containers[0], "/data"


def main() -> int:
    """Do it all; 0 when captions came out."""
    started = time.monotonic()
    try:
        engine.ensure()
        contained = True
    except LabError as error:
        print(f"{error}\nGoing on with this machine itself, under {PREFIX}.", flush=True)
        contained = False
    make_mirror(LAB.image if contained else None)
    data = bring_data()
    settings = ["mirror: mirror"]
    if contained:
        inventory, host, there = in_containers()
        settings.append(f"inventory: {inventory}")
    else:
        bring_luajit()
        host, there = "localhost", str(beside_others(data))
        settings += [f"stack_root: {PREFIX / 'stack'}", "pip: {source: none}"]
    (WORK / "provision.yml").write_text("\n".join(settings) + "\n", encoding="utf-8")
    provision("site", "--plan")
    provision("site")
    provision("site")
    provision("verify")
    run_id = "demo-base"
    data_set = ("-input_h5", f"{there}/cocotalk.h5", "-input_json", f"{there}/cocotalk.json")
    provision("train", "--host", host, "--id", run_id, "--", *data_set, *TRAINING)
    root = "/opt/neuraltalk" if contained else str(PREFIX / "stack")
    model = f"{root}/runs/{run_id}/checkpoint/model_id{run_id}.t7"
    provision(
        "eval", "--host", host, "--id", "demo-captions", "--", "-model", model, "-image_folder", f"{there}/images"
    )
    tell(contained, host, time.monotonic() - started)
    return 0


def tell(contained: bool, host: str, seconds: float) -> None:
    """Where to look next."""
    print(f"\nDone in {seconds:.0f} s, with stand-in sources (see README.md for the real ones).")
    if contained:
        crossings = proof.record(LAB.name)
        print(f"Attempts of the hosts to reach anything outside: {len(crossings)}")
        print(f"Look around:  docker exec -it {host} bash -c '. /opt/neuraltalk/current/environment; th'")
        print(f"              cd {WORK} && ../../.venv/bin/provision verify")
        print("Remove it:    .venv/bin/python -m tests.lab down demo")
    else:
        print(f"Look around:  . {PREFIX}/stack/current/environment; th")
        print(f"Remove it:    rm -r {PREFIX}" + ("" if os.geteuid() else "; userdel neuraltalk"))


if __name__ == "__main__":
    sys.exit(main())
