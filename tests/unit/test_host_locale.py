"""Names of files are UTF-8 on every host, also if the locale of its logins has another encoding or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from neuraltalk_provision import paths
from neuraltalk_provision.site import playbook
from neuraltalk_provision.site.playbook import Request
from tests.unit import fake_ssh

Load = Callable[[str], ModuleType]
UTF8 = {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
# Its module `raw` does not use the keyword, so its command sets the same.
RAW = "pythons.yml"
PLAYBOOKS = sorted(file for file in paths.playbooks().glob("*.yml") if file.name != RAW)
# A login whose Python knows ASCII alone, as Python 3.6 does with LANG=C.
ASCII = "export LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0"


@pytest.mark.parametrize("file", PLAYBOOKS, ids=[file.name for file in PLAYBOOKS])
def test_every_play_sets_the_encoding_of_names(file: Path, load: Load) -> None:
    plays = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert [play.get("environment") for play in plays] == [UTF8] * len(plays)
    assert load("rules.texts").UTF8 == UTF8


def test_pythons_are_tried_as_modules_would_run_them() -> None:
    (play,) = yaml.safe_load((paths.playbooks() / RAW).read_text(encoding="utf-8"))
    (task,) = play["tasks"]
    words = " ".join(f"{name}={value}" for name, value in UTF8.items())
    assert task["ansible.builtin.raw"].startswith(f"export {words};")
    assert "environment" not in play


@pytest.mark.slow
def test_module_finds_a_name_that_the_locale_of_the_host_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ssh.put_on_path(tmp_path, monkeypatch).behave(ASCII)
    (tmp_path / "Bilder für alle" / "generations" / "0a1b2c3d4e5f6071").mkdir(parents=True)
    variables = {
        "provision_stack_root": str(tmp_path / "Bilder für alle"),
        "provision_package_names": [],
        "provision_our_variables": "^provision_",
    }
    outcome = playbook.run(Request("state.yml", fake_ssh.inventory(tmp_path / "hosts.yml"), variables))
    assert outcome.results.failures == ()
    stack = outcome.results.by_host("stack_state")["node1"]["state"]["stack"]
    assert list(stack["generations"]) == ["0a1b2c3d4e5f6071"]


def test_runs_get_it_however_they_are_started(load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.ISO-8859-1")
    run = SimpleNamespace(name="r1", path=str(tmp_path), temporary=str(tmp_path))
    environment = load("runs.launch").plain_environment(run)
    assert {name: environment[name] for name in UTF8} == UTF8
    command = load("runs.unit").systemd_run("neuraltalk-r1", run, None, [])
    assert {f"--setenv={name}={value}" for name, value in UTF8.items()} <= set(command)
    script = load("runs.slurm").script({"runs": [{"id": "r1"}]}, b"code")
    assert 'LC_ALL=C.UTF-8 PYTHONUTF8=1 "$python" "$place/supervisor.zip"' in script
