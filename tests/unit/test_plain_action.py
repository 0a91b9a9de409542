"""Modules without Ansible's libraries: what a host's Python reads, and that the result is the same."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from neuraltalk_provision import command_log
from neuraltalk_provision.results import base
from neuraltalk_provision.results.host_state import StackStateResult
from neuraltalk_provision.site import codes, playbook
from neuraltalk_provision.site.playbook import Outcome, Request
from plugins.plugin_utils import plain_action, plain_values
from plugins.plugin_utils.agent import plain_module
from plugins.plugin_utils.plain_values import OmittedError, UnknownError
from tests.unit import fake_ssh, modules
from tests.unit.fake_ssh import FakeSsh
from tests.unit.programs import program
from tests.unit.test_module_grammar import python27

pytestmark = pytest.mark.slow

PLAIN = sorted(
    file.stem
    for file in (Path(plain_action.PLUGINS) / "action").glob("*.py")
    if "plugin_utils.plain_action" in file.read_text(encoding="utf-8")
)
PYTHONS = [sys.executable, python27()]
# What differs between two answers of one host.
MOVING = ("disk", "outside", "temporary")


def ask(python: str, module: str, oldest: tuple[int, ...] = (2, 7), **given: Any) -> subprocess.CompletedProcess[str]:
    """What a host's Python says when it is asked, without anything but its standard library."""
    text = plain_action.program(module, plain_action.packed_sources(module), json.dumps(given)).decode()
    text = text.replace(f"start({plain_action.oldest_python()!r}", f"start({oldest!r}")
    return subprocess.run([python], input=text, capture_output=True, text=True, check=False, cwd="/", env={})


def test_modules_that_run_so_are_these() -> None:
    """Those that run for every host, or for every component of a build."""
    assert PLAIN == [
        "activation_timer",
        "artifact_download",
        "artifact_file",
        "artifact_unpack",
        "component_stamp",
        "cudnn_swap",
        "generation_fetch",
        "generation_pack",
        "generation_unpack",
        "host_lease",
        "host_use_info",
        "installed_files_info",
        "logged_command",
        "lua_load",
        "luarocks_make",
        "os_packages",
        "run_account",
        "run_starts",
        "runtime_libraries_info",
        "slurm_node",
        "slurm_node_info",
        "source_edit",
        "stack_generation",
        "stack_state",
        "stack_verify",
    ]


@pytest.mark.parametrize("python", PYTHONS)
def test_answer_is_the_modules_own(python: str, tmp_path: Path, run_module: Callable[..., dict[str, Any]]) -> None:
    if not python:
        pytest.skip("there is no Python 2.7 here")
    (tmp_path / "generations" / "0a1b2c3d4e5f6071" / "stamps").mkdir(parents=True)
    (tmp_path / "Bilder für alle").mkdir()
    given = {
        "stack_root": str(tmp_path),
        "packages": ["gcc", "no-such-package"],
        "inventory": {"profile": "cpu", "groups": ["größte"]},
        "interpreter": "auto",
    }
    done = ask(python, "stack_state", **given, _ansible_check_mode=True, _ansible_remote_tmp="/var/tmp")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert not isinstance(base.read(StackStateResult, answer), str)
    own = run_module("stack_state", check=True, **given)
    assert answer["predicted"] is own["predicted"] is True
    for key in own["state"].keys() - set(MOVING) - {"platform"}:
        assert answer["state"][key] == own["state"][key], key
    assert answer["state"]["temporary"]["path"] == "/var/tmp"


@pytest.mark.parametrize("python", PYTHONS)
def test_module_that_writes_does_the_same(
    python: str, tmp_path: Path, run_module: Callable[..., dict[str, Any]]
) -> None:
    if not python:
        pytest.skip("there is no Python 2.7 here")
    seen = []
    for folder in ("plain", "own"):
        source = tmp_path / folder / "source"
        source.mkdir(parents=True)
        (source / "größe.lua").write_text("return 'größe' -- 1\n", encoding="utf-8")
        edit = {"file": "größe.lua", "pattern": "'größe'", "replacement": "'{{ Länge }}'", "count": 1, "reason": "é"}
        given = {"root": str(source), "edits": [edit]}
        if folder == "plain":
            done = ask(python, "source_edit", **given, _ansible_diff=True)
            assert (done.returncode, done.stderr) == (0, "")
            result = json.loads(done.stdout)
        else:
            result = run_module("source_edit", **given)
        seen.append((result["changed"], result["predicted"], (source / "größe.lua").read_text(encoding="utf-8")))
    assert seen[0] == seen[1] == (True, False, "return '{{ Länge }}' -- 1\n")


@pytest.mark.parametrize("python", PYTHONS)
def test_failure_of_a_module_that_writes_has_its_message_and_traceback(python: str, tmp_path: Path) -> None:
    if not python:
        pytest.skip("there is no Python 2.7 here")
    done = ask(python, "component_stamp", generation=str(tmp_path), component="torch", digest="d")
    failed = json.loads(done.stdout)
    assert done.returncode == 1
    assert failed["msg"] == "there is no evidence that torch works, so no stamp is written"
    assert "in run_module" in failed["exception"]


PACKS = f"""
sources = json.loads(zlib.decompress(base64.b64decode(sys.argv[1])).decode("utf-8"))
sys.meta_path.insert(0, Sources(sources))
from {plain_action.NAMESPACE}.module_utils.activation import program, timer
timer.write_program(sys.argv[2])
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_module_can_pack_a_program_of_itself(python: str, tmp_path: Path) -> None:
    """The timer of a return is a file that a Python of the host runs later."""
    if not python:
        pytest.skip("there is no Python 2.7 here")
    text = plain_action.source_of(str(Path(plain_action.AGENT, "start.py"))) + PACKS
    sources = plain_action.packed_sources("activation_timer")
    subprocess.run([python, "-", sources, str(tmp_path)], input=text, check=True, text=True, cwd="/", env={})
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    done = subprocess.run(
        [python, str(file), str(tmp_path), "token", "try"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split()[:1]) == (0, ["ready"]), done.stderr


@pytest.mark.parametrize("module", PLAIN)
def test_everything_that_a_module_imports_is_sent(module: str) -> None:
    sources = unpacked(plain_action.packed_sources(module))
    for name, (is_package, text) in sources.items():
        package = name if is_package else name.rpartition(".")[0]
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.level:
                parts = package.split(".")
                source = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])
                wanted = [f"{source}.{alias.name}" for alias in node.names]
                assert source in sources, f"{name} imports {source}"
                assert all(one in sources or not path_of(one).exists() for one in wanted), f"{name}: {wanted}"
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ansible"):
                assert node.module in sources, f"{name} imports {node.module}"


def test_code_that_starts_runs_is_not_sent_to_hosts_with_modules_that_start_none() -> None:
    """It is large, and all that imports the lock on the cards had it."""
    launch = f"{plain_action.NAMESPACE}.module_utils.runs.launch"
    assert not [module for module in PLAIN if launch in unpacked(plain_action.packed_sources(module))]


@pytest.mark.parametrize("module", PLAIN)
def test_options_are_simple(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Mapping[str, Mapping[str, Any]]] = []

    class SeenError(Exception):
        pass

    def spy(argument_spec: Mapping[str, Mapping[str, Any]], **_more: Any) -> None:
        seen.append(argument_spec)
        raise SeenError

    loaded = importlib.import_module(f"plugins.modules.{module}")
    monkeypatch.setattr(loaded, "AnsibleModule", spy)
    with pytest.raises(SeenError):
        loaded.main()
    inner = [spec.get("options", {}).values() for spec in seen[0].values()]
    for spec in [*seen[0].values(), *(one for several in inner for one in several)]:
        assert set(spec) <= plain_module.KNOWN
        assert spec.get("type", "str") in plain_module.KINDS


def unpacked(text: str) -> dict[str, tuple[bool, str]]:
    import base64
    import zlib

    sources: dict[str, tuple[bool, str]] = json.loads(zlib.decompress(base64.b64decode(text)))
    return sources


def path_of(name: str) -> Path:
    inside = name.removeprefix(plain_action.NAMESPACE + ".").split(".")
    return Path(plain_action.PLUGINS, *inside).with_suffix(".py")


SPEC: Mapping[str, Mapping[str, Any]] = {
    "path": {"type": "path", "required": True},
    "names": {"type": "list", "elements": "str", "default": []},
    "count": {"type": "int", "default": 7},
    "switch": {"type": "bool", "default": False},
    "more": {"type": "dict", "default": {}},
    "kind": {"type": "str", "choices": ["a", "b"], "default": "a"},
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "mode": {"type": "str", "default": "0644"},
            "parts": {"type": "list", "elements": "str", "default": []},
        },
    },
    "one": {"type": "dict", "options": {"size": {"type": "int"}}},
    "key": {"type": "str", "no_log": True},
}


@pytest.mark.parametrize(
    "given",
    [
        {"path": "/opt"},
        {"path": "~/x"},
        {"path": "$HOME/x"},
        {"path": "/opt", "names": "a, b"},
        {"path": "/opt", "names": ["a", 7]},
        {"path": "/opt", "names": 7},
        {"path": "/opt", "count": "12"},
        {"path": "/opt", "count": "twelve"},
        {"path": "/opt", "count": None},
        {"path": None},
        {"path": "/opt", "kind": None},
        {"path": "/opt", "names": None},
        {"path": "/opt", "more": None},
        {"path": "/opt", "more": '{"a": {"b": 1}}'},
        {"path": "/opt", "switch": None},
        {"path": "/opt", "switch": "1.0"},
        {"path": "/opt", "switch": 1.0},
        {"path": "/opt", "switch": "yes"},
        {"path": "/opt", "switch": 0},
        {"path": "/opt", "switch": "perhaps"},
        {"path": "/opt", "more": {"a": {"b": ["ü"]}}},
        {"path": "/opt", "more": 7},
        {"path": "/opt", "names": {"a": 1}},
        {"path": "/opt", "kind": "c"},
        {"path": "/opt", "other": 1},
        {"path": "/opt", "files": [{"path": "~/x"}, {"path": "/y", "mode": 700, "parts": "a,b"}]},
        {"path": "/opt", "files": []},
        {"path": "/opt", "files": None},
        {"path": "/opt", "files": [{"mode": "0600"}]},
        {"path": "/opt", "files": [{"path": "/x", "owner": "root"}]},
        {"path": "/opt", "files": ["/x"]},
        {"path": "/opt", "one": {"size": "7"}},
        {"path": "/opt", "one": {"size": "seven"}},
        {"path": "/opt", "one": {}},
        {"path": "/opt", "one": None},
        {"path": "/opt", "key": "s3cr3t"},
        {"names": ["a"]},
    ],
)
def test_options_are_read_as_ansible_reads_them(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def params(kind: Any) -> Any:
        with modules.arguments(dict(given)):
            monkeypatch.setattr(plain_module, "GIVEN", dict(given))
            try:
                return kind(argument_spec={name: dict(spec) for name, spec in SPEC.items()}).params
            except SystemExit:
                return json.loads(capsys.readouterr().out)["failed"]

    assert params(plain_module.AnsibleModule) == params(basic.AnsibleModule)


@pytest.mark.parametrize("given", [{"path": "/opt"}, {"path": "/s3cr3t/x", "other": 1}, {"count": 1}])
def test_secrets_are_in_no_result_and_no_system_log(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(plain_module.syslog, "syslog", lambda _level, words: logged.append(words))
    monkeypatch.setattr(plain_module, "GIVEN", {**given, "key": "s3cr3t"})
    with pytest.raises(SystemExit):
        module = plain_module.AnsibleModule(argument_spec={name: dict(spec) for name, spec in SPEC.items()})
        assert module.params["key"] == "s3cr3t"
        module.exit_json(log=["said s3cr3t twice: s3cr3t"], more={"s3cr3t": ("s3cr3t", 7)})
    printed = capsys.readouterr().out
    assert "s3cr3t" not in printed
    assert not any("s3cr3t" in words for words in logged)
    result = json.loads(printed)
    assert result["invocation"]["module_args"]["key"] == plain_module.HIDDEN
    if len(given) == 1 and "path" in given:
        assert result["log"] == ["said ******** twice: ********"]
        assert result["more"] == {"********": ["********", 7]}


def test_passwords_of_addresses_are_not_in_the_system_log(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(plain_module.syslog, "syslog", lambda _level, words: logged.append(words))
    plain_module.record("luarocks_make", "LOG_USER", {"env": {"https_proxy": "http://me:s3cr3t@proxy:3128/"}})
    assert "s3cr3t" not in logged[0]
    assert "@proxy:3128/" in logged[0]


@pytest.mark.parametrize("gone", [False, True])
def test_files_of_the_directory_in_which_a_module_runs_are_not_imported(tmp_path: Path, gone: bool) -> None:
    """It is the home of the user who logs in, and the module often runs as root."""
    place = tmp_path / "home"
    place.mkdir()
    for name in ("json", "base64", "platform", "types", "zlib", "syslog", "glob", "os_release"):
        (place / f"{name}.py").write_text("raise SystemExit('imported from the home')\n")
    arguments = {"stack_root": str(tmp_path / "stack"), "packages": [], "run_user": "root"}
    text = plain_action.program("stack_state", plain_action.packed_sources("stack_state"), json.dumps(arguments))
    remove = f"rm -r '{place}'; " if gone else ""
    line = f"cd '{place}'; {remove}exec '{sys.executable}' -"
    done = subprocess.run(["/bin/sh", "-c", line], input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["state"]["stack"]["current"] is None


def test_python_that_is_too_old_is_told_as_ansible_tells_it() -> None:
    done = ask(sys.executable, "stack_state", oldest=(99, 1), stack_root="/opt/neuraltalk")
    failed = json.loads(done.stdout)
    assert failed["msg"].startswith("ansible-core requires a minimum of Python version 99.1. Current version: ")
    assert codes.of_result(failed, failed["msg"], unreachable=False) == codes.PYTHON_OLD


def test_oldest_python_is_that_of_this_ansible() -> None:
    oldest = plain_action.oldest_python()
    assert oldest == (basic._PY_MIN if isinstance(basic._PY_MIN, tuple) else (2, 7))


def test_module_that_needs_more_of_ansible_runs_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(plain_action.UnknownImportError):
        plain_action.imported("modules", "from ansible.module_utils.urls import open_url\n")


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSsh:
    return fake_ssh.put_on_path(tmp_path, monkeypatch)


def state(tmp_path: Path, root: str = "", count: int = 1, **variables: Any) -> Outcome:
    given = {
        "provision_stack_root": root or str(tmp_path / "stack"),
        "provision_package_names": ["no-such-package"],
        "provision_our_variables": "^(provision|generation)_",
    }
    return playbook.run(Request("state.yml", fake_ssh.inventory(tmp_path / "hosts.yml", count, **variables), given))


def test_host_is_asked_in_one_step_and_nothing_is_written_there(ssh: FakeSsh, tmp_path: Path) -> None:
    variables = {"generation_space": "{{ 1000 * 1000 }}", "gpu_stack_profile": "cpu", "gpu_stack_arch_list": "8.0"}
    outcome = state(tmp_path, **variables, ansible_port="2222")
    assert outcome.results.failures == ()
    found = outcome.results.by_host("stack_state")["node1"]["state"]
    assert found["build_space"] == 1000000
    assert (found["inventory"]["profile"], found["inventory"]["arch_list"]) == ("cpu", "8.0")
    assert found["inventory"]["address"] == "node1:2222"
    assert found["variables"] == [
        "generation_space",
        "provision_answers",
        "provision_our_variables",
        "provision_package_names",
        "provision_stack_root",
    ]
    (call,) = ssh.calls
    assert "AnsiballZ" not in call
    assert "mkdir" not in call


def test_this_machine_is_asked_in_one_step_too(tmp_path: Path) -> None:
    """Only ssh did it, so that a module took four times as long on the controller itself."""
    outcome = state(tmp_path, ansible_connection="local", ansible_remote_tmp=str(tmp_path / "remote"))
    assert outcome.results.failures == ()
    assert not (tmp_path / "remote").exists()


def test_module_runs_as_usual_where_the_connection_needs_files(ssh: FakeSsh, tmp_path: Path) -> None:
    outcome = state(tmp_path, ansible_pipelining="false", ansible_ssh_transfer_method="piped")
    assert outcome.results.failures == ()
    assert outcome.results.by_host("stack_state")["node1"]["state"]["platform"]
    assert any("AnsiballZ_stack_state.py" in call for call in ssh.calls)


def test_failure_keeps_its_code_and_its_traceback(ssh: FakeSsh, tmp_path: Path) -> None:
    with command_log.begin(["site"]) as log:
        outcome = state(tmp_path, root="/a\0b")
    (failure,) = outcome.results.failures
    assert failure.code == codes.BUG
    assert failure.message.startswith("unexpected ValueError: ")
    assert log.path
    assert "in run_module" in log.path.read_text(encoding="utf-8")


def test_hosts_without_an_answer_fail_as_before(ssh: FakeSsh, tmp_path: Path) -> None:
    """Each host has a Python that ends in another way."""
    scripts = (
        ("exit 7", codes.PYTHON_BROKEN),
        ("echo 'ModuleNotFoundError: No module named zlib' >&2; exit 1", codes.PYTHON_BROKEN),
        ("printf 'sudo: a password is required\\n' >&2; exit 1", codes.SUDO_PASSWORD),
        ("printf '\\377\\376 {\\n'; exit 0", ""),
    )
    for number, (script, _code) in enumerate(scripts, start=1):
        program(tmp_path / f"python-node{number}", f"#!/bin/sh\ncat >/dev/null\n{script}\n")
    python = f"{tmp_path}/python-{{{{ inventory_hostname }}}}"
    failures = state(tmp_path, count=len(scripts), ansible_python_interpreter=python).results.failures
    expected = {f"node{number}": code for number, (_script, code) in enumerate(scripts, start=1)}
    assert {failure.host: failure.code for failure in failures} == expected
    assert len(failures) == len(scripts)


def test_python_is_looked_for_if_the_inventory_names_none(ssh: FakeSsh, tmp_path: Path) -> None:
    outcome = state(tmp_path, ansible_python_interpreter="auto_silent")
    assert outcome.results.failures == ()
    assert "command -v" in ssh.calls[0]
    assert "AnsiballZ" not in ssh.calls[-1]


VALUES = {
    "text": "some text",
    "number": 7,
    "yes": True,
    "nothing": None,
    "names": ["a", "b"],
    "nested": {"a": ["{{ number }}"]},
    "template": "{{ number }}",
}


@pytest.mark.parametrize(
    "given",
    [
        "plain",
        7,
        True,
        None,
        ["{{ text }}", 1],
        "{{ text }}",
        "{{ number }}",
        "{{yes}}",
        "{{ nothing }}",
        "{{ names }}",
        "{{ absent | default('x') }}",
        "{{ absent | default('') }}",
        "{{ text | default('x') }}",
        "{{ absent | default(number) }}",
        "{{ absent | default(other | default('y')) }}",
        "{{ absent | default([]) }}",
        "{{ text }}:{{ absent | default('') }}",
        "{{ text }}:{{ number }}",
        {"a": "{{ text }}", "b": ["{{ names }}"]},
    ],
)
def test_simple_templates_have_the_value_that_ansible_gives_them(given: Any) -> None:
    assert plain_values.value_of(given, VALUES) == templated(given)


def templated(given: Any) -> Any:
    try:
        from ansible.template import trust_as_template
    except ImportError:
        pytest.skip("simple templates are evaluated only since ansible-core 2.19")

    def trusted(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: trusted(one) for key, one in value.items()}
        if isinstance(value, list):
            return [trusted(one) for one in value]
        return trust_as_template(value) if isinstance(value, str) else value

    return Templar(DataLoader(), variables=VALUES).template(trusted(given))


@pytest.mark.parametrize(
    "given",
    [
        "{{ template }}",
        "{{ nested }}",
        "{{ absent }}",
        "{{ text | upper }}",
        "{{ text.a }}",
        "{{ text | default('x') | upper }}",
        "{{ names | default([]) | join(',') }}",
        "{{ text | default('x') if (absent is defined) }}",
        "{{ text | default('x') + (number) }}",
        "{{ text | default(other | default('y')) | join(',') }}",
        object(),
        "{{ absent | default('{{ text }}') }}",
        "{{ absent | default(7) }}",
        "{% if yes %}x{% endif %}",
        "{# x #}",
        "{{ text }} {{ names }}",
        "{{ yes }}x",
        "{{ 'a' }}",
        "{{ names",
        {"a": "{{ text | upper }}"},
    ],
)
def test_everything_else_is_left_to_ansible(given: Any) -> None:
    with pytest.raises(UnknownError):
        plain_values.value_of(given, VALUES)


def test_argument_is_left_out() -> None:
    with pytest.raises(OmittedError):
        plain_values.value_of("{{ absent | default(omit) }}", VALUES)
    assert plain_values.value_of("{{ number | default(omit) }}", VALUES) == 7
    with pytest.raises(UnknownError) as caught:
        plain_values.value_of("x{{ absent | default(omit) }}", VALUES)
    assert not isinstance(caught.value, OmittedError)


def test_value_of_another_type_is_left_to_ansible() -> None:
    with pytest.raises(UnknownError):
        plain_values.value_of("{{ secret }}", {"secret": object()})
