"""A stand-in for Slurm's programs: a cluster of nodes and jobs in files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.programs import program

PROGRAM = r"""#!{python} -IS
import json, os, sys
place = {place!r}
name, argv = os.path.basename(sys.argv[0]), sys.argv[1:]
with open(os.path.join(place, "calls"), "a") as calls:
    calls.write(" ".join([name] + argv) + "\n")
def fail(text):
    print(text)
    sys.exit(1)
if os.path.exists(os.path.join(place, "down")):
    fail("slurm_load_node error: Unable to contact slurm controller (connect failure)")
cluster = json.load(open(os.path.join(place, "cluster")))
def shown(node):
    text = "NodeName=%s Arch=x86_64 CoresPerSocket=2 \n   CPUAlloc=0 CPUTot=4 CPULoad=0.10\n" % node["name"]
    text += "   NodeAddr=10.0.0.9 NodeHostName=%s Version=22.05.8\n   OS=Linux 6.1 #1 SMP\n" % node["host"]
    text += "   State=%s ThreadsPerCore=1 TmpDisk=0 Weight=1\n   Partitions=all \n" % node["state"]
    if node["reason"]:
        text += "   Reason=%s [root@2026-11-26T10:00:00]\n" % node["reason"]
    return text
if name == "squeue":
    for job in cluster["jobs"]:
        print("|".join(job))
elif argv[:2] == ["show", "aliases"]:
    print(" ".join(node["name"] for node in cluster["nodes"] if node["host"] == argv[2]))
elif argv[:2] == ["show", "node"] and len(argv) == 3:
    found = [node for node in cluster["nodes"] if node["name"] == argv[2]]
    print(shown(found[0])) if found else fail("Node %s not found" % argv[2])
elif argv[:2] == ["show", "node"]:
    print("\n".join(shown(node) for node in cluster["nodes"]))
elif argv[0] == "update":
    if os.path.exists(os.path.join(place, "restarts")):
        open(os.path.join(place, "down"), "w")
        fail("slurm_update error: Unable to contact slurm controller (connect failure)")
    if os.path.exists(os.path.join(place, "refuses")):
        fail("slurm_update error: Invalid user id")
    given = dict(word.split("=", 1) for word in argv[1:])
    for node in cluster["nodes"]:
        if node["name"] == given["NodeName"]:
            words = [word for word in node["state"].split("+") if word != "DRAIN"]
            if given["State"] == "DRAIN":
                words, node["reason"] = words + ["DRAIN"], given["Reason"]
            else:
                node["reason"] = given.get("Reason", "")
                words = ["IDLE"] if given["State"] == "RESUME" and "DOWN" in words else words
            node["state"] = "+".join(words)
    json.dump(cluster, open(os.path.join(place, "cluster"), "w"))
    if os.path.exists(os.path.join(place, "goes down")):
        open(os.path.join(place, "down"), "w")
"""


class Cluster:
    """The stand-in: its nodes and jobs can be read and changed."""

    def __init__(self, place: Path, python: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        place.mkdir()
        for name in ("scontrol", "squeue"):
            program(place / name, PROGRAM.format(python=python, place=str(place)))
        monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
        self.write([])

    def write(self, nodes: list[dict[str, Any]], jobs: list[list[str]] | None = None) -> None:
        """Replace all nodes and jobs."""
        (self.place / "cluster").write_text(json.dumps({"nodes": nodes, "jobs": jobs or []}))

    @property
    def nodes(self) -> dict[str, dict[str, Any]]:
        """{name: node} as they are now."""
        listed = json.loads((self.place / "cluster").read_text())["nodes"]
        return {node["name"]: node for node in listed}

    @property
    def calls(self) -> list[str]:
        """The command lines that were called."""
        file = self.place / "calls"
        return file.read_text().splitlines() if file.exists() else []


def node(name: str, state: str = "IDLE", reason: str = "", host: str = "") -> dict[str, Any]:
    """A node; its host has the same name."""
    return {"name": name, "host": host or name, "state": state, "reason": reason}
