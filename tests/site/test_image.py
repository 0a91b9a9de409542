"""The stack as an image: built on a host, packed, made into an image from packages alone, loaded, and it captions."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue import target
from neuraltalk_provision.mirror.apt import AptCollector
from neuraltalk_provision.mirror.repository_file import Repositories
from tests.lab import archives, engine, hosts, shell
from tests.lab.spec import Lab
from tests.site import mirrors
from tests.site.command import Directory
from tests.site.conftest import SPACE
from tests.site.host import Host
from tests.site.sites import Site
from tests.site.test_cache import Two
from tests.standin import dataset, images

BUILDER = Lab("image-builder", "ready")
PLATFORM = "debian-12-x86_64"
LIBRARIES = ("libopenblas0-pthread", "libjpeg62-turbo", "libpng16-16", "libprotobuf32", "libhdf5-103-1", "libreadline8")
DATA_SET = "-input_h5 /data/cocotalk.h5 -input_json /data/cocotalk.json"
TRAINING = "-batch_size 1 -seq_per_img 2 -max_iters 20 -save_checkpoint_every 10 -val_images_use 4 -gpuid -1 -id x"
CAPTION = f"""
id -u
th train.lua {DATA_SET} -checkpoint_path checkpoint {TRAINING} >log 2>&1
th eval.lua -model checkpoint/model_idx.t7 -image_folder /data/images -num_images 3 -gpuid -1 >&2
python3 -c 'import h5py'
command -v gcc g++ cc make cmake >&2 && exit 1
cat vis/vis.json
"""
"""Trains for a moment, captions, and prints the user and the captions. h5py and the absence of compilers are tried."""


def whole_archive(dest: Path) -> Path:
    """An archive as `mirror pull` makes it, with everything that an empty system needs, for the stand-ins."""
    known = catalogue.load()
    need = known.needs[0].model_copy(update={"apt": LIBRARIES})
    collector = AptCollector(known.model_copy(update={"needs": (need,)}), Repositories())

    def fill(folder: Path) -> None:
        work = folder.parent / "work"
        found = collector.collect(known.artifacts[0], target.parse(PLATFORM), work, Event())
        for name, content in found.made.items():
            (folder / name).write_bytes(content)
        lines = (f'url = "{piece.address}"\noutput = "{folder / piece.name}"\n' for piece in found.pieces)
        subprocess.run(["curl", "-sSf", "-K", "-"], input="".join(lines), text=True, check=True, timeout=600)
        for piece in found.pieces:
            assert hashlib.sha256((folder / piece.name).read_bytes()).hexdigest() == piece.sha256

    return archives.kept(f"packages-{PLATFORM}.tar", ["whole", sorted(LIBRARIES)], dest, fill)


@dataclass(frozen=True)
class Made:
    """What `provision image` printed, its file, and the directory in which it was called."""

    document: dict[str, Any]
    file: Path
    directory: Directory


@pytest.fixture(scope="module")
def made(work: Path) -> Iterator[Made]:
    shell.need("mmdebstrap", "mmdebstrap")
    mirror = mirrors.make(work / "image-mirror", BUILDER.image)
    with hosts.with_lab(BUILDER):
        directory = Directory(work / "the 'image' controller")
        inventory = Site(BUILDER, (), directory, mirror).inventory(BUILDER.name, generation_space=SPACE)
        directory.configure(mirror=str(mirror), inventory=str(inventory))
        builder = Host(BUILDER.containers[0])
        assert Two(builder, builder, directory, mirror).stage()["built"] == [builder.name]
    packages = whole_archive(work / "image-packages")
    mirrors.force(mirror, packages.name, packages.read_bytes())
    document = image(directory, "one.tar")
    file = directory.path / "one.tar"
    engine.docker("load", "--input", str(file))
    yield Made(document, file, directory)
    engine.docker("image", "rm", "--force", document["plan"]["name"])


def image(directory: Directory, file: str) -> dict[str, Any]:
    """The document of `provision image`."""
    return directory.provision("image", "--for", PLATFORM, "--to", file, "--json").ended_with(0).document


def test_image_captions_without_a_network_and_not_as_root(made: Made, work: Path) -> None:
    data = work / "image-data"
    dataset.write(data)
    images.write(data / "images")
    mount = ("--volume", f"{data}:/data:ro")
    name = made.document["plan"]["name"]
    out = engine.docker("run", "--rm", "--network", "none", *mount, name, "sh", "-euc", CAPTION, timeout=300)
    user, captions = out.split("\n", 1)
    assert user == "10001"
    assert len([row for row in json.loads(captions) if row["caption"]]) == 3


def test_engine_has_the_labels_and_the_id(made: Made) -> None:
    (found,) = json.loads(engine.docker("image", "inspect", made.document["plan"]["name"]))
    assert found["Config"]["Labels"] == made.document["plan"]["labels"]
    assert found["Id"] == made.document["image"]["id"]


def test_same_inputs_give_the_same_bytes(made: Made) -> None:
    again = image(made.directory, "two.tar")
    assert again["image"] == made.document["image"]
    assert (made.directory.path / "two.tar").read_bytes() == made.file.read_bytes()
