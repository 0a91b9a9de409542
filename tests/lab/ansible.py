"""Ansible as `provision` runs it, for tests that call ansible-playbook themselves."""

from __future__ import annotations

import os

from neuraltalk_provision import paths
from tests.lab.paths import ROOT

COLLECTIONS = ROOT / ".cache" / "collections"


def environment() -> dict[str, str]:
    """This process's environment, with the project's configuration and collection, and without colours."""
    return {
        **os.environ,
        "ANSIBLE_CONFIG": str(paths.playbooks() / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(paths.link_collection(COLLECTIONS)),
        "ANSIBLE_NOCOLOR": "1",
    }
