"""Advice for the failures of hosts, by their codes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from neuraltalk_provision import inventories
from neuraltalk_provision.errors import HostError
from neuraltalk_provision.host_names import lines
from neuraltalk_provision.site import codes, host_key
from neuraltalk_provision.site.events import Failure

UNCHANGED = "Nothing was changed on any host."
LEAVE_OUT = f"{UNCHANGED} To leave out a host, give --limit '!HOST'."
ADVICE: Mapping[str, str] = {
    codes.SUDO_PASSWORD: "sudo asks for a password: set ansible_become_password, or allow NOPASSWD in sudoers. "
    + inventories.ADVICE,
    codes.SUDO_PASSWORD_WRONG: "the host does not accept this ansible_become_password. sudo wants the password of the "
    "login user, su that of the other user: correct it for this host before the account is locked",
    codes.SUDO_DENIED: "the login user is not allowed to use sudo: choose another ansible_user, or allow it in sudoers",
    codes.SSH_LOGIN: "the SSH login was refused: check ansible_user and the SSH key; a key with a passphrase must be "
    "in the ssh agent (ssh-add). If publickey is not in the brackets below, the server wants a password or a second "
    "factor, which nobody can type here: let sshd accept the key alone for this user (AuthenticationMethods)",
    codes.SSH_HOST_KEY: "the SSH host key is unknown: log in once by hand, or add the key to known_hosts",
    codes.SSH_HOST_KEY_CHANGED: "the SSH host key has changed: either the host was installed again, or another machine "
    "answers in its place. Check first which it is; then remove the old key with `ssh-keygen -R HOST`",
    codes.SSH_HOST_KEY_REVOKED: "the SSH host key is marked as revoked in known_hosts, because it was stolen or "
    "replaced: do not log in; give the host a new key",
    codes.SSH_KEY_FILE: "the SSH login was refused, and ssh could not use a key file (see below). It must exist, and "
    "only you may be able to read it (chmod 600). A relative path counts from the directory in which you run "
    "provision, as with ansible; {{ inventory_dir }}/KEY counts from the inventory",
    codes.SSH_CONFIG: "ssh does not accept its configuration or one of its options (see below): check "
    "ansible_ssh_common_args, ansible_ssh_extra_args and the file that they name. A relative path counts from the "
    "directory in which you run provision",
    codes.SSH_TOO_MANY_KEYS: "the SSH server ended the login after too many keys, because ssh offers every key of the "
    "agent: set ansible_ssh_private_key_file, and -o IdentitiesOnly=yes in ansible_ssh_common_args",
    codes.SSH_ALGORITHMS: "ssh and the SSH server have no algorithm in common, as with old systems. Allow in "
    "ansible_ssh_common_args what the server offers (see below), for example -o HostKeyAlgorithms=+ssh-rsa "
    "-o PubkeyAcceptedAlgorithms=+ssh-rsa",
    codes.SSH_DROPPED: "the SSH server, or a bastion before it, closed the connection before the login, again and "
    "again. Its MaxStartups is probably too low for so many logins at once: lower forks in provision.yml, for example "
    "to 5, or raise MaxStartups in its sshd_config. If this is always the same host, it does not let this user in: see "
    "its log (journalctl -u ssh), and pam_access",
    codes.SSH_NOT_NOW: "the SSH server closed the connection and said why (see below): the host is booting or shutting "
    "down, somebody has forbidden logins for a time (/etc/nologin), or this user may not log in. Wait, or remove the "
    "cause, and run the same command again",
    codes.SSH_SILENT: "something accepts the connection but does not answer: the host hangs or is overloaded, or "
    "another service has this port: look at the host's console, and check ansible_host and ansible_port",
    codes.HOST_HANGS: "the task did not end in the time that it may take. Usually a disk or a network file system "
    "(NFS) of the host does not answer: look there for processes in state D (ps -eo stat,pid,args), and at dmesg. A "
    "login script that reads its standard input (`read` or `cat` in ~/.bashrc) hangs too",
    codes.UNREACHABLE: "the host cannot be reached by SSH: check ansible_host, the network and sshd",
    codes.LIMIT_REACHED: "a limit of open files or processes was reached. If the message is Ansible's own (Task "
    "failed), it is a limit of this machine: raise it (`ulimit -n`, `ulimit -u`), or lower forks in provision.yml",
    codes.DISK_FULL: "the disk is full: free some space and run the same command again; it continues where it stopped",
    codes.MEMORY_FULL: "there is not enough memory: free some, or use less (build_jobs in provision.yml, "
    "`provision data prepare --jobs N`)",
    codes.DISK_BROKEN: "the disk or the file system reports errors: check dmesg on that host",
    codes.FILE_DENIED: "permission was denied: set ansible_become, or make the file system writable",
    codes.PATH_LONG: "a path is longer than the file system allows (4,095 bytes, and 255 for a name): choose a shorter "
    "one, for example for stack_root",
    codes.SUDO_TTY: "sudo demands a terminal on this host (requiretty): set ansible_pipelining: false for it, or allow "
    "it in sudoers with `Defaults:USER !requiretty`",
    codes.SUDO_SILENT: "the login succeeded, but sudo, or what else ansible_become_method names, did not answer in "
    "time. Either it asks for a password, as su always does: set ansible_become_password; or it is slow, because it "
    "asks for a name or an LDAP server (`time sudo -n true` there shows it): set ansible_timeout to more seconds; or a "
    "login script reads its standard input or starts another shell, so that sudo is never started (`cat` or `exec zsh` "
    "in ~/.bashrc): let it do so only in a terminal (`case $- in *i*)`)",
    codes.SUDO_MISSING: "the host has no sudo: install it, or set ansible_become_method to what the host has (su, or "
    "community.general.doas)",
    codes.BECOME_UNKNOWN: "Ansible on this machine has no such ansible_become_method. It has sudo and su; others come "
    "with a collection: `ansible-galaxy collection install community.general`, then for example community.general.doas",
    codes.SUDO_NOEXEC: "the login user can start this Python, but not with sudo, which forbids there that programs "
    "start others (noexec). Allow it in sudoers with `Defaults:USER !noexec`; if instead root may not enter the "
    "directory of this Python, set ansible_python_interpreter to another one",
    codes.SUDO_PYTHON: "every Python of this host starts for the login user, but with sudo it does not: probably sudo "
    "sets or keeps a variable that Python reads, such as PYTHONHOME or PYTHONPATH (`sudo env | grep PYTHON` shows it): "
    "remove it from env_keep, or from the file of env_file, in sudoers",
    codes.LOGIN_SHELL: "the login shell of this user runs no commands: choose another ansible_user, or give this one a "
    "shell (usermod -s /bin/sh USER); ForceCommand in sshd_config and command= in authorized_keys do the same",
    codes.LOGIN_INPUT: "every Python of this host starts, but what Ansible sends does not reach it: probably a login "
    "script reads its standard input (`read` or `cat` in ~/.bashrc). Let it do so only in a terminal (`case $- in "
    "*i*)`), or set ansible_pipelining: false for this host",
    codes.LOGIN_EXPIRED: "the account or its password has expired: log in once by hand and change it, or use another "
    "ansible_user",
    codes.TEMPORARY: "the user who logs in cannot create Ansible's temporary directory: create /var/tmp with "
    "mode 1777, or set ansible_remote_tmp to a directory that this user can write and Ansible's other user can read",
    codes.PYTHON_OLD: "no Python of this host is new enough for the ansible-core of this machine",
    codes.PYTHON_BROKEN: "the host's Python does not start: repair it (apt-get install --reinstall, dnf reinstall), or "
    "set ansible_python_interpreter to another one",
    codes.PYTHON_DENIED: "the host's Python may not be started: allow it (chmod a+rx), or set "
    "ansible_python_interpreter to another one",
    codes.PYTHON_MISSING: "no Python was found on the host: set ansible_python_interpreter",
    codes.INVENTORY_VAULT: "the inventory contains values that were encrypted with ansible-vault, and they cannot be "
    "decrypted: set ANSIBLE_VAULT_PASSWORD_FILE as for ansible-playbook. provision reads no ansible.cfg of yours",
    codes.CUDNN_IN_USE: "end the processes that use this cuDNN, or replace it with `provision cudnn swap "
    "--in-use`: they keep the old library until they end",
    codes.CUDNN_FOREIGN: "the installed cuDNN is newer than the mirror's, or a mix of versions: `provision cudnn swap "
    "--foreign` replaces it and keeps a backup",
    codes.ACTIVATION_TIMER: "the host cannot arm the timer that returns it if this machine is lost, so nothing was "
    "activated: repair what is named below, or set return_after: 0 in provision.yml to activate without a timer",
    codes.ACTIVATION_RETURNED: "the activation took longer than return_after in provision.yml, or the host was "
    "rebooted, and the host is back at its former generation: if it is only slow, set return_after to a longer time; "
    "then run the same command again",
    codes.BUG: "this is a bug in neuraltalk-provision: report it and attach the log of this command",
}


def explain(failure: Failure) -> str:
    """A failure as text: the host, the task, the advice if the cause is known, and the host's own message.

    Further lines of the message are indented: a host could otherwise print a line that begins with `next:`, as ours do.
    """
    changed = host_key.changed(failure.message) if failure.code == codes.SSH_HOST_KEY_CHANGED else None
    advice = changed.advice(failure.host) if changed else ADVICE.get(failure.code, "")
    where = f"{failure.host}: " if failure.unreachable or not failure.task else f"{failure.host}, {failure.task}: "
    message = failure.message.replace("\n", "\n  ")
    return f"{where}{advice}\n  {message}" if advice else f"{where}{message}"


def host_error(
    failures: Iterable[Failure], *, advice: str = "", document: Mapping[str, Any] | None = None
) -> HostError:
    """The error that names every host that failed; its document contains the failures as data."""
    listed = tuple(failures)
    data = {"failures": [asdict(failure) for failure in listed]}
    told = lines((failure.host, explain(failure)) for failure in listed)
    return HostError("\n".join(told), advice=advice, document={**(document or {}), **data})
