"""Commands with a log on the host: the cause of a failure is shown, and an expected text must be printed."""

from __future__ import annotations

import base64
import http.server
import json
import netrc
import stat
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]


def test_command_runs_in_its_directory_with_its_environment(run_module: Run, tmp_path: Path) -> None:
    log = tmp_path / "the 'log' folder" / "x.log"
    argv = ["sh", "-c", 'echo "$A in $(pwd)"']
    said = run_module("logged_command", argv=argv, log=log, chdir=tmp_path, env={"A": 7})
    assert (said["changed"], said["rc"], said["printed"]) == (True, 0, f"7 in {tmp_path}")


def test_cmake_4_is_told_that_projects_may_ask_for_an_older_cmake(
    run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMAKE_POLICY_VERSION_MINIMUM", "4.0")  # of the login, which a build does not get
    argv = ["sh", "-c", 'echo "$CMAKE_POLICY_VERSION_MINIMUM"']
    assert run_module("logged_command", argv=argv, log=tmp_path / "x.log")["printed"] == "3.5"


def test_command_runs_in_the_environment_of_a_generation(run_module: Run, generation: Path) -> None:
    said = run_module("logged_command", argv=["luajit", "-e", "tried"], log=generation / "x.log", generation=generation)
    assert said["rc"] == 0


def test_failure_shows_cause_end_and_log(run_module: Run, tmp_path: Path) -> None:
    argv = ["sh", "-c", "echo 'cannot find -lgfortran'; seq 60; exit 2"]
    with pytest.raises(ModuleError) as caught:
        run_module("logged_command", argv=argv, log=tmp_path / "x.log")
    message = str(caught.value)
    assert "failed (rc 2). The whole log: " + str(tmp_path / "x.log") in message
    assert "\ncannot find -lgfortran\n" in message
    assert "\n60" in message
    assert caught.value.result["log"] == str(tmp_path / "x.log")


def test_program_that_returns_0_and_did_not_print_what_it_should_has_failed(run_module: Run, tmp_path: Path) -> None:
    with pytest.raises(ModuleError, match="rc 0, but it did not print '-language_eval'"):
        run_module("logged_command", argv=["echo", "usage"], log=tmp_path / "x.log", expect="-language_eval")
    said = run_module(
        "logged_command", argv=["echo", " -language_eval"], log=tmp_path / "x.log", expect="-language_eval"
    )
    assert said["rc"] == 0


def test_text_in_the_command_itself_is_not_printed_by_it(run_module: Run, tmp_path: Path) -> None:
    with pytest.raises(ModuleError, match="did not print 'done'"):
        run_module("logged_command", argv=["true", "done"], log=tmp_path / "x.log", expect="done")


def test_lines_without_the_expected_text_are_not_returned(run_module: Run, tmp_path: Path) -> None:
    argv = ["sh", "-c", "echo Remainder of file ignored >&2; echo h5py 3.16; echo bye"]
    assert run_module("logged_command", argv=argv, log=tmp_path / "x.log", expect="h5py ")["printed"] == "h5py 3.16"


def test_text_of_an_earlier_run_does_not_count(run_module: Run, tmp_path: Path) -> None:
    run_module("logged_command", argv=["echo", "done"], log=tmp_path / "x.log", expect="done")
    with pytest.raises(ModuleError, match="did not print 'done'"):
        run_module("logged_command", argv=["true"], log=tmp_path / "x.log", expect="done")


@pytest.mark.slow
def test_time_that_is_up_is_told(run_module: Run, tmp_path: Path) -> None:
    with pytest.raises(ModuleError, match="sleep 60 failed \\(ran longer than 1 s\\)"):
        run_module("logged_command", argv=["sleep", "60"], log=tmp_path / "x.log", time_limit=1)


def test_check_mode_predicts_and_runs_nothing(run_module: Run, tmp_path: Path) -> None:
    said = run_module("logged_command", check=True, argv=["touch", str(tmp_path / "x")], log=tmp_path / "x.log")
    assert said["changed"] is True
    assert list(tmp_path.iterdir()) == []


TOKEN = "s3cr3t%2Ftoken"
URL = f"https://bot:{TOKEN}@index.example:8443/simple"


@pytest.fixture
def pip(tmp_path: Path) -> Callable[..., Path]:
    """Makes a stand-in of Python with a pip: it writes down what it was given, and prints its index as old ones did."""

    def pip(*, reads_netrc: bool, rc: int = 0) -> Path:
        file = tmp_path / "python"
        file.write_text(
            f"""#!/bin/sh
            [ "$1" = -c ] && exit {int(not reads_netrc)}
            tr '\\0' ' ' </proc/$$/cmdline >'{tmp_path}/cmdline'
            stat -c %a '{tmp_path}/pip.log' >'{tmp_path}/mode'
            echo "$PIP_INDEX_URL" >'{tmp_path}/url'
            [ -z "$NETRC" ] || stat -c %a "$NETRC" >'{tmp_path}/netrc-mode'
            [ -z "$NETRC" ] || cp "$NETRC" '{tmp_path}/netrc'
            echo "Could not fetch URL $PIP_INDEX_URL/h5py/"; echo "and {URL}"
            exit {rc}
            """
        )
        file.chmod(0o755)
        return file

    return pip


def install(run_module: Run, python: Path, tmp_path: Path, url: str = URL) -> dict[str, Any]:
    argv = [str(python), "-m", "pip", "install", "h5py"]
    return run_module("logged_command", argv=argv, log=tmp_path / "pip.log", index_url=url)


@pytest.mark.parametrize("url", ["", URL])
def test_pip_has_a_temporary_directory_on_the_disk_of_the_stack_root(run_module: Run, tmp_path: Path, url: str) -> None:
    """Pip unpacks all packages there, 170 MB, before it moves them: /tmp can be smaller, and on another disk."""
    argv = ["sh", "-c", 'stat -c "%a %n" "$TMPDIR"; touch "$TMPDIR/unpacked"']
    log = tmp_path / "logs" / "pip.log"
    said = run_module("logged_command", argv=argv, log=log, index_url=url or None, pip_source="mirror")
    mode, temporary = said["printed"].split()
    assert (mode, Path(temporary).parent) == ("700", log.parent)
    assert list(log.parent.iterdir()) == [log]


@pytest.mark.parametrize("reads_netrc", [True, False])
def test_token_of_an_index_reaches_neither_process_list_nor_log(
    run_module: Run, pip: Callable[..., Path], tmp_path: Path, reads_netrc: bool
) -> None:
    said = install(run_module, pip(reads_netrc=reads_netrc), tmp_path)
    assert TOKEN not in (tmp_path / "cmdline").read_text()
    assert (tmp_path / "mode").read_text() == "600\n"
    log = (tmp_path / "pip.log").read_text()
    assert "s3cr3t" not in log + str(said)
    assert "https://***@index.example:8443/simple" in log
    assert stat.S_IMODE((tmp_path / "pip.log").stat().st_mode) == 0o644


def test_pip_that_starts_itself_again_has_the_token_in_a_netrc_and_not_in_the_url(
    run_module: Run, pip: Callable[..., Path], tmp_path: Path
) -> None:
    install(run_module, pip(reads_netrc=True), tmp_path)
    assert (tmp_path / "url").read_text() == "https://index.example:8443/simple\n"
    assert (tmp_path / "netrc-mode").read_text() == "600\n"
    kept = netrc.netrc(str(tmp_path / "netrc"))
    assert kept.authenticators("index.example") == ("bot", "", "s3cr3t/token") or kept.authenticators(
        "index.example"
    ) == ("bot", None, "s3cr3t/token")


@pytest.mark.parametrize("url", ["https://index.example/simple", f"https://{TOKEN}@index.example/simple", URL])
def test_index_of_which_no_netrc_can_be_made_is_in_the_environment_alone(
    run_module: Run, pip: Callable[..., Path], tmp_path: Path, url: str
) -> None:
    said = install(run_module, pip(reads_netrc=False), tmp_path, url)
    assert (tmp_path / "url").read_text() == f"{url}\n"
    assert not (tmp_path / "netrc").exists()
    assert "s3cr3t" not in (tmp_path / "pip.log").read_text() + str(said)


def test_failure_tells_no_token(run_module: Run, pip: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ModuleError) as caught:
        install(run_module, pip(reads_netrc=False, rc=1), tmp_path)
    assert "Could not fetch URL https://***@index.example:8443/simple" in str(caught.value)
    assert "s3cr3t" not in str(caught.value.result)
    with pytest.raises(ModuleError) as caught:
        run_module("logged_command", argv=["false", URL], log=tmp_path / "x.log")
    assert "s3cr3t" not in str(caught.value) + (tmp_path / "x.log").read_text()


@pytest.mark.slow
def test_real_pip_reads_the_netrc(run_module: Run, tmp_path: Path) -> None:
    """pip of this Python, against an index that writes down who asked."""
    asked: list[str] = []

    class Index(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(str(self.headers.get("Authorization")))
            self.send_response(404)
            self.end_headers()

        def log_message(self, *given: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://bot:{TOKEN}@127.0.0.1:{server.server_port}/simple"
        argv = [sys.executable, "-m", "pip", "install", "--retries", "0", "--target", str(tmp_path / "t"), "no-such"]
        with pytest.raises(ModuleError) as caught:
            run_module("logged_command", argv=argv, log=tmp_path / "pip.log", index_url=url)
        server.shutdown()
    assert asked[-1] == "Basic " + base64.b64encode(b"bot:s3cr3t/token").decode()
    assert "s3cr3t" not in str(caught.value) + (tmp_path / "pip.log").read_text()


PIP_CONF = """
[global]
index-url = https://bot:{token}@index.example.org/simple
timeout = 7
user = true
require-virtualenv = true
[install]
no-binary = :all:
prefix = /opt/elsewhere
trusted-host = index.example.org
    other.example.org
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("mirror", {"PIP_CONFIG_FILE": "/dev/null"}),
        (
            "host",
            {
                "PIP_CONFIG_FILE": "/dev/null",
                "PIP_INDEX_URL": "https://index.example.org/simple",
                "PIP_TIMEOUT": "7",
                "PIP_TRUSTED_HOST": "index.example.org other.example.org",
            },
        ),
    ],
)
def test_files_of_pip_say_only_where_packages_come_from(
    run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, expected: dict[str, str]
) -> None:
    """pip of this Python with a configuration of its user that would prevent an installation into a directory."""
    (tmp_path / "home" / ".config" / "pip").mkdir(parents=True)
    (tmp_path / "home" / ".config" / "pip" / "pip.conf").write_text(PIP_CONF.format(token=TOKEN))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_TARGET", "/opt/elsewhere")
    code = "import os, json; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('PIP_')}))"
    said = run_module("logged_command", argv=[sys.executable, "-c", code], log=tmp_path / "x.log", pip_source=source)
    got = json.loads(said["printed"])
    # The machine's own files may name more of the connection.
    assert {name: got.get(name) for name in expected} == expected
    assert not {"PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PIP_NO_BINARY", "PIP_PREFIX", "PIP_TARGET"} & got.keys()
    assert "s3cr3t" not in (tmp_path / "x.log").read_text()


def test_pip_that_cannot_list_its_settings_gets_those_that_let_it_install(run_module: Run, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$3" = config ] && exit 2\nenv\n')
    python.chmod(0o755)
    run_module("logged_command", argv=[str(python)], log=tmp_path / "x.log", pip_source="host")
    assert {"PIP_USER=0", "PIP_REQUIRE_VIRTUALENV=0"} <= set((tmp_path / "x.log").read_text().splitlines())


@pytest.mark.slow
def test_real_pip_installs_into_a_directory_in_spite_of_its_configuration(
    run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(tmp_path / "wheels")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".config" / "pip").mkdir(parents=True)
    (tmp_path / "home" / ".config" / "pip" / "pip.conf").write_text(PIP_CONF.format(token=TOKEN))
    options = ["--no-index", "--find-links", str(tmp_path / "wheels"), "--target", str(tmp_path / "t"), "small"]
    argv = [sys.executable, "-m", "pip", "install", "--no-cache-dir", *options]
    with pytest.raises(ModuleError):
        run_module("logged_command", argv=argv, log=tmp_path / "x.log")
    run_module("logged_command", argv=argv, log=tmp_path / "x.log", pip_source="mirror")
    assert (tmp_path / "t" / "small.py").read_text() == "x = 1\n"


def wheel(folder: Path) -> None:
    """Write the wheel of a package with one module."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "small-1-py3-none-any.whl", "w") as file:
        file.writestr("small.py", "x = 1\n")
        file.writestr("small-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1\n")
        file.writestr(
            "small-1.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr("small-1.dist-info/RECORD", "")
