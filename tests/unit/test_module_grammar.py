"""Code for hosts runs with Python 2.7 and 3, is documented, and accepts the options of its documentation."""

from __future__ import annotations

import ast
import functools
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest
import yaml

from neuraltalk_provision import paths

PLUGINS = paths.share() / "plugins"
FILES = {str(file.relative_to(PLUGINS)): file for file in sorted(PLUGINS.rglob("*.py"))}
MODULES = [file.stem for name, file in FILES.items() if name.startswith("modules/")]
# Names of the standard library that Python 2.7 has not.
LATER = {
    "FileNotFoundError",
    "FileExistsError",
    "PermissionError",
    "ProcessLookupError",
    "NotADirectoryError",
    "JSONDecodeError",
    "DEVNULL",
    "pathlib",
    "which",
    "disk_usage",
    "TemporaryDirectory",
    "check_call_output",
    "exist_ok",
    "isascii",
    "removeprefix",
    "removesuffix",
    "casefold",
    "monotonic",
    "perf_counter",
    "start_new_session",
}


@functools.cache
def python27() -> str:
    """A Python 2.7 that works, empty where there is none."""
    found = shutil.which("python2.7") or ""
    works = found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
    return found if works else ""


def later_grammar(tree: ast.AST) -> list[str]:
    """What Python 2.7 would not parse, or would understand otherwise."""
    found = []
    for node in ast.walk(tree):
        words = {
            ast.JoinedStr: "an f-string",
            ast.AnnAssign: "an annotation",
            ast.Nonlocal: "nonlocal",
            ast.NamedExpr: ":=",
            ast.YieldFrom: "yield from",
            ast.AsyncFunctionDef: "async",
            ast.Await: "await",
            ast.MatMult: "@",
            ast.Match: "match",
        }.get(type(node))
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            arguments = node.args
            if arguments.kwonlyargs or arguments.posonlyargs:
                words = "keyword-only or positional-only arguments"
            if any(a.annotation for a in [*arguments.args, arguments.vararg, arguments.kwarg] if a):
                words = "an annotation"
        if isinstance(node, ast.FunctionDef) and node.returns:
            words = "an annotation"
        if isinstance(node, ast.ClassDef) and node.keywords:
            words = "a metaclass as a keyword"
        if isinstance(node, ast.ClassDef) and not node.bases:
            words = "a class without a base"
        if isinstance(node, ast.Raise) and node.cause:
            words = "raise from"
        if isinstance(node, ast.Call):
            if sum(isinstance(a, ast.Starred) for a in node.args) + sum(k.arg is None for k in node.keywords) > 2:
                words = "several unpackings in one call"
            if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
                words = "super() without arguments"
            if isinstance(node.func, ast.Name) and node.func.id == "open":
                words = "open(), which takes no encoding: io.open()"
        if isinstance(node, ast.Dict) and None in node.keys:
            words = "** in a dict"
        if isinstance(node, ast.List | ast.Tuple | ast.Set) and any(isinstance(e, ast.Starred) for e in node.elts):
            words = "* in a display"
        if words:
            found.append(f"line {getattr(node, 'lineno', 0)}: {words}")
    return found


def later_names(tree: ast.AST) -> set[str]:
    """The names of the standard library in a file that Python 2.7 has not."""
    used = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.keyword(arg=str(name)):
                used.add(name)
    return used & LATER


def test_files_are_python_2_7_as_well() -> None:
    for name, file in FILES.items():
        content = file.read_bytes()
        assert content.isascii(), name
        tree = ast.parse(content)
        assert later_grammar(tree) == [], name
        assert later_names(tree) == set(), name
        assert not re.search(rb"^ *\*{1,2}[^\n]*,\n *\)", content, re.M), f"{name}: a comma after the last * argument"
    if python27():
        program = "import sys\nfor name in sys.argv[1:]: compile(open(name).read(), name, 'exec')"
        subprocess.run([python27(), "-c", program, *FILES.values()], check=True)


def test_files_ask_for_the_grammar_of_python_3() -> None:
    for name, file in FILES.items():
        text = file.read_text(encoding="utf-8")
        if file.name != "__init__.py":
            future = next(node for node in ast.parse(text).body if isinstance(node, ast.ImportFrom))
            assert future.module == "__future__", name
            assert {alias.name for alias in future.names} >= {"absolute_import", "division", "print_function"}, name
            assert "__metaclass__ = type" in text, name


@pytest.mark.parametrize(
    "source",
    [
        "f'{a}'",
        "def f(a: int): pass",
        "def f() -> int: pass",
        "def f(*, a): pass",
        "def f(a, /): pass",
        "raise A from b",
        "{**a}",
        "[*a]",
        "super().f()",
        "x: int = 1",
        "(x := 1)",
        "class A: pass",
        "class A(B, metaclass=C): pass",
        "open('x')",
        "def f():\n def g():\n  nonlocal x",
        "f(*a, *b, **c)",
    ],
)
def test_grammar_check_finds(source: str) -> None:
    assert later_grammar(ast.parse(source))


@pytest.mark.parametrize("source", ["pathlib", "path.casefold()", "f(exist_ok=True)"])
def test_check_of_names_finds(source: str) -> None:
    assert later_names(ast.parse(source))
    assert not later_names(ast.parse("casefolded(one, **more)"))


class Specified(Exception):  # noqa: N818
    """Raised in place of AnsibleModule, with what it was given."""


def specification(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    def module_made(**given: Any) -> None:
        raise Specified(given)

    monkeypatch.setattr(module, "AnsibleModule", module_made)
    with pytest.raises(Specified) as caught:
        module.main()
    given: dict[str, Any] = caught.value.args[0]
    return given


@pytest.mark.parametrize("name", MODULES)
def test_module_takes_what_its_documentation_says(
    load: Callable[[str], ModuleType], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load(name)
    given = specification(module, monkeypatch)
    documented = yaml.safe_load(module.DOCUMENTATION)
    assert documented["module"] == name
    assert given["supports_check_mode"] is True
    assert plain(given["argument_spec"]) == plain(documented["options"])


def plain(options: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Options of an argument_spec or of a documentation, in one form."""
    found: dict[str, dict[str, Any]] = {}
    for name, option in options.items():
        kept = {key: value for key, value in option.items() if key not in ("description", "no_log")}
        inner = kept.pop("suboptions", None) or kept.pop("options", None)
        found[name] = {"required": False, **kept, **({"options": plain(inner)} if inner else {})}
    return found


@pytest.mark.parametrize("name", MODULES)
def test_example_of_a_module_uses_options_that_it_has(load: Callable[[str], ModuleType], name: str) -> None:
    module = load(name)
    options = yaml.safe_load(module.DOCUMENTATION)["options"]
    examples = yaml.safe_load(module.EXAMPLES)
    assert examples
    for example in examples:
        given = set(example[f"neuraltalk.provision.{name}"])
        assert given <= set(options)
        assert {option for option, told in options.items() if told.get("required")} <= given
    assert yaml.safe_load(module.RETURN)


def test_every_module_is_used_by_a_role_or_playbook() -> None:
    files = [file for part in ("roles", "playbooks") for file in (paths.share() / part).rglob("*.yml")]
    used = re.compile(r"^\s+(?:- )?neuraltalk\.provision\.(\w+):", re.M)
    assert set(MODULES) - {name for file in files for name in used.findall(file.read_text(encoding="utf-8"))} == set()
