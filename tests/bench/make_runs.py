"""Makes directories of runs on the host of a benchmark: make_runs.py ROOT ENDED RUNNING MB PICTURES."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

# A JPEG of 1 x 1 pixel.
PICTURE = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffc0000b080001000101011100ffd9")


def main() -> None:
    """Make the runs, and at the end the file `made`."""
    root = Path(sys.argv[1])
    ended, living, megabytes, pictures = (int(word) for word in sys.argv[2:])
    subprocess.run(["useradd", "--system", "--user-group", "--no-create-home", "neuraltalk"], check=True)
    place = root / "runs"
    (place / ".locks").mkdir(parents=True)
    log = root / "log"
    lines = "".join(f"iter {n}: {5 - n / 10_000:.6f}\t\n" for n in range(20_000))
    log.write_text(f"assigned 82783 images to split train\t\n{lines}validation loss: \t3.0\t\n{{\n  CIDEr : 0.6\n}}\n")
    for number in range(ended):
        run = make(place, f"n{number}")
        (run / "log").hardlink_to(log)
        (run / "exit").write_text("0\n")
    for number in range(living):
        sleeper = subprocess.Popen(["sleep", "3600"], start_new_session=True)
        run = make(place, f"live{number}", sleeper.pid)
        (run / "log").write_text(lines)
        sample = json.dumps({"time": 1.0, "iteration": 5, "cpu": 1.0, "pids": [sleeper.pid]})
        (run / "samples").write_text((sample + "\n") * 1000)
    run = make(place, "big")
    (run / "exit").write_text("0\n")
    piece = "".join(f"iter {n}: {5 - n / 10_000_000:.6f}\t\n" for n in range(1_000_000, 1_000_000 + 50_000))
    with (run / "log").open("w") as file:
        while file.tell() < megabytes * 1_000_000:
            file.write(piece)
    captioned(place, pictures)
    owner = pwd.getpwnam("neuraltalk")
    for name in (place, place / ".locks"):
        os.chown(name, 0, owner.pw_gid)
        name.chmod(0o1770)
    subprocess.run(["sh", "-c", f"chown -Rh neuraltalk: {place}/*"], check=True)
    (root / "made").touch()


def captioned(place: Path, pictures: int) -> None:
    """Make a captioning run that has ended."""
    run = make(place, "many", program="eval.lua")
    (run / "log").write_text("loss: \tnan\t\n")
    (run / "exit").write_text("0\n")
    source = Path("/data/pictures")
    source.mkdir(parents=True)
    (run / "images").mkdir()
    (run / "work" / "vis").mkdir(parents=True)
    (source / "one.jpg").write_bytes(PICTURE)
    names = {}
    for number in range(1, pictures + 1):
        names[f"{number:06d}.jpg"] = f"COCO_val2014_{number:012d}.jpg"
        (run / "images" / f"{number:06d}.jpg").symlink_to(source / "one.jpg")
    (run / "images.json").write_text(json.dumps({"images": names, "set_aside": []}))
    captions = [
        {
            "image_id": number,
            "caption": "a man riding a wave on top of a surfboard",
            "file_name": f"/i/{number:06d}.jpg",
        }
        for number in range(1, pictures + 1)
    ]
    (run / "work" / "vis" / "vis.json").write_text(json.dumps(captions))


def make(place: Path, name: str, pid: int = 1 << 22, program: str = "train.lua") -> Path:
    """Make the directory of a run, with the files that all runs have."""
    run = place / name
    (run / "checkpoint").mkdir(parents=True)
    arguments = {"input_h5": "/data/cocotalk.h5", "input_json": "/data/cocotalk.json", "max_iters": "20000"}
    request = {
        "id": name, "program": program, "requested": arguments, "generation": "0a1b2c3d4e5f6071",
        "started": 1_700_000_000, "supervisor": str(run), "parent": None, "stage": "", "needs": "",
    }  # fmt: skip
    start = ""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        start = stat.read_text().rpartition(")")[2].split()[19]
    process = {"pid": pid, "start": start, "started": 1.7e9, "card": None, "effective": arguments, "begins": 0}
    (run / "run.json").write_text(json.dumps(request))
    (run / "process.json").write_text(json.dumps(process))
    (run / "state.json").write_text(json.dumps({"pid": pid, "start": start, "node": os.uname()[1]}))
    return run


if __name__ == "__main__":
    main()
