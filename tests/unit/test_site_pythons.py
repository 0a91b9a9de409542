"""A host on whose Python no module runs: what it has, and which step helps."""

from __future__ import annotations

import ast

import pytest
import yaml

from neuraltalk_provision import paths
from neuraltalk_provision.site import advice, codes, pythons
from neuraltalk_provision.site.events import Failure
from neuraltalk_provision.site.pythons import Python

MISSING = Failure("node1", "Read the host state", "/usr/bin/python3: not found", code=codes.PYTHON_MISSING)


def test_list_of_pythons_is_read() -> None:
    text = (
        "a login banner\r\nfound /usr/bin/python3.11 3.11\r\nfound /usr/bin/python2.7 2.7\n"
        "found /usr/bin/python3.11 3.11\nfound /opt/p ModuleNotFoundError: No module named 'json'\n"
        "found x 3.9\nfound /q \n"
    )
    assert pythons.parse(text) == (
        Python("/usr/bin/python3.11", (3, 11)),
        Python("/usr/bin/python2.7", (2, 7)),
        Python("/opt/p", None, "ModuleNotFoundError: No module named 'json'"),
        Python("/q", None, "it prints nothing"),
    )


@pytest.mark.parametrize("text", ["", "found", "found x", "found " + "/" * 200_000 + " 3.9", "\0" * 100])
def test_other_text_is_no_python(text: str) -> None:
    assert pythons.parse(text) == ()


@pytest.mark.parametrize("core", ["2.19.14", "2.18.1", "2.20.7", "3.0.1", "unknown"])
def test_host_with_python_2_7_alone_is_told_which_ansible_core_drives_it(core: str) -> None:
    said = pythons.explain(MISSING, [Python("/usr/bin/python2.7", (2, 7))], core)
    assert said.code == codes.PYTHON_OLD
    assert f"/usr/bin/python2.7 is Python 2.7, but ansible-core {core} on this machine needs Python 3." in said.message
    assert "'ansible-core==2.16.*'" in said.message
    assert "`sh MIRROR/install-provision.sh --ansible 2.16 DIR`" in said.message
    assert "Call DIR/bin/provision with --limit" in said.message
    assert "Python 3.11 or 3.12" in said.message


def test_ansible_core_2_16_drives_it_when_the_interpreter_is_named() -> None:
    said = pythons.explain(MISSING, [Python("/usr/bin/python2.7", (2, 7))], "2.16.19")
    assert "set ansible_python_interpreter: /usr/bin/python2.7 (Python 2.7) for this host" in said.message
    assert said.code == codes.PYTHON_MISSING


def test_newest_python_that_starts_is_proposed_and_the_words_of_a_broken_one_are_shown() -> None:
    failure = Failure("node1", "Read", "ModuleNotFoundError: No module named 'json'", code=codes.PYTHON_BROKEN)
    listed = [
        Python("/usr/bin/python3.11", None, "No module named 'json'"),
        Python("/usr/bin/python3.9", (3, 9)),
        Python("/opt/python3.12", (3, 12)),
    ]
    said = pythons.explain(failure, listed, "2.19.14")
    assert said.message.startswith(failure.message)
    assert "set ansible_python_interpreter: /opt/python3.12 (Python 3.12) for this host" in said.message
    assert "/usr/bin/python3.11 does not start: No module named 'json'" in said.message


def test_many_pythons_that_do_not_start_are_one_short_text() -> None:
    """pyenv has a program on PATH for every Python, whether it is chosen or not."""
    words = "pyenv: python3.13: command not found"
    shims = [Python(f"/opt/pyenv/shims/python3.{minor}", None, words) for minor in (13, 12, 10)]
    said = pythons.explain(MISSING, [*shims, Python("/usr/bin/python3.9", (3, 9))], "2.19.14").message
    assert said.count(words) == 1
    assert all(shim.path in said for shim in shims)


def test_python_3_5_is_too_old_for_all() -> None:
    said = pythons.explain(MISSING, [Python("/usr/bin/python3.5", (3, 5))], "2.19.14")
    assert "Install a newer Python on the host" in said.message
    assert "2.16" not in said.message


def test_shell_that_ran_no_command_is_the_cause_and_not_python() -> None:
    """A ~/.bashrc with `exit`: there is no output at all."""
    assert pythons.answer(MISSING, "", "2.19.14").code == codes.LOGIN_SHELL
    assert pythons.answer(MISSING, "welcome\r\n", "2.19.14").message == MISSING.message
    text = f"welcome\r\n{pythons.BEGIN}\r\nfound /usr/bin/python2.7 2.7\r\n"
    assert pythons.answer(MISSING, text, "2.19.14").code == codes.PYTHON_OLD


def test_what_a_login_script_prints_is_no_python() -> None:
    """Also if it looks like one: such lines stand before the first line of the answer."""
    text = f"{{welcome}}\r\nfound /opt/python 3.12\r\n{pythons.BEGIN}\r\nfound /usr/bin/python2.7 2.7\r\n"
    assert "/opt/python" not in pythons.answer(MISSING, text, "2.19.14").message


DENIED = [
    "/bin/sh: 1: /usr/bin/python3: Permission denied",
    "/bin/sh: line 1: /usr/bin/python3: Permission denied",
]


@pytest.mark.parametrize("words", DENIED)
def test_python_that_only_sudo_does_not_start_is_not_what_has_to_be_repaired(words: str) -> None:
    """`Defaults noexec` in sudoers: the advice to set the same interpreter would be a circle."""
    failure = Failure("node1", "Read", words, code=codes.of_result({}, words, unreachable=False))
    said = pythons.explain(failure, [Python("/usr/bin/python3", (3, 11))], "2.19.14")
    assert said.code == codes.SUDO_NOEXEC
    assert "`Defaults:USER !noexec`" in advice.explain(said)
    assert "ansible_python_interpreter: /usr/bin/python3" not in advice.explain(said)


@pytest.mark.parametrize("words", DENIED)
def test_python_that_nobody_may_start_is_replaced_by_another(words: str) -> None:
    failure = Failure("node1", "Read", words, code=codes.of_result({}, words, unreachable=False))
    said = pythons.explain(failure, [Python("/usr/bin/python3.9", (3, 9))], "2.19.14")
    assert said.code == codes.PYTHON_DENIED
    assert "set ansible_python_interpreter: /usr/bin/python3.9" in said.message


@pytest.mark.parametrize("listed", [[], [Python("/usr/bin/python3", None, "Killed")]])
def test_host_without_a_python_that_starts_is_told_as_before(listed: list[Python]) -> None:
    assert pythons.explain(MISSING, listed, "2.19.14") == MISSING


def test_python_is_proposed_only_if_it_has_what_modules_import() -> None:
    """A Python that somebody compiled without the headers of zlib or libffi has no zlib or no ctypes, and starts."""
    imported = set[str]()
    for folder in ("modules", "module_utils", "plugin_utils/agent"):
        for file in (paths.share() / "plugins" / folder).rglob("*.py"):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                imported |= {one.name for one in node.names} if isinstance(node, ast.Import) else set()
    compiled = {"ctypes", "fcntl", "grp", "mmap", "pwd", "resource", "select", "socket", "syslog", "zlib"}
    assert compiled & imported <= set(pythons.IMPORTS)
    (play,) = yaml.safe_load((paths.playbooks() / "pythons.yml").read_text(encoding="utf-8"))
    assert "import {{ provision_imports }};" in play["tasks"][0]["ansible.builtin.raw"]


def test_python_that_starts_without_sudo_alone_is_not_proposed_again() -> None:
    """PYTHONHOME that sudo keeps: the same interpreter was proposed, which does not help."""
    words = "Fatal Python error: init_fs_encoding: failed to get the Python codec of the filesystem encoding"
    failure = Failure("node1", "Read", words, code=codes.PYTHON_BROKEN)
    said = pythons.explain(
        failure, [Python("/usr/bin/python3.11", (3, 11)), Python("/usr/bin/python3", (3, 11))], "2.19"
    )
    assert said.code == codes.SUDO_PYTHON
    assert "ansible_python_interpreter" not in said.message
    assert "`sudo env | grep PYTHON`" in advice.explain(said)


def test_variables_of_the_login_that_keep_python_from_starting_are_named() -> None:
    failure = Failure("node1", "Read", "AttributeError: module 'enum' has no attribute 'x'", code=codes.PYTHON_BROKEN)
    text = f"{pythons.BEGIN}\nset PYTHONPATH=/opt/caffe/python\nfound /usr/bin/python3 AttributeError: module 'enum'\n"
    said = pythons.answer(failure, text, "2.19.14")
    assert "The login sets PYTHONPATH=/opt/caffe/python, which may be the cause" in said.message
    assert "The login sets" not in pythons.answer(failure, text.replace("set PY", "x"), "2.19.14").message


@pytest.mark.parametrize(
    ("file", "code"), [("/usr/lib/python3.11/re.py", "python.broken"), ("<stdin>/ansible_collections/x.py", "")]
)
def test_python_that_ends_in_its_own_library_is_broken(file: str, code: str) -> None:
    """An enum.py of Python 2 on PYTHONPATH. A traceback of our own modules has another cause."""
    words = "AttributeError: module 'enum' has no attribute 'global_enum'"
    printed = f'Traceback (most recent call last):\n  File "<stdin>", line 17, in <module>\n  File "{file}"\n{words}\n'
    assert codes.of_result({"module_stderr": printed}, words, unreachable=False) == code


def test_host_that_says_nothing_although_its_pythons_start_has_a_login_script_that_reads() -> None:
    """`cat` in ~/.bashrc gets the module in place of the Python."""
    words = codes.silent(0)
    failure = Failure("node1", "Read", words, code=codes.of_result({}, words, unreachable=False))
    said = pythons.explain(failure, [Python("/usr/bin/python3", (3, 11))], "2.19.14")
    assert said.code == codes.LOGIN_INPUT
    assert "reads its standard input" in advice.explain(said)
    assert "reads its standard input" in advice.ADVICE[codes.HOST_HANGS]
