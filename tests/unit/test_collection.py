"""The collection: built, installed without a network where nothing else is, and run by its name."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from neuraltalk_provision import paths
from tests.lab import collection

pytestmark = pytest.mark.slow

PLAYBOOKS = [f"neuraltalk.provision.{file.stem}" for file in sorted(paths.playbooks().glob("*.yml"))]
MODULES = {f"neuraltalk.provision.{file.stem}" for file in (paths.plugins() / "modules").glob("*.py")}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A new home with the collection, and nothing else that Ansible could find."""
    folder = tmp_path_factory.mktemp("collection")
    return collection.install(collection.build(folder), folder / "a home")


def run(environment: Mapping[str, str], *words: str) -> str:
    """What a command printed that ran there, without a network."""
    line = [*collection.without_network(), *words]
    done = subprocess.run(
        line, cwd=environment["HOME"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def test_it_holds_what_ansible_needs_and_nothing_of_the_command(environment: dict[str, str]) -> None:
    root = collection.installed(Path(environment["HOME"]))
    found = {path.name for path in root.iterdir()}
    assert found == {
        *("MANIFEST.json", "FILES.json", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"),
        *("docs", "meta", "playbooks", "plugins", "roles"),
    }
    assert [path for path in root.rglob("*") if path.suffix == ".pyc"] == []


def test_each_module_has_documentation_that_ansible_doc_reads(environment: dict[str, str]) -> None:
    documents = json.loads(run(environment, "ansible-doc", "--json", *sorted(MODULES)))
    assert set(documents) == MODULES
    attributes = documents["neuraltalk.provision.cudnn_swap"]["doc"]["attributes"]
    assert attributes["check_mode"]["support"] == "full"
    assert attributes["check_mode"]["description"]


def test_playbooks_are_found_by_their_names(environment: dict[str, str]) -> None:
    told = run(environment, "ansible-playbook", *PLAYBOOKS, "--inventory", "host,", "--syntax-check")
    assert told.count("playbook: ") == len(PLAYBOOKS)


def test_host_is_asked_by_the_installed_collection(environment: dict[str, str], tmp_path: Path) -> None:
    variables = {
        "provision_stack_root": str(tmp_path / "stack"),
        "provision_package_names": ["gcc"],
        "provision_our_variables": "^torch_",
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }
    (tmp_path / "variables.yml").write_text(json.dumps(variables), encoding="utf-8")
    words = ("--inventory", "host,", "--extra-vars", f"@{tmp_path}/variables.yml", "--check", "-v")
    told = run(environment, "ansible-playbook", "neuraltalk.provision.state", *words)
    assert '"predicted": true' in told
    assert '"managers": [' in told
    assert "changed=0" in told
    assert not (tmp_path / "stack").exists()
