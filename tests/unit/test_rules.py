"""Facts for hosts and the controller are written once, in the rules; and no file is too long."""

from __future__ import annotations

import ast
import functools
import importlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

import neuraltalk_provision
from neuraltalk_provision import paths
from neuraltalk_provision.rules import layout

CONTROLLER = Path(neuraltalk_provision.__file__).parent
HOSTS = paths.plugins()
RULES = sorted(file for file in (CONTROLLER / "rules").glob("*.py") if file.stem != "__init__")
LONGEST = 300
"""Lines of a file."""

FILES = [
    file
    for root in (CONTROLLER, HOSTS)
    for file in sorted(root.rglob("*.py"))
    if "share" not in file.relative_to(root).parts
]

# What may stand on both sides, because somebody else gave it its name, or because the two have nothing to do with each
# other.
NAMES_OF_OTHERS = {
    "of operating systems": {"apt-get", "TMPDIR", "VERSION_ID", "/bin/sh", "lib64"},
    "of the web": {("http", "https")},
    "of NVIDIA": {"NVIDIA_VISIBLE_DEVICES"},
    "of Ansible": {"--check", ("runner_on_failed", "runner_on_unreachable")},
    "of Python and of files": {
        "utf-8",
        "__main__.py",
        ".json",
        ".jpeg",
        "--version",
        "python3",
        "sha256",
        "LOGNAME",
        "LC_ALL",
    },
    "of Pythons": {
        *("PYTHONPATH", "/usr/bin/python", "/usr/bin/python3", "/usr/libexec/platform-python", "python2.7"),
    },
    "of neuraltalk2": {"train.lua", "eval.lua", ("train.lua", "eval.lua"), "input_h5", "output_h5", "CIDEr"},
    "of the catalogue": {"cudnn-rock", "neuraltalk2"},
    "words": {" and ", "there is none", "loads ", ("", ".")},
    "of apt and os-release": {
        "apt-cache",
        "apt-config",
        ("apt-config", "dump"),
        "/etc/os-release",
        "VERSION_CODENAME",
        "VERSION_ID",
    },
}


@functools.cache
def contents(file: Path) -> tuple[frozenset[object], frozenset[object]]:
    """What `literals` and `joined` return, without the tree of the file, which is large."""
    nodes = tuple(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    return frozenset(_literals(nodes)), frozenset(_joined(nodes))


def literals(file: Path) -> frozenset[object]:
    """Every string and number of a file that is no docstring, and every group of them."""
    return contents(file)[0]


def joined(file: Path) -> frozenset[object]:
    """The constant parts of the paths that a file joins."""
    return contents(file)[1]


def _literals(nodes: Sequence[ast.AST]) -> Iterator[object]:
    texts = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and id(node) not in texts:
            yield node.value
        elif isinstance(node, ast.Tuple | ast.List | ast.Set) and len(node.elts) > 1:
            entries = [entry.value for entry in node.elts if isinstance(entry, ast.Constant)]
            if len(entries) == len(node.elts) and all(isinstance(entry, str) for entry in entries):
                yield tuple(entries)


def _joined(nodes: Sequence[ast.AST]) -> Iterator[object]:
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "join":
            yield from (word.value for word in node.args if isinstance(word, ast.Constant))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            yield node.right.value


def is_told_apart(value: object) -> bool:
    """Whether a value is one that would hardly stand in two places by chance: no plain word and no number."""
    if isinstance(value, tuple):
        return True
    return isinstance(value, str) and len(value) > 4 and not re.fullmatch(r"[a-z_]+|\W*", re.sub("%[dsr]", "", value))


@functools.cache
def places(root: Path) -> Mapping[object, set[str]]:
    """{value: the files of one side, without the rules, in which it stands}."""
    found = defaultdict[object, set[str]](set)
    for file in sorted(root.rglob("*.py")):
        if "rules" not in file.relative_to(root).parts and "share" not in file.relative_to(root).parts:
            name = str(file.relative_to(root.parent))
            for value in filter(is_told_apart, literals(file)):
                found[value].add(name)
    return found


def patterns(file: Path) -> Iterator[str]:
    """The regular expressions of a module of the rules."""
    module = importlib.import_module(f"neuraltalk_provision.rules.{file.stem}")
    yield from (value.pattern for value in vars(module).values() if isinstance(value, re.Pattern))


@pytest.mark.slow
def test_nothing_stands_on_both_sides_in_place_of_in_the_rules() -> None:
    on_hosts = places(HOSTS)
    allowed = set[object]().union(*NAMES_OF_OTHERS.values())
    twice = {
        value: sorted(files | on_hosts[value])
        for value, files in places(CONTROLLER).items()
        if value in on_hosts and value not in allowed
    }
    assert twice == {}


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.stem)
def test_what_a_rule_holds_stands_nowhere_else(file: Path) -> None:
    held = {value for value in (*literals(file), *patterns(file)) if is_told_apart(value)}
    held -= set[object]().union(*NAMES_OF_OTHERS.values())
    again = {
        value: sorted(files) for side in (CONTROLLER, HOSTS) for value, files in places(side).items() if value in held
    }
    assert again == {}


@pytest.mark.slow
def test_places_below_the_stack_root_are_named_by_the_layout_alone() -> None:
    """These are plain words, which may stand anywhere but in a path."""
    names = {layout.GENERATIONS, layout.CURRENT, layout.ARTIFACTS, layout.RUNS, layout.QUEUE, layout.STAMPS}
    assert {file.name: sorted(again) for file in FILES if (again := names & joined(file))} == {}


def test_both_searches_find_what_they_look_for(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text('"""run.json of the docstring"""\nFILES = ("run.json", "other.json")\nx = 3\n')
    assert {value for value in literals(tmp_path / "one.py") if is_told_apart(value)} == {
        "run.json",
        "other.json",
        ("run.json", "other.json"),
    }
    assert "run.json" in literals(CONTROLLER / "rules" / "run.py")
    assert not any(map(is_told_apart, ("whole", "is_best", 4096, None, ": ")))


def test_files_are_no_longer_than_one_reads_at_once() -> None:
    assert [file for file in FILES if len(file.read_text(encoding="utf-8").splitlines()) > LONGEST] == []
