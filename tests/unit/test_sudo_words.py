"""What sudo prints when a task begins: the sudo of most systems, and sudo-rs of Ubuntu 26.04, which has other words."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.plugins.loader import become_loader, shell_loader

from plugins.callback import bounded_events

KEY = "uidkangmlvptbwzhnvgxdzkoklsukr"
PROMPT = f"[sudo via ansible, key={KEY}] password:"
BEGUN = f"BECOME-SUCCESS-{KEY}"


@pytest.fixture
def sudo() -> Any:
    """Ansible's plugin for sudo, as `ansible-playbook` with our callback uses it."""
    plugin = become_loader.get("sudo")
    assert type(plugin).check_success is bounded_events.check_success
    plugin.prompt, plugin.success = PROMPT, BEGUN
    return plugin


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (PROMPT, "password_prompt"),
        (f"[sudo: {PROMPT}] Password: ", "password_prompt"),
        # A local connection passes on all lines since the last prompt, and not one line.
        (f"sudo: unable to resolve host x\n[sudo: {PROMPT}] Password: ", "password_prompt"),
        ("Sorry, try again.", "incorrect_password"),
        ("sudo: Authentication failed, try again.", "incorrect_password"),
        ("sudo: a password is required", "missing_password"),
        ("sudo: interactive authentication is required", "missing_password"),
        (BEGUN, "success"),
        (f"welcome {BEGUN}", "success"),
        ("sudo: I'm sorry ops. I'm afraid I can't do that", ""),
        # sudo quotes the command, with the words that only the command prints.
        (f"Sorry, user ops is not allowed to execute '/bin/sh -c echo {BEGUN} ; python3' as root on node1.", ""),
    ],
)
def test_words_of_every_sudo_are_understood(sudo: Any, line: str, kind: str) -> None:
    kinds = ("password_prompt", "incorrect_password", "missing_password", "success")
    assert [one for one in kinds if getattr(sudo, f"check_{one}")(line.encode())] == [kind] * bool(kind)


GERMAN = "#!/bin/sh\ntest ${LC_ALL:-$LANG} = C && echo a password is required || echo Ein Passwort ist notwendig\n"


@pytest.mark.parametrize("method", ["sudo", "su"])
def test_sudo_and_su_are_asked_in_english_whatever_the_language_of_the_login(method: str, tmp_path: Path) -> None:
    plugin = become_loader.get(method)
    plugin.get_option = {"become_user": "root"}.get
    program = tmp_path / method
    program.write_text(GERMAN)
    program.chmod(0o755)
    login = {"PATH": f"{tmp_path}:/usr/bin:/bin", "LANG": "de_DE.UTF-8", "LANGUAGE": "de:en"}
    argv = ["/bin/sh", "-c", plugin.build_become_command("python3", shell_loader.get("sh"))]
    answer = subprocess.run(argv, env=login, capture_output=True, text=True, check=True)
    assert answer.stdout == "a password is required\n"
    assert plugin.build_become_command("", shell_loader.get("sh")) == ""
