# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
name: artifact_path
short_description: The path of a mirror file on a host
description:
  - Returns the path under which the role C(neuraltalk.provision.artifact) keeps a file of the mirror on a host.
positional: directory
options:
  _input:
    description: A file of the mirror's lock, with C(file) and C(sha256).
    type: dict
    required: true
  directory:
    description: The directory on the host that keeps artifacts.
    type: str
    required: true
author: the neuraltalk-provision authors
"""

EXAMPLES = r"""
- name: Show the path of the archive
  ansible.builtin.debug:
    msg: "{{ artifact_file | neuraltalk.provision.artifact_path('/opt/neuraltalk/artifacts') }}"
"""

RETURN = r"""
_value:
  description: The path.
  type: str
"""

from ansible.errors import AnsibleFilterError

from ..module_utils.rules.artifacts import path_of


def artifact_path(file, directory):
    """The path on a host of a file from the mirror's lock."""
    try:
        return path_of(directory, file)
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError("artifact_path needs an entry of the lock, with `file` and `sha256`: %r" % error)


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"artifact_path": artifact_path}
