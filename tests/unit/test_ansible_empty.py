"""A variable that is set and empty is as one that is not set: Ansible takes it for the current directory, or for no."""

from __future__ import annotations

import pytest

from neuraltalk_provision.site import ansible_environment


def test_empty_variables_of_ansible_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANSIBLE_VAULT_PASSWORD_FILE", "ANSIBLE_BECOME_PASSWORD_FILE", "ANSIBLE_HOST_KEY_CHECKING"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("ANSIBLE_REMOTE_USER", "ops")
    monkeypatch.setenv("SUDO_PASSWORD", "")
    found = ansible_environment.variables(["SUDO_PASSWORD"])
    ansible = {
        name for name in found if name.startswith(("ANSIBLE_VAULT", "ANSIBLE_BECOME", "ANSIBLE_HOST", "ANSIBLE_REM"))
    }
    assert ansible == {"ANSIBLE_REMOTE_USER"} == set(ansible_environment.given())
    assert found["SUDO_PASSWORD"] == ""  # the inventory reads it, and says what empty means
