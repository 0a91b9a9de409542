"""`make demo`: installs a stack from stand-in sources, trains, and captions pictures.

If Docker runs or can be started, the site is two containers on a network without a route out. Otherwise it is
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
"""The directory of the stack and the data if there is no Docker."""
LAB = Lab(name="demo", image="debian12", airgap=True, names=("node1", "node2"))
TRAINING = (
    "-batch_size 1 -seq_per_img 2 -max_iters 40 -save_checkpoint_every 10 -val_images_use 4 -losses_log_every 10"
).split()


def provision(*arguments: str) -> None:
    """Run the command as a user would. Exits if it fails."""
    print(f"\n$ provision {shlex.join(arguments)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "neuraltalk_provision", *arguments], cwd=WORK, check=False)
    if done.returncode:
        sys.exit(f"the demo stopped: `provision {arguments[0]}` ended with {done.returncode}")


def make_mirror(image: str | None) -> None:
    """Make a mirror with stand-in sources, and for containers also with the missing packages and wheels."""
    source = WORK / "files"
    shutil.rmtree(WORK, ignore_errors=True)
    source.mkdir(parents=True)
    print("making stand-in sources: same names, layout and output as upstream, not upstream's code", flush=True)
    files = write_standins(source)
    if image:
        files += [packages.archive(image, source), packages.wheels_archive(image, source)]
    provision("mirror", "add", *(str(file) for file in files))


def make_data() -> Path:
    """Make a data set from pictures and a CSV of captions, and a directory of images with files of macOS among them."""
    data = WORK / "data"
    own.write(data)
    captions = ("--input_json", "data/captions.csv", "--images_root", "data/pictures", "--word_count_threshold", "0")
    made = ("--output_h5", "data/cocotalk.h5", "--output_json", "data/cocotalk.json")
    provision("data", "prepare", *captions, "--val_share", "0.2", *made)
    images.write(data / "images", apple_double=True, empty=True)
    return data


def install_luajit() -> None:
    """Install the distribution's LuaJIT and luarocks, which the stand-in Torch uses and a real stack does not need."""
    if all(shutil.which(name) for name in ("luajit", "luarocks")):
        return
    command = "apt-get -q install -y luajit luarocks libluajit-5.1-dev"
    if os.geteuid():
        sys.exit(f"the stand-in Torch needs the distribution's LuaJIT; as root: {command}")
    subprocess.run(f"apt-get -q update && DEBIAN_FRONTEND=noninteractive {command}", shell=True, check=True)


def readable_by_runs(data: Path) -> Path:
    """Copy the data to where the account that runs belong to can read it, which it cannot below root's home."""
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
    """Start the hosts; the inventory, the host that trains, and the directory of the data on it."""
    inventory = hosts.up(LAB)
    for name in LAB.containers:
        engine.docker("cp", str(WORK / "data"), f"{name}:/data")
        engine.docker("exec", name, "chmod", "-R", "a+rX", "/data")
    return inventory, LAB.containers[0], "/data"


def main() -> int:
    """Run the demo. Returns 0 after the captions were printed."""
    started = time.monotonic()
    try:
        engine.ensure()
        contained = True
    except LabError as error:
        print(f"{error}\nContinuing on this machine itself, under {PREFIX}.", flush=True)
        contained = False
    make_mirror(LAB.image if contained else None)
    data = make_data()
    settings = ["mirror: mirror"]
    if contained:
        inventory, host, there = in_containers()
        settings.append(f"inventory: {inventory}")
    else:
        install_luajit()
        host, there = "localhost", str(readable_by_runs(data))
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
    show_next_steps(contained, host, time.monotonic() - started)
    return 0


def show_next_steps(contained: bool, host: str, seconds: float) -> None:
    """Print how to look at the result and how to remove it."""
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
