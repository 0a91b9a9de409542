"""Errors that ansible-playbook reports before it connects to any host, as errors for the user. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from neuraltalk_provision import inventories
from neuraltalk_provision.errors import HostError, ProvisionError, UsageError
from neuraltalk_provision.host_names import lines, named
from neuraltalk_provision.site import codes
from neuraltalk_provision.site.events import Failure, PlayResults

# A range as in inventories. In a pattern, Ansible reads it as the position of hosts in a group.
_RANGE = re.compile(r"(?P<before>[^,\s]*)\[(?P<first>\d{1,9})[:-](?P<last>\d{1,9})\](?P<after>[^,\s]*)")
_UNMATCHED = re.compile(r"Could not match supplied host pattern,\s+ignoring:\s+([^\n]{1,300})")
OF_THE_USER = frozenset({"state.yml", "runs.yml", "run.yml", "run_info.yml", "push_check.yml"})
"""The playbooks whose limit a user wrote. That of the others consists of hosts that the inventory had before."""
REMOVED = "the inventory does not have it any more"
_MOST_NAMES = 5
_MOST_FILES = 20


def error(text: str, inventory: str, limit: Sequence[str], place: str) -> ProvisionError | None:
    """The error that these warnings of Ansible mean; None if they are not known to be errors.

    `inventory` names the inventories, and `place` is the directory from which Ansible counts relative paths.
    """
    match codes.of_play(text):
        case codes.INVENTORY_UNREADABLE:
            return UsageError(f"Ansible cannot read the inventory {inventory}:\n{text}", advice=inventories.ADVICE)
        case codes.INVENTORY_VAULT:
            return UsageError(
                f"Ansible has no password for what was encrypted with ansible-vault in the inventory {inventory}, or "
                f"cannot read its vault password file:\n{text}",
                advice="Set ANSIBLE_VAULT_PASSWORD_FILE or ANSIBLE_VAULT_IDENTITY_LIST as for ansible-playbook; a "
                f"relative path counts from {place}. provision reads no ansible.cfg of yours.",
            )
        case codes.LIMIT_FILE_MISSING:
            files = ", ".join(one for one in limit if "@" in one)
            return UsageError(
                f"--limit {files}: there is no such file, or it cannot be read; a relative path counts from {place}"
            )
        case codes.INVENTORY_NO_MATCH:
            names, comment = _unmatched(text, limit)
            return UsageError(
                f"the inventory {inventory} has no host or group called {names}",
                advice=f"`ansible-inventory -i INVENTORY --graph` lists its hosts and groups.{_about_ranges(limit)}"
                f"{comment}",
            )
        case codes.LIMIT_INVALID:
            return UsageError(
                f"Ansible does not understand --limit {','.join(limit)}:\n{text}",
                advice="Give names of hosts and groups, separated by commas; `!NAME` leaves one out, and ~ begins a "
                "regular expression. GROUP[0] is the first host of a group, if it has one.",
            )
        case codes.PASSWORD_FILE:
            return UsageError(
                f"Ansible cannot use a password file:\n{text}",
                advice="Correct ANSIBLE_BECOME_PASSWORD_FILE or ANSIBLE_CONNECTION_PASSWORD_FILE, or unset it; a "
                f"relative path counts from {place}.",
            )
        case codes.SETTING_INVALID:
            return UsageError(
                f"Ansible does not accept a setting:\n{text}",
                advice="Correct or unset that variable of the environment (ANSIBLE_*).",
            )
    return None


def unfinished(
    playbook: str, code: int, text: str, files: Sequence[str], results: PlayResults, variables: Sequence[str]
) -> ProvisionError:
    """The error for a playbook that did not come to its end, or ended with a failure of no host.

    `files` are files of variables that Ansible cannot read, each with its reason, and `variables` those of the
    environment that change what Ansible does.
    """
    if files and not results.tasks:
        listed = "\n".join(files[:_MOST_FILES]) + ("\n..." if len(files) > _MOST_FILES else "")
        return UsageError(
            f"Ansible cannot read the variables of groups or hosts:\n{listed}\nAnsible says:\n{text}",
            advice="Correct the file, or move it away, and try again.",
        )
    where = ""
    if not results.finished:
        where = (
            " before its end, so nobody knows what it did on the hosts" if results.tasks else " before it asked a host"
        )
    told = lines((one.host, f"{one.host}: {one.message}") for one in results.failures)
    told[_MOST_NAMES:] = [f"and {len(told) - _MOST_NAMES} more: see the log"] * (len(told) > _MOST_NAMES)
    failed = "".join(f"\n{line}" for line in told)
    found = "".join(f"\nAnsible cannot read {one}" for one in files[:_MOST_FILES])
    also = f"; of the environment, provision passes on {', '.join(variables)}" if variables else ""
    return HostError(
        f"ansible-playbook {playbook} ended with exit code {code}{where}:\n"
        f"{text or 'Ansible printed nothing'}{found}{failed}",
        advice="The message does not come from a host. If Ansible was killed, for example because this machine has too "
        "little memory, use fewer forks and run the same command again. `ansible-inventory -i INVENTORY --list` shows "
        f"whether Ansible can read the inventory with its group_vars and host_vars{also}. The log has all that Ansible "
        "printed.",
    )


def with_removed(code: int, results: PlayResults, playbook: str, hosts: Sequence[str]) -> tuple[int, PlayResults]:
    """The exit code and the results, in which those of these hosts have failed that the inventory has lost.

    An inventory that asks a cloud loses a host that is switched off, and that must not stop what is done on the others.
    If it has lost all of these hosts, Ansible ended before the playbook.
    """
    unmatched = {one: found[1].strip() for one in results.early if (found := _UNMATCHED.search(one))}
    lost = [host for host in hosts if host in unmatched.values()]
    if not lost or playbook in OF_THE_USER:
        return code, results
    failures = (*results.failures, *(Failure(host, "", REMOVED, code=codes.HOST_REFUSED) for host in lost))
    if len(lost) == len(hosts):
        return 0, PlayResults(failures=failures)
    early, warnings = (
        tuple(one for one in told if unmatched.get(one) not in lost) for told in (results.early, results.warnings)
    )
    return code, replace(results, failures=failures, early=early, warnings=warnings)


def _unmatched(text: str, limit: Sequence[str]) -> tuple[str, str]:
    """(the names that match nothing, advice about comments in a file of names)."""
    given = ",".join(limit).split(",")
    found = [name.strip().replace("\ufeff", "\\ufeff") for name in dict.fromkeys(_UNMATCHED.findall(text))]
    # Ansible leaves out the range in brackets.
    names = [next((one for one in given if one.startswith(f"{name}[")), name) for name in found]
    of_limit = f", which --limit {named(limit)} names" if names and names != list(limit) else ""
    comment = " Lines of a file that begin with # count as names too." if any("#" in name for name in names) else ""
    return f"{named(names or limit)}{of_limit}", comment


def _about_ranges(limit: Sequence[str]) -> str:
    """What a range of names in --limit means; empty if there is none."""
    found = _RANGE.search(",".join(limit))
    if found is None:
        return ""
    first, last = int(found["first"]), int(found["last"])
    numbers = [str(number).zfill(len(found["first"])) for number in range(first, min(last + 1, first + _MOST_NAMES))]
    names = ",".join(f"{found['before']}{number}{found['after']}" for number in numbers)
    more = ",..." if last - first >= _MOST_NAMES else ""
    return (
        f" In --limit, Ansible reads [{found['first']}:{found['last']}] as the positions of hosts in a group, and "
        "a range with a hyphen as one character; only in an inventory there are ranges of names. Write "
        f"--limit {names}{more}, or a regular expression after ~."
    )
