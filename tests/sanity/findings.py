"""The tests of `ansible-test sanity` that are not run, and the findings that are ignored, with the reasons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

LEFT_OUT = {
    "changelog": "reads fragments of antsibull-changelog; CHANGELOG.md is written by hand",
    "pep8": "ruff checks the style of all Python files, with the project's line length",
    "pslint": "there is no PowerShell",
    "pylint": "takes 38 s; ruff and mypy check the same files",
    "shellcheck": "there are no shell scripts",
    "yamllint": "`make lint` runs yamllint on all YAML files; validate-modules reads the YAML in modules",
}
"""Tests that are not run."""

IGNORED = (
    ("plugins/modules/*.py", "validate-modules:missing-gplv3-license", "the license is Apache-2.0"),
    ("plugins/callback/*.py", "validate-modules:missing-gplv3-license", "the license is Apache-2.0"),
    ("plugins/connection/*.py", "validate-modules:missing-gplv3-license", "the license is Apache-2.0"),
    ("plugins/module_utils/runs/probe.py", "no-assert!skip", "the assertion is Lua"),
    (
        "plugins/callback/bounded_events.py",
        "import-{python}!skip",
        "only ansible-runner loads it, which has the base class",
    ),
)
"""(files, finding, reason); {python} is the version of Python for the tests."""


def ignore_lines(collection: Path, python: str) -> Iterator[str]:
    """The lines of `tests/sanity/ignore-VERSION.txt`."""
    for pattern, finding, reason in IGNORED:
        for file in sorted(collection.glob(pattern)):
            yield f"{file.relative_to(collection)} {finding.format(python=python)} # {reason}"
