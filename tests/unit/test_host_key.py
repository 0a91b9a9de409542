"""A host key that has changed is called changed, with its place in known_hosts and the command that removes it."""

from __future__ import annotations

import pytest

from neuraltalk_provision.site import advice, codes, events, host_key
from neuraltalk_provision.site.host_key import ChangedKey

MARKS = "@" * 59
# What OpenSSH 9.2 prints, as Ansible passes it on.
CHANGED = f"""Task failed: Data could not be sent to remote host "192.0.2.11". Make sure this host can be reached over \
ssh: {MARKS}\r
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r
{MARKS}\r
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r
The fingerprint for the ED25519 key sent by the remote host is
SHA256:5LkN4pUfJGebg6VY1GlPcxDMJVxVcH0Ph50fqh8+TeA.\r
Please contact your system administrator.\r
Add correct host key in FILE to get rid of this message.\r
Offending ED25519 key in FILE:2\r
  remove with:\r
  ssh-keygen -f "FILE" -R "NAME"\r
Host key for NAME has changed and you have requested strict checking.\r
Host key verification failed.\r
"""


def message(file: str = "/home/ops/.ssh/known_hosts", name: str = "192.0.2.11") -> str:
    return CHANGED.replace("FILE", file).replace("NAME", name)


@pytest.mark.parametrize(
    ("file", "name", "command"),
    [
        ("/home/ops/.ssh/known_hosts", "192.0.2.11", "ssh-keygen -f /home/ops/.ssh/known_hosts -R 192.0.2.11"),
        ("known hosts", "[node1]:2201", "ssh-keygen -f 'known hosts' -R '[node1]:2201'"),
        ("/a:3/k", "$(id)", "ssh-keygen -f /a:3/k -R '$(id)'"),
    ],
)
def test_changed_key_is_told_with_its_place_and_the_command_that_removes_it(file: str, name: str, command: str) -> None:
    data = {"host": "node1", "task": "Ask", "res": {"msg": message(file, name)}}
    failure = events.failure({"event": "runner_on_unreachable", "event_data": data})
    assert failure
    assert failure.code == codes.SSH_HOST_KEY_CHANGED
    said = advice.explain(failure).splitlines()[0]
    assert f"the SSH host key of {name} has changed: it is not the one in {file}, line 2." in said
    assert said.index("Check first") < said.index(f"`{command}`")
    assert "/etc/ssh/ssh_host_ed25519_key.pub" in said
    assert "unknown" not in said


def test_kind_of_the_key_is_the_one_that_the_host_sent() -> None:
    found = host_key.changed(message().replace("for the ED25519", "for the ECDSA"))
    assert found
    assert "/etc/ssh/ssh_host_ecdsa_key.pub" in found.advice("node1")


@pytest.mark.parametrize("given", [{}, {"code": codes.SSH_HOST_KEY_CHANGED}])
def test_host_that_answers_cannot_say_that_the_key_of_another_machine_has_changed(given: dict[str, str]) -> None:
    """Its user would remove the key of the bastion, and accept the next one that comes."""
    data = {"host": "node1", "task": "Ask", "res": {"msg": message(name="bastion"), "failed": True, **given}}
    failure = events.failure({"event": "runner_on_failed", "event_data": data})
    assert failure
    assert not failure.code.startswith("ssh.")
    assert "ssh-keygen -f /home/ops/.ssh/known_hosts -R" not in advice.explain(failure).replace(message(), "")


def test_changed_key_of_another_name_is_told_with_a_warning() -> None:
    """Ansible takes what a program prints that ends with 255 for the words of ssh."""
    warning = "If bastion is not the address of node1, nor a machine on the way to it, node1 has only printed"
    for name, host, warned in (("bastion", "node1", True), ("node1", "node1", False)):
        found = host_key.changed(message(name=name))
        assert found
        assert (warning in found.advice(host)) is warned


def test_key_of_an_address_and_of_an_older_openssh_is_found() -> None:
    text = (
        "Offending key for IP in /k:7\nRSA host key for 192.0.2.1 has changed and you have requested strict checking."
    )
    assert host_key.changed(text) == ChangedKey("192.0.2.1", "/k", 7)
    assert host_key.changed("Host key verification failed.") is None
