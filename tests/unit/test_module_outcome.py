"""How modules end: with a result that says if it is a prediction, or with a failure that has a code and a traceback."""

from __future__ import annotations

import ast
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from neuraltalk_provision import paths
from neuraltalk_provision.site import advice, codes, events
from tests.unit.pushing import PYTHON2

MODULES = sorted((paths.plugins() / "modules").glob("*.py"))


class Ended(Exception):  # noqa: N818
    """The module ended."""

    def __init__(self, **result: Any) -> None:
        super().__init__(result.get("msg"))
        self.result = result


class Module:
    """What a module of Ansible's is for its wrapper."""

    def __init__(self, check_mode: bool = False) -> None:
        self.check_mode = check_mode

    def exit_json(self, **result: Any) -> None:
        raise Ended(**result)

    def fail_json(self, **result: Any) -> None:
        raise Ended(failed=True, **result)


@pytest.fixture
def outcome(load: Callable[[str], ModuleType]) -> ModuleType:
    """plugins/module_utils/host/outcome.py."""
    return load("host.outcome")


@pytest.fixture
def stack_error(load: Callable[[str], ModuleType]) -> type[Exception]:
    """plugins/module_utils/host/errors.py's StackError."""
    found: type[Exception] = load("host.errors").StackError
    return found


def end_of(outcome: ModuleType, function: Callable[[Any], Any], *, check_mode: bool = False) -> dict[str, Any]:
    with pytest.raises(Ended) as caught:
        outcome.run_module(Module(check_mode), function)
    json.dumps(caught.value.result)
    return caught.value.result


def raising(error: BaseException) -> Callable[[Any], Any]:
    def work(_module: Any) -> Any:
        raise error

    return work


@pytest.mark.parametrize("check_mode", [False, True])
def test_result_says_whether_it_is_a_prediction(outcome: ModuleType, check_mode: bool) -> None:
    result = end_of(outcome, lambda module: {"changed": True, "seen": 7}, check_mode=check_mode)
    assert result == {"changed": True, "seen": 7, "predicted": check_mode}


def test_what_a_person_has_to_know_is_told_with_its_log_its_details_and_a_trace(
    outcome: ModuleType, stack_error: type[Exception], tmp_path: Path
) -> None:
    error = stack_error("torch does not build", log=str(tmp_path / "l.log"), tail=["a", "b"], code="x.y", rc=2)
    result = end_of(outcome, raising(error))
    assert result["msg"] == f"torch does not build. The whole log: {tmp_path}/l.log\na\nb"
    assert (result["failed"], result["code"], result["rc"]) == (True, "x.y", 2)
    assert "in work" in result["exception"]


@pytest.mark.parametrize("code", ["", None])
def test_failure_without_a_known_cause_has_no_code(
    outcome: ModuleType, stack_error: type[Exception], code: object
) -> None:
    assert "code" not in end_of(outcome, raising(stack_error("odd", code=code)))
    assert "code" not in end_of(outcome, raising(stack_error("odd")))


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("secret at https://bot:s3cr3t@h/"), ZeroDivisionError()])
def test_what_nobody_expected_is_a_bug_with_its_trace(outcome: ModuleType, error: Exception) -> None:
    result = end_of(outcome, raising(error))
    assert (result["failed"], result["code"]) == (True, codes.BUG)
    assert result["msg"].startswith(f"unexpected {type(error).__name__}: ")
    assert "Traceback (most recent call last)" in result["exception"]
    assert "s3cr3t" not in result["exception"]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, codes.DISK_FULL),
        (errno.EDQUOT, codes.DISK_FULL),
        (errno.EIO, codes.DISK_BROKEN),
        (errno.EACCES, codes.FILE_DENIED),
        (errno.EROFS, codes.FILE_DENIED),
        (errno.ENAMETOOLONG, codes.PATH_LONG),
        (errno.ENOMEM, codes.MEMORY_FULL),
        (errno.EMFILE, codes.LIMIT_REACHED),
        (errno.ENOENT, codes.BUG),
        (errno.ENOTDIR, codes.BUG),
    ],
)
def test_error_of_the_system_has_the_code_of_its_number(outcome: ModuleType, number: int, code: str) -> None:
    result = end_of(outcome, raising(OSError(number, "xyzzy", "/opt/x")))
    assert result["code"] == code
    assert "/opt/x" in result["msg"]
    assert "Traceback" in result["exception"]


def test_memory_that_is_not_enough_is_told_as_such(outcome: ModuleType) -> None:
    assert end_of(outcome, raising(MemoryError()))["code"] == codes.MEMORY_FULL


def test_log_on_a_full_disk_tells_the_cause(
    outcome: ModuleType, stack_error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "is_full", lambda directory: directory == str(tmp_path))
    failed = stack_error("cc1 failed", log=str(tmp_path / "l.log"))
    assert end_of(outcome, raising(failed))["code"] == codes.DISK_FULL
    assert "code" not in end_of(outcome, raising(stack_error("cc1 failed", log="/no/such/l.log")))


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_end_that_somebody_wanted_is_none_of_its_business(outcome: ModuleType, error: BaseException) -> None:
    with pytest.raises(type(error)):
        outcome.run_module(Module(), raising(error))


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.stem)
def test_every_module_ends_by_the_wrapper_alone(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    called = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert called.count("run_module") == 1
    assert not {name for name in called if name.endswith((".exit_json", ".fail_json"))}


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.stem)
def test_module_that_breaks_leaves_a_code_and_a_trace(
    file: Path, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work of each module is replaced by something that nobody expected."""
    module = load(file.stem)

    def broken(_module: object) -> object:
        return {}["nobody thought of this"]

    work = module.run_module
    monkeypatch.setattr(module, "run_module", lambda _given, _function: work(Module(), broken))
    monkeypatch.setattr(module, "AnsibleModule", mock.Mock())
    with pytest.raises(Ended) as caught:
        module.main()
    result = json.loads(json.dumps(caught.value.result))
    assert result["code"] == codes.BUG
    assert "nobody thought of this" in result["msg"]
    assert "in broken" in result["exception"]
    failure = events.failure({"event": "runner_on_failed", "event_data": {"host": "h", "task": "t", "res": result}})
    assert failure
    assert "this is a bug in neuraltalk-provision" in advice.explain(failure)


def test_codes_that_both_sides_know_stand_once(load: Callable[[str], ModuleType]) -> None:
    rules = load("rules.codes")
    shared = {name: value for name, value in vars(rules).items() if name.isupper() and not name.startswith("_")}
    ours = (paths.plugins().parent / "neuraltalk_provision" / "site" / "codes.py").read_text(encoding="utf-8")
    assert {value for value in shared.values() if f'"{value}"' in ours} == set()
    assert all(codes._FORM.fullmatch(value) for value in shared.values())


@pytest.mark.parametrize("python", [sys.executable, *(str(one) for one in [PYTHON2] if one.exists())])
def test_name_of_a_file_that_is_not_utf8_does_not_make_the_answer_useless(tmp_path: Path, python: str) -> None:
    """Ansible refuses a whole result with such a name."""
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); from module_utils.host import texts; import os; "
        "names = os.listdir(sys.argv[2]); "
        "print(json.dumps(texts.for_json({'a': [names, {names[0]: (1, None, 'x')}], 'b': True})))"
    )
    (tmp_path / "here").mkdir()
    os.close(os.open(os.fsencode(tmp_path) + b"/here/a\xff\xe9", os.O_CREAT))
    said = subprocess.run(
        [python, "-c", code, str(paths.plugins()), str(tmp_path / "here")], capture_output=True, check=True
    )
    assert json.loads(said.stdout) == {"a": [["a\xff\xe9"], {"a\xff\xe9": [1, None, "x"]}], "b": True}


def test_state_of_a_host_with_such_a_name_is_read(run_module: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "generations" / os.fsdecode(b"a\xff") / "stamps").mkdir(parents=True)
    state = run_module("stack_state", stack_root=tmp_path, packages=[])["state"]
    assert list(state["stack"]["generations"]) == ["a\xff"]
    json.dumps(state, ensure_ascii=False).encode()
