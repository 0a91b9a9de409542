"""The machine with the card: what nvidia-smi tells, and where its CUDA libraries are. Standard library only."""

from __future__ import annotations

import csv
import io
import subprocess
import sysconfig
import tarfile
import threading
from pathlib import Path
from typing import Any

LIBRARIES = ("cudart", "cublas", "curand", "cusparse", "nvJitLink", "cuda")
PLACES = (
    "/usr/local/nvidia/lib*",
    "/usr/local/cuda*/lib64",
    "/usr/local/cuda*/targets/x86_64-linux/lib",
    "/opt/cuda*/lib64",
)


def query(what: str, *fields: str) -> list[dict[str, str]]:
    """Rows of an nvidia-smi query, by field."""
    command = ["nvidia-smi", f"--query-{what}={','.join(fields)}", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = csv.reader(io.StringIO(done.stdout), skipinitialspace=True)
    return [dict(zip(fields, row, strict=True)) for row in rows if len(row) == len(fields)]


def card() -> dict[str, str]:
    """The first card."""
    fields = ("index", "uuid", "name", "memory.total", "driver_version", "compute_cap", "compute_mode")
    return query("gpu", *fields)[0]


def library_folders(more: str = "") -> list[str]:
    """The folders that hold the driver's and CUDA's run-time libraries: a toolkit's, or those of Python packages."""
    packages = Path(sysconfig.get_paths()["purelib"])
    patterns = [*filter(None, more.split(":")), *PLACES, f"{packages}/nvidia/*/lib"]
    found = [folder for pattern in patterns for folder in sorted(Path("/").glob(pattern.lstrip("/")))]
    holding = [str(folder) for folder in found if any(any(folder.glob(f"lib{name}.so.*")) for name in LIBRARIES)]
    return list(dict.fromkeys(holding))


class Watch:
    """Samples of who computes on the card, taken while something runs."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.samples: list[dict[str, Any]] = []
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                processes = query("compute-apps", "pid", "gpu_uuid", "process_name", "used_memory")
                (use,) = query("gpu", "uuid", "utilization.gpu", "memory.used")[:1]
            except (OSError, subprocess.SubprocessError, ValueError):
                continue
            self.samples.append({"processes": processes, "card": use})

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def told(self) -> dict[str, Any]:
        """The greatest use and memory that were seen, and every process by its number."""
        seen: dict[str, dict[str, str]] = {}
        for sample in self.samples:
            for process in sample["processes"]:
                seen[process["pid"]] = process
        use = [int(s["card"]["utilization.gpu"]) for s in self.samples if s["card"]["utilization.gpu"].isdigit()]
        memory = [int(s["card"]["memory.used"]) for s in self.samples if s["card"]["memory.used"].isdigit()]
        return {
            "samples": len(self.samples),
            "utilisation": max(use, default=0),
            "memory": max(memory, default=0),
            "processes": list(seen.values()),
        }


def unpack(archive: Path) -> Path:
    """Unpack the built tree where it was built, which is where its text files point; the generation's directory."""
    with tarfile.open(archive) as tar:
        # The archive is our own; Python before 3.12 has no filters to say so.
        tar.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)
        tar.extractall("/")
        environment = next(name for name in tar.getnames() if name.endswith("/environment"))
    return Path("/") / Path(environment).parent
