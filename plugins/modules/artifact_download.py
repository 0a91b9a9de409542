#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: artifact_download
short_description: Download an artifact from a web server that serves the mirror
description:
  - Downloads a file of the mirror and verifies its sha256 before it gets its name. A download that was cut off
    continues where it stopped, also in a later run.
  - Only the given server is used. A redirect to another server or to unencrypted HTTP is refused.
options:
  artifact:
    description: The artifact's name in the mirror's lock.
    type: str
    required: true
  file:
    description: The artifact's file name in the mirror.
    type: str
    required: true
  url:
    description: The address of the file, without user and password.
    type: str
    required: true
  login:
    description:
      - The user and the password for the server, as C(user:password), percent-encoded as in a URL. Empty for none.
      - They are sent only with HTTPS.
    type: str
    default: ""
  ca:
    description:
      - The certificates of the CAs that are accepted, as text (PEM). Empty for those that the host accepts.
    type: str
    default: ""
  path:
    description: The path of the file on the host.
    type: path
    required: true
  sha256:
    description: The sha256 in the mirror's lock.
    type: str
    required: true
  size:
    description: The size in the mirror's lock, in bytes; 0 if it is not known.
    type: int
    required: true
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Download torch.tgz
  neuraltalk.provision.artifact_download:
    artifact: torch
    file: torch.tgz
    url: https://mirror.example.org/neuraltalk/torch.tgz
    login: "{{ mirror_login }}"
    ca: "{{ lookup('ansible.builtin.file', 'ca.pem') }}"
    path: /opt/neuraltalk/artifacts/9f86d081884c7d65-torch.tgz
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    size: 13217739
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
tries:
  description: How many connections were needed.
  returned: success
  type: int
received:
  description: How many bytes were moved.
  returned: success
  type: int
continued:
  description: At which byte the download continued that an earlier run had begun.
  returned: success
  type: int
seen:
  description: The sha256 of what the server sent, if it sent something else; empty if it was not read to its end.
  returned: failure
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host import download
from ..module_utils.host.errors import StackError
from ..module_utils.host.outcome import run_module
from ..module_utils.host.places import unsafe


def work(module):
    """The result of the module: how the file was downloaded."""
    options = dict(module.params)
    login, ca = options.pop("login"), options.pop("ca")
    if module.check_mode:
        return {"changed": True, "tries": 0, "received": 0, "continued": 0}
    for reason in unsafe(os.path.dirname(options["path"]))[:1]:
        raise StackError(
            "artifact %s: a file in %s could be replaced while it is downloaded, because %s. Then run the same command "
            "again" % (options["artifact"], os.path.dirname(options["path"]), reason)
        )
    return dict(download.fetch(download.Wanted(**options), login, ca), changed=True)


def main():
    module = AnsibleModule(
        argument_spec={
            "artifact": {"type": "str", "required": True},
            "file": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "login": {"type": "str", "default": "", "no_log": True},
            "ca": {"type": "str", "default": ""},
            "path": {"type": "path", "required": True},
            "sha256": {"type": "str", "required": True},
            "size": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
