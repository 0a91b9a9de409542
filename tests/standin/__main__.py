"""python -m tests.standin DIR [--gpu] [--only NAME ...] [--wheels-dir D [--platform P]]: write stand-ins into DIR."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.standin import archives, caffemodel, cudnn
from tests.standin.platforms import this_platform
from tests.standin.wheels import wheel_tar


def artifacts() -> dict[str, tuple[str, Callable[[], bytes]]]:
    """{artifact: (file name, function that makes its content)}."""
    out: dict[str, tuple[str, Callable[[], bytes]]] = {
        name: (f"{name}.tgz", lambda name=name: archives.archive(name))  # type: ignore[misc]
        for name in archives.ARCHIVES
        if name not in archives.GPU
    }
    out["vgg16-proto"] = (f"{caffemodel.NAME}_deploy.prototxt", lambda: caffemodel.prototxt().encode())
    out["vgg16-model"] = (f"{caffemodel.NAME}.caffemodel", caffemodel.model)
    return out


def gpu_artifacts() -> dict[str, tuple[str, Callable[[], bytes]]]:
    """The same for the GPU components with CUDA 7.5."""
    return {
        "cutorch": ("cutorch.tgz", lambda: archives.archive("cutorch")),
        "cunn": ("cunn.tgz", lambda: archives.archive("cunn")),
        "cudnn-rock": ("cudnn.torch.tgz", lambda: archives.archive("cudnn.torch")),
        "cudnn-archive": (cudnn.archive_name(), cudnn.archive),
    }


def write(folder: Path, only: Sequence[str] = (), gpu: bool = False) -> list[Path]:
    """Write the artifacts into `folder`: those in `only`, or all, with `gpu` also those of the GPU components."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (file, content) in (artifacts() | (gpu_artifacts() if gpu or only else {})).items():
        if not only or name in only:
            (folder / file).write_bytes(content())
            written.append(folder / file)
    return written


def write_wheels(folder: Path, wheels: Path, platform: str) -> Path:
    """Write the wheels of the directory `wheels` into `folder`, as the artifact of that platform."""
    path = folder / f"python-wheels-{platform}.tar"
    path.write_bytes(wheel_tar(wheels))
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.standin", description=__doc__)
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument("--gpu", action="store_true", help="also the GPU components")
    parser.add_argument("--only", nargs="+", default=[], choices=sorted(artifacts() | gpu_artifacts()), metavar="NAME")
    parser.add_argument("--wheels-dir", type=Path, metavar="D", help="also pack the wheels in D")
    parser.add_argument(
        "--platform", metavar="P", help="platform of the wheels, for example debian-12-x86_64; default: this host's"
    )
    given = parser.parse_args(arguments)
    for path in write(given.dir, given.only, given.gpu):
        print(path)
    if given.wheels_dir is not None:
        print(write_wheels(given.dir, given.wheels_dir, given.platform or this_platform()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
