"""What CONTRIBUTING.md and the documents name exists: files, targets of make, tests; and every target has its help."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PLACES = r"(?:tests|docs|roles|playbooks|plugins|neuraltalk_provision|inventory|tools)/"
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z-]+):(?!=)", MAKEFILE, re.M)


@pytest.mark.parametrize("path", sorted(set(re.findall(rf"(?<![\w/.]){PLACES}[\w./-]*\w/?", GUIDE))))
def test_path_that_the_guide_names_exists(path: str) -> None:
    if not re.search(r"[A-Z]{4}|/rnn/", path):  # a name that the reader chooses
        assert (ROOT / path).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z-]+)", GUIDE))))
def test_target_that_the_guide_names_exists(target: str) -> None:
    assert target in TARGETS


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+[a-z])`", GUIDE))))
def test_test_that_the_guide_names_exists(name: str) -> None:
    texts = [file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py")]
    assert any(f"def {name}(" in text for text in texts)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_of_a_document_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize(
    ("code", "page", "words"),
    [
        ("mirror/trust.py", "docs/mirror-details.md", "\nalice ssh-ed25519 "),
        ("mirror/looking.py", "docs/mirror-by-hand.md", "| torch | "),
        ("mirror/wheels.py", "docs/mirror-by-hand.md", "pip download -d wheels"),
        ("mirror/package_index.py", "docs/mirror-by-hand.md", "pip download -d wheels"),
        ("catalogue/needed.py", "docs/mirror.md", "| VGG_ILSVRC_16_layers.caffemodel "),
    ],
)
def test_page_that_a_message_names_has_what_the_message_says(code: str, page: str, words: str) -> None:
    assert page in (ROOT / "neuraltalk_provision" / code).read_text(encoding="utf-8")
    assert words in (ROOT / page).read_text(encoding="utf-8")


def test_help_lists_every_target() -> None:
    command = ["make", "--no-print-directory", "help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    listed = re.findall(r"^ +make ([a-z-]+) +\S", done.stdout, re.M)
    assert listed == TARGETS


@pytest.mark.parametrize("folder", ["roles", "playbooks", "plugins/module_utils", "neuraltalk_provision"])
def test_document_about_the_architecture_names_every_part(folder: str) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    parts = {path.stem for path in (ROOT / folder).iterdir() if path.is_dir() or path.suffix == ".yml"}
    assert {part for part in parts - {"__pycache__", "share"} if not re.search(rf"\b{part}\b", text)} == set()


def test_list_of_faults_has_each_fault_once() -> None:
    """A merge of two branches that change a row can leave both versions."""
    for section in (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").split("\n## "):
        faults = re.findall(r"^\| (?!---)([^|]+) \|", section, re.M)
        assert [fault for fault in faults if faults.count(fault) > 1] == []


def test_tests_that_the_list_of_faults_names_exist() -> None:
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    assert set(re.findall(r"\btest_\w+", text)) - {file.stem for file in files} == set()
    tests = [name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.M)]
    parts = {part for part in re.findall(r"`(?:\.{3}_)?([a-z0-9_]+?)(?:_?\.{3})?`", text) if part.count("_") > 1}
    assert len(parts) > 40
    assert [part for part in parts if not any(part in name for name in tests)] == []
