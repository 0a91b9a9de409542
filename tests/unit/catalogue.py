"""A catalogue small enough to read, with one of each kind."""

from __future__ import annotations

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue.model import Artifact, Catalogue, Component, Edit, Need

EDIT = Edit(file="install.sh", pattern="git fetch\n", replacement="# git fetch\n", count=1, reason="no network")

TORCH = Artifact(name="torch", role="torch", matches=("torch.tgz",), holds=("install.sh", "exe/*/CMakeLists.txt"))
NN = Artifact(name="nn", role="lua_rocks", matches=("nn.tgz", "nn-*.tgz"), holds=("rocks/nn-scm-1.rockspec",))
SCORER = Artifact(name="scorer", role="neuraltalk2", matches=("scorer*.tgz",), optional=True)
WEIGHTS = Artifact(name="weights", role="neuraltalk2", matches=("w.bin",), optional=True, archive=False)
WHEELS = Artifact(
    name="python-wheels",
    role="hdf5",
    matches=("python-wheels-*.tar",),
    optional=True,
    per_platform=True,
    flat=True,
)

SMALL = Catalogue(
    artifacts=(TORCH, NN, SCORER, WEIGHTS, WHEELS),
    components=(
        Component(name="torch", role="torch", artifact="torch", loads=("torch",)),
        Component(name="nn", role="lua_rocks", artifact="nn", rockspec="rocks/*", requires=("torch",)),
        Component(name="python", role="hdf5", artifact="python-wheels", requirements=("h5py",)),
        Component(name="scorer", role="neuraltalk2", artifact="scorer", companions=("weights",), requires=("nn",)),
    ),
    edits={"torch": (EDIT,)},
    compatibility=catalogue.load().compatibility,
    needs=(
        Need(need="compiler", role="torch", apt=("gcc", "libc6-dev"), rpm=("gcc",)),
        Need(need="pip", role="hdf5", apt=("python3-pip",), rpm={"default": ("python3-pip",), "el-7": ("python-pip",)}),
        Need(need="sox", role="torch", apt=("sox",), rpm=("sox-devel",), optional=True),
    ),
)
