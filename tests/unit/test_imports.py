"""Which part may import which: cli > runs > site > mirror > catalogue > settings, paths, errors; and other packages."""

from __future__ import annotations

import ast
import functools
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import neuraltalk_provision
from neuraltalk_provision import paths

PACKAGE = Path(neuraltalk_provision.__file__).parent
FILES = {str(file.relative_to(PACKAGE)): file for file in sorted(PACKAGE.rglob("*.py")) if "share" not in file.parts}

# What each part of the package may import, beside itself.
ALLOWED = {
    "__init__": set(),
    "errors": set(),
    "paths": set(),
    "access_lists": {"rules"},
    "redaction": {"rules"},
    "log_files": {"paths"},
    "command_log": {"log_files", "paths", "redaction", "text"},
    "text": {"rules"},
    "host_names": set(),
    "yaml_file": {"errors"},
    "inventories": set(),
    "durations": set(),
    "field_words": set(),
    "rates": set(),
    "wave_rules": {"durations"},
    "settings": {
        "access_lists",
        "durations",
        "errors",
        "field_words",
        "inventories",
        "paths",
        "rates",
        "wave_rules",
        "yaml_file",
    },
    "streams": set(),
    "whole_file": set(),
    "again": set(),
    "output": {"again", "errors", "host_names", "streams", "text"},
    "transfer_display": {"output", "text"},
    "results": {"rules"},
    "catalogue": {"errors", "paths", "rules", "results"},
    "mirror": {"access_lists", "errors", "field_words", "paths", "catalogue", "rules", "whole_file", "yaml_file"},
    "site": {
        "access_lists",
        "errors",
        "rates",
        "inventories",
        "command_log",
        "redaction",
        "rules",
        "text",
        "host_names",
        "paths",
        "settings",
        "output",
        "catalogue",
        "mirror",
        "results",
        "whole_file",
    },
    "proof": {
        "errors",
        "inventories",
        "paths",
        "rules",
        "settings",
        "output",
        "catalogue",
        "mirror",
        "site",
        "results",
    },
    "fleet": {
        "access_lists",
        "errors",
        "inventories",
        "command_log",
        "redaction",
        "rules",
        "text",
        "host_names",
        "paths",
        "settings",
        "wave_rules",
        "output",
        "catalogue",
        "mirror",
        "site",
        "results",
        "whole_file",
    },
    "image": {"errors", "paths", "catalogue", "mirror", "rules"},
    "runs": {
        "errors",
        "field_words",
        "rules",
        "text",
        "yaml_file",
        "settings",
        "output",
        "catalogue",
        "site",
        "results",
    },
    "dataset": {"errors", "field_words", "command_log", "paths", "results", "rules"},
    "report": {"rules", "text", "runs"},
    "cli": {
        "again",
        "access_lists",
        "errors",
        "field_words",
        "rates",
        "command_log",
        "redaction",
        "streams",
        "text",
        "host_names",
        "paths",
        "settings",
        "output",
        "catalogue",
        "mirror",
        "site",
        "proof",
        "fleet",
        "image",
        "runs",
        "dataset",
        "report",
        "results",
        "rules",
        "transfer_display",
        "yaml_file",
        "whole_file",
    },
    "__main__": {"cli"},
}
# The parts of runs/, each of which may import those before it.
RUNS = ("progress", "request", "hosts", "verdict")
# Modules of the standard library and of other packages that only these files may import.
IMPORTERS = {
    "ansible_runner": {"site/playbook.py"},
    "rich": {"output.py", "transfer_display.py"},
    "typer": {name for name in FILES if name.startswith("cli/")} - {"cli/__init__.py", "cli/words.py"},
    "matplotlib": {"report/figures.py"},
    "plotext": {"report/terminal.py"},
    "click": set(),
    "elftools": {"mirror/elf.py"},
    "cyclonedx": {"mirror/bill_of_materials.py"},
    "ansible": set(),
    "subprocess": {
        "dataset/program.py",
        "mirror/programs.py",
        "mirror/ssh_keygen.py",
        "site/keeper.py",
        "site/masters.py",
    },
    # Three write archives, one looks into Debian packages. rules/archives.py reads those of hosts and of the mirror.
    "tarfile": {
        "mirror/deb_copyright.py",
        "mirror/parts.py",
        "mirror/repository_index.py",
        "mirror/tar_writer.py",
    },
    "sqlite3": {"fleet/database.py", "fleet/journal.py", "fleet/reader.py"},
    "fcntl": {
        "fleet/database.py",
        "log_files.py",
        "mirror/guard.py",
        "mirror/remains.py",
        "site/keeper.py",
    },
    "socket": {"site/controller.py"},
}
PURE = [
    "catalogue/compatibility.py",
    "catalogue/facts.py",
    "catalogue/gpu.py",
    "catalogue/model.py",
    "catalogue/needed.py",
    "catalogue/platform.py",
    "catalogue/pythons.py",
    "catalogue/recipe.py",
    "catalogue/repositories.py",
    "catalogue/target.py",
    "catalogue/tried.py",
    "dataset/request.py",
    "site/distribution/chain.py",
    "site/distribution/shared.py",
    "fleet/busy.py",
    "fleet/seen.py",
    "mirror/addresses.py",
    "mirror/dnf_answer.py",
    "mirror/dnf_errors.py",
    "mirror/dnf_request.py",
    "mirror/apt_errors.py",
    "mirror/apt_index.py",
    "mirror/apt_sources.py",
    "mirror/package_names.py",
    "mirror/pull_progress.py",
    "mirror/git_progress.py",
    "mirror/pull_errors.py",
    "mirror/pull_plan.py",
    "mirror/bill_of_materials.py",
    "mirror/cache_entry.py",
    "mirror/cache_files.py",
    "mirror/carried.py",
    "mirror/contained.py",
    "mirror/deb_copyright.py",
    "mirror/licence_names.py",
    "mirror/listing.py",
    "mirror/rpm_index.py",
    "mirror/made.py",
    "mirror/packing.py",
    "mirror/parts.py",
    "image/configuration.py",
    "image/packages.py",
    "proof/completeness.py",
    "proof/judge.py",
    "proof/recorded.py",
    "fleet/affected.py",
    "fleet/budget.py",
    "fleet/decide.py",
    "fleet/drained_nodes.py",
    "fleet/entries.py",
    "fleet/outcome.py",
    "fleet/records.py",
    "fleet/waves.py",
    *(name for name in FILES if name.startswith("fleet/drift") and name != "fleet/drift_hosts.py"),
    "fleet/findings.py",
    "fleet/majority.py",
    "fleet/observed.py",
    "report/figures.py",
    "report/page.py",
    "report/terminal.py",
    "redaction.py",
    "host_names.py",
    *(name for name in FILES if name.startswith("results/")),
    "runs/progress/ending.py",
    "runs/progress/health.py",
    "runs/progress/history.py",
    "runs/progress/listing.py",
    "runs/progress/log.py",
    "runs/progress/pace.py",
    "runs/progress/record.py",
    "runs/progress/report.py",
    "runs/progress/state.py",
    "runs/request/lineage.py",
    "runs/request/spec.py",
    "runs/request/stages.py",
    "runs/request/sweep.py",
    "runs/verdict/gates.py",
    "runs/verdict/checks.py",
    "runs/verdict/reevaluation.py",
    "site/advice.py",
    "site/dropped.py",
    "site/host_key.py",
    "site/host_results.py",
    "site/codes.py",
    "site/events.py",
    "site/extra_vars.py",
    "site/transcript.py",
    "site/packs.py",
    "site/differing.py",
    "site/second_builder.py",
    "site/unpack.py",
    "site/plan.py",
    "site/play_errors.py",
    "site/recipes.py",
    "site/sharing.py",
    "site/trials.py",
]
EFFECTS = {"os", "io", "time", "datetime", "subprocess", "shutil", "tempfile", "socket", "random", "sys", "importlib"}


@dataclass(frozen=True)
class Contents:
    """What is asked of a file."""

    docstring: str | None
    imports: frozenset[str]
    """Every name that it imports, in functions too: `a.b` for `from a import b`."""
    calls: frozenset[str]


@functools.cache
def contents(file: Path) -> Contents:
    tree, imported, called = ast.parse(file.read_text(encoding="utf-8")), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call):
            called.add(name_of(node.func))
    return Contents(ast.get_docstring(tree), frozenset(imported), frozenset(called))


def name_of(called: ast.expr) -> str:
    """The name of what is called: `open`, `sys.exit`; empty for all but names and attributes of names."""
    match called:
        case ast.Name(name):
            return name
        case ast.Attribute(ast.Name(owner), name):
            return f"{owner}.{name}"
    return ""


def imports(file: Path) -> frozenset[str]:
    return contents(file).imports


def part(name: str) -> str:
    return name.removesuffix(".py").split("/")[0]


def test_imports_run_one_way() -> None:
    wrong = {}
    for name, file in FILES.items():
        ours = [found.split(".") for found in imports(file) if found.split(".")[0] == "neuraltalk_provision"]
        wrong[name] = {words[1] for words in ours} - {part(name)} - ALLOWED[part(name)]
    assert {name: found for name, found in wrong.items() if found} == {}


def runs_part(name: str) -> str:
    """Which part of runs/ a file or an imported module belongs to: `progress` for runs/progress/log.py."""
    words = name.removesuffix(".py").replace("/", ".").removeprefix("neuraltalk_provision.").split(".")
    return words[1]


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("runs/") and name != "runs/__init__.py"])
def test_imports_within_runs_run_one_way(name: str) -> None:
    found = [words for words in imports(FILES[name]) if words.startswith("neuraltalk_provision.runs.")]
    before = RUNS[: RUNS.index(runs_part(name)) + 1]
    assert {runs_part(words) for words in found} <= set(before)


def test_package_has_no_part_without_a_rule() -> None:
    assert {part(name) for name in FILES} == set(ALLOWED)


def test_rules_are_the_ones_of_hosts_and_import_nothing_but_the_standard_library_and_each_other() -> None:
    assert (PACKAGE / "rules").resolve() == (paths.plugins() / "module_utils" / "rules").resolve()
    for file in (PACKAGE / "rules").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 1 or node.module in sys.stdlib_module_names, f"{file}: {node.module}"
            elif isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= sys.stdlib_module_names, file


@pytest.mark.parametrize("module", IMPORTERS)
def test_module_is_imported_only_where_it_is_allowed(module: str) -> None:
    users = {name for name, file in FILES.items() if module in {found.split(".")[0] for found in imports(file)}}
    assert users == IMPORTERS[module]


@pytest.mark.parametrize("name", PURE)
def test_pure_module_has_no_effects(name: str) -> None:
    found = imports(FILES[name])
    assert {words.split(".")[0] for words in found - {"io.StringIO"}} & EFFECTS == set()
    assert {words for words in found if words.startswith("pathlib")} <= {"pathlib.PurePosixPath"}
    assert contents(FILES[name]).calls & {"open", "print", "input", "exec", "eval"} == set()


def test_only_output_prints_and_only_main_exits() -> None:
    assert [name for name, file in FILES.items() if "print" in contents(file).calls] == []
    assert [name for name, file in FILES.items() if "sys.exit" in contents(file).calls] == ["cli/main.py"]


def test_files_say_what_they_are_for() -> None:
    assert [name for name, file in FILES.items() if not contents(file).docstring] == []
