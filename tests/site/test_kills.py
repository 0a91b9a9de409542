"""`site.yml` is killed after each of its tasks and run again; the result must be the same as without kills.

It runs on this machine with plain ansible-playbook, below a private stack root, and with archives whose programs are
small shell scripts. This tests the roles, and the files that an interrupted role leaves. It kills after every eighth
task of neuraltalk2, whose parts are inside each other, and after fewer tasks of the other roles; with KILL_ALL=1, as in
`make test-long`, after every task of all roles.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import paths
from tests.lab import ansible
from tests.standin import archives, cudnn
from tests.standin.wheels import wheel_tar

ID = "0a1b2c3d4e5f6071"
TAGS = ("always", "system_deps", "torch", "lua_rocks", "hdf5", "gpu_stack", "neuraltalk2", "seal")
EVERY = {"hdf5": 16, "gpu_stack": 16, "neuraltalk2": 8}
"""For each role the number of tasks between two kills."""
OTHERS = 32
"""The same number for the other roles."""
MANY = 80
"""More kills than any role has tasks; then the role makes no progress."""
Files = dict[str, bytes]

INSTALL = r"""#!/bin/bash
mkdir -p "$PREFIX/bin" "$PREFIX/share/lua/5.1" "$PREFIX/lib/lua/5.1" || exit 1
cp programs/* "$PREFIX/bin" && touch "$PREFIX/share/lua/5.1/torch.lua"
"""
LUAJIT = r"""#!/bin/bash
# Loads what is installed, and imitates the two scripts of the role hdf5.
share="$NEURALTALK_STACK/torch/share/lua/5.1"
case "$1" in
    */write_runtime.lua) test -e "$share/hdf5.lua" && mkdir -p "$share/hdf5" && echo kept >"$2" &&
        echo "kept the declarations of hdf5.h"; exit ;;
    */hdf5-round-trip.lua) read -r _ <"$share/hdf5/runtime.lua" && echo "round trip through HDF5 1.10"; exit ;;
esac
module=$(printf '%s\n' "$2" | sed -n "s/^local m = require '\([^']*\)'.*/\1/p")
case "$2" in
    *package.loadlib*) echo resolved ;;
    *package.searchpath*) echo "found it" ;;
    *) test -e "$share/$module.lua" && echo "loaded $module 1.0" ;;
esac
"""
LUAROCKS = r"""#!/bin/bash
# luarocks make NAME.rockspec: installs the tree's own module.
test "$1" = make && test -e init.lua && cp init.lua "$NEURALTALK_STACK/torch/share/lua/5.1/${2%.rockspec}.lua"
"""
TH = r"""#!/bin/bash
# th PROGRAM -help, if the program is complete.
test -e "$1" && test -e misc/utils.lua && echo "  -language_eval 0"
"""
NVCC = r"""#!/bin/bash
test "$1" = --version && echo "Cuda compilation tools, release 7.5, V7.5.17"
exit 0
"""
DPKG_QUERY = r"""#!/bin/bash
test -e "$INSTALLED" && echo "ii |gcc|all|1.0"
exit 0
"""
APT_GET = r"""#!/bin/bash
# Installs if the mirror's repository is complete.
for word; do
    case "$word" in
        Dir::Etc::sourcelist=*) listed=${word#*=}; test -e "${listed%/*}/Packages" || exit 100 ;;
        install) touch "$INSTALLED" ;;
    esac
done
"""
APT_CACHE = r"""#!/bin/bash
printf 'gcc:\n  Installed: (none)\n  Candidate: 1.0\n'
"""


def packed(name: str, files: dict[str, str]) -> bytes:
    return archives.pack({f"{name}/{path}": text.encode() for path, text in files.items()})


def rock(name: str) -> bytes:
    return packed(name, {"init.lua": "return {}\n", f"{name}.rockspec": ""})


def wheels(folder: Path) -> bytes:
    """Stand-ins of h5py, IPython and Pillow with what the role reads."""
    folder.mkdir()
    texts = {
        "h5py": "__version__ = '3.0'\nclass version: hdf5_version = '1.10'\n",
        "ipython": "",
        "pillow": "__version__ = '6.0'\n",
    }
    for name, text in texts.items():
        package = {"ipython": "IPython", "pillow": "PIL"}.get(name, name)
        with zipfile.ZipFile(folder / f"{name}-3.0-py3-none-any.whl", "w") as wheel:
            info = f"{name}-3.0.dist-info"
            wheel.writestr(f"{package}/__init__.py", text)
            if package == "PIL":
                wheel.writestr("PIL/Image.py", "")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 3.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    return wheel_tar(folder)


def mirror_files(folder: Path) -> Files:
    """{file: content} of the mirror."""
    programs = {f"programs/{name}": text for name, text in {"luajit": LUAJIT, "luarocks": LUAROCKS, "th": TH}.items()}
    return {
        "packages.tar": archives.pack({"Packages": b""}),
        "torch.tgz": packed("torch", {"install.sh": INSTALL, "clean.sh": "#!/bin/bash\n", **programs}),
        **{f"{name}.tgz": rock(name) for name in ("cjson", "totem", "hdf5", "cutorch", "cudnn-rock")},
        "wheels.tar": wheels(folder / "wheels"),
        "cudnn.tgz": cudnn.archive("5.0.5", machine=platform.machine()),
        "neuraltalk2.tgz": packed(
            "neuraltalk2",
            {"train.lua": "--\n", "eval.lua": "--\n", "misc/utils.lua": "one\n", "coco-caption/myeval.py": "mine\n"},
        ),
        "coco-caption.tgz": packed("coco-caption", {"pycocotools/coco.py": "coco\n", "myeval.py": "theirs\n"}),
        "vgg.prototxt": b"layers\n",
        "vgg.caffemodel": b"weights\n",
    }


@dataclass(frozen=True)
class Machine:
    """This machine as a host: a mirror, a stack root, and the variables of the playbook."""

    folder: Path
    variables: dict[str, Any]

    @property
    def root(self) -> Path:
        """The stack root."""
        return self.folder / "stack"

    @property
    def generation(self) -> Path:
        """The generation that is built."""
        return self.root / "generations" / ID

    def play(self, tag: str = "", every: int = 10**6) -> tuple[int, str]:
        """Run site.yml, with a tag only that role; the exit code and the output."""
        variables = dict(self.variables)
        choice = []
        if tag and tag != "always":
            # The host state that the entry point `open` would have registered.
            choice = ["--tags", tag, "--skip-tags", "always"]
            stamps = {
                file.stem: json.loads(file.read_text())["digest"] for file in self.generation.glob("stamps/*.json")
            }
            state = {
                "cores": 1,
                "platform": {"executable": sys.executable},
                "stack": {"generations": {ID: {"stamps": stamps}}},
            }
            variables["generation_answer"] = {"state": state}
        elif tag:
            choice = ["--tags", tag]
        file = self.folder / "variables.json"
        file.write_text(json.dumps(variables), encoding="utf-8")
        environment = {
            **ansible.environment(),
            "PATH": f"{self.folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "kill_after",
            "KILL_NOTES": str(self.folder / f"notes-{tag}"),
            "KILL_EVERY": str(every),
            "INSTALLED": str(self.folder / "installed"),
        }
        command = ["ansible-playbook", "-i", "localhost,", "-e", f"@{file}", str(paths.playbooks() / "site.yml")]
        done = subprocess.run(
            [*command, *choice], env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        return done.returncode, done.stdout + done.stderr

    def reset(self) -> None:
        """Remove everything that was installed."""
        shutil.rmtree(self.root, ignore_errors=True)
        (self.folder / "installed").unlink(missing_ok=True)

    def built(self) -> dict[str, dict[str, Any]]:
        """The entries of the manifest without the stamps, which contain times."""
        lines = (self.generation / "manifest").read_text(encoding="utf-8").splitlines()
        entries = {entry.pop("path"): entry for entry in map(json.loads, lines)}
        return {path: entry for path, entry in entries.items() if not path.startswith("stamps/")}


def make_programs(folder: Path) -> None:
    folder.mkdir()
    for name, text in {
        "dpkg-query": DPKG_QUERY,
        "apt-get": APT_GET,
        "apt-cache": APT_CACHE,
        "dpkg": "#!/bin/sh\n",
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)


def make_toolkit(folder: Path) -> None:
    for part in ("bin", "include", "lib64", "nvvm"):
        (folder / part).mkdir(parents=True)
    (folder / "bin" / "nvcc").write_text(NVCC, encoding="utf-8")
    (folder / "bin" / "nvcc").chmod(0o755)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Everything below one temporary directory of this machine."""
    folder = tmp_path_factory.mktemp("kills")
    (folder / "mirror").mkdir()
    files = {}
    for name, content in mirror_files(folder).items():
        (folder / "mirror" / name).write_bytes(content)
        files[name] = {
            "name": name.split(".")[0],
            "file": name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
        }
    make_programs(folder / "bin")
    make_toolkit(folder / "cuda-7.5")

    def part(name: str, role: str, *names: str, loads: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
        given = {"name": name, "role": role, "digest": f"d-{name}", "files": [files[file] for file in names]}
        plain = {"edits": [], "rockspec": f"{name}.rockspec", "requirements": [], "tries": [], "libraries": []}
        return {**given, **plain, "loads": list(loads), **more}

    parts = [
        part("torch", "torch", "torch.tgz", loads=("torch",)),
        part("cjson", "lua_rocks", "cjson.tgz", loads=("cjson",)),
        part("totem", "hdf5", "totem.tgz", loads=("totem",)),
        part("hdf5", "hdf5", "hdf5.tgz", loads=("hdf5",)),
        part("python", "hdf5", "wheels.tar", requirements=["h5py", "ipython", "pillow"]),
        part("cuda", "gpu_stack"),
        part("cutorch", "gpu_stack", "cutorch.tgz", loads=("cutorch",)),
        part("cudnn", "gpu_stack", "cudnn.tgz"),
        part("cudnn-rock", "gpu_stack", "cudnn-rock.tgz", loads=("cudnn",)),
        part(
            "neuraltalk2",
            "neuraltalk2",
            "neuraltalk2.tgz",
            edits=[{"file": "misc/utils.lua", "pattern": "one", "replacement": "two", "count": 1, "reason": "none"}],
        ),
        part("coco-caption", "neuraltalk2", "coco-caption.tgz"),
        part("vgg16", "neuraltalk2", "vgg.prototxt", "vgg.caffemodel"),
    ]
    gpu = {
        "profile": "legacy", "archs": "3.7", "toolkit": str(folder / "cuda-7.5"), "cuda": "7.5", "wheels": "",
        "gcc": "", "cudnn": "5.0.5", "cudnn_mode": "private",
    }  # fmt: skip
    recipe = {
        "id": ID,
        "platform": "debian-12-x86_64",
        "gpu": gpu,
        "stack_root": str(folder / "stack"),
        "generation": str(folder / "stack" / "generations" / ID),
        "manager": "apt",
        "required": ["gcc"],
        "optional": [],
        "repository": files["packages.tar"],
        "parts": parts,
        "left_out": [],
        "pip_source": "mirror",
        "pip_index_url": "",
    }
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "generation_space": 1,
        "provision_recipes": {ID: recipe},
        "provision_generations": {"localhost": ID},
        "provision_keep": 3,
        "provision_controller": "",
        "provision_run_user": "root",
        "provision_take_over": [],
        "provision_jobs": 1,
        "provision_mirror": str(folder / "mirror"),
        "provision_artifact_url": "",
    }
    return Machine(folder, variables)


@pytest.fixture(scope="module")
def expected(scene: Machine) -> dict[str, dict[str, Any]]:
    """The result of a run without kills."""
    rc, output = scene.play()
    assert rc == 0, output
    built = scene.built()
    scene.reset()
    return built


def test_result_after_kills_is_the_same_as_without(scene: Machine, expected: dict[str, dict[str, Any]]) -> None:
    kills = {}
    for tag in TAGS:
        every = 1 if os.environ.get("KILL_ALL") else EVERY.get(tag, OTHERS)
        count = 0
        while count < MANY:
            rc, output = scene.play(tag, every)
            if rc != -signal.SIGKILL:
                break
            count += 1
        assert rc == 0, (
            f"{tag}, killed {count} times, last after {(scene.folder / f'notes-{tag}').read_text()}\n{output}"
        )
        kills[tag] = count
    assert scene.built() == expected
    assert (scene.generation / "neuraltalk2" / "coco-caption" / "myeval.py").read_text() == "mine\n"
    assert all(kills[tag] > 10 // every for tag, every in EVERY.items()), kills
    assert not (scene.root / "build" / ID).exists()


@pytest.mark.parametrize(
    "damage",
    [
        # As an earlier release left it after a kill between coco-caption's link and its stamp.
        "rm stamps/coco-caption.json",
        "rm stamps/neuraltalk2.json; rm -r neuraltalk2/*",
        "rm stamps/vgg16.json; cp neuraltalk2/model/vgg.prototxt x; mv x neuraltalk2/model/vgg.prototxt",
    ],
)
def test_incomplete_components_are_built_again(
    scene: Machine, expected: dict[str, dict[str, Any]], damage: str
) -> None:
    if not scene.generation.exists():
        assert scene.play()[0] == 0
    subprocess.run(f"{damage}; rm generation.json", shell=True, check=True, cwd=scene.generation)
    for tag in ("neuraltalk2", "seal"):
        rc, output = scene.play(tag)
        assert rc == 0, output
    assert scene.built() == expected
