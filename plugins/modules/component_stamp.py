#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: component_stamp
short_description: Record that a component of a generation was built, or remove that record
description:
  - The stamp is removed before the component is built, and written after the build. So a build that was killed resumes
    at the component at which it stopped.
  - While one of its components is built again, a generation is not complete. So its seal is removed first.
  - What the component creates or writes between V(absent) and V(present) is recorded as installed by it. A generation
    with anything else is not sealed. What an interrupted build left is removed before the next one begins.
options:
  generation:
    description: The generation's directory.
    type: path
    required: true
  component:
    description: The component's name.
    type: str
    required: true
  digest:
    description: The digest of everything that the component was built from.
    type: str
    default: ''
  evidence:
    description: What the trial of the component showed. A stamp without evidence is refused.
    type: raw
  state:
    description: V(absent) before the build, V(present) after it.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Stamp Torch
  neuraltalk.provision.component_stamp:
    generation: /opt/neuraltalk/generations/0a1b2c3d4e5f6071
    component: torch
    digest: 9f86d081
    evidence: "{{ loaded.evidence }}"
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
removed:
  description: How many files and directories of an interrupted build were removed.
  returned: for O(state=absent)
  type: int
component:
  description: The component and its change, for the plan and the report.
  returned: for O(state=present)
  type: dict
  contains:
    name:
      description: The component's name.
      type: str
    change:
      description: V(build) if the component is built, V(keep) if it stays.
      type: str
    evidence:
      description: What the trial of the component showed; null if it will be built, in check mode.
      type: raw
"""

import json
import os
import time

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host import installed
from ..module_utils.host.errors import StackError
from ..module_utils.host.files import read_json, remove, sync, sync_tree, write_whole
from ..module_utils.host.outcome import run_module
from ..module_utils.host.stamps import stamp_path


def stamp(module):
    """The result of the module: the component and its change."""
    options = module.params
    path = stamp_path(options["generation"], options["component"])
    recorded = read_json(path) or {}
    before = recorded.get("digest", "")
    if options["state"] == "absent":
        removed = 0
        if not module.check_mode:
            removed = installed.begin(options["generation"], options["component"])
            remove(path)
            if before:
                sync(os.path.dirname(path))
        return {"changed": bool(before), "removed": removed}
    changed = before != options["digest"]
    if changed and not module.check_mode:
        if not options["evidence"]:
            raise StackError("there is no evidence that %s works, so no stamp is written" % options["component"])
        stamp = {"digest": options["digest"], "evidence": options["evidence"], "built": int(time.time())}
        text = json.dumps(stamp, sort_keys=True) + "\n"
        installed.end(options["generation"], options["component"], text)
        sync_tree(options["generation"])  # after a power cut too, a stamp means that everything is there
        write_whole(path, text)
        installed.finish(options["generation"])
    return {
        "changed": changed,
        "component": {
            "name": options["component"],
            "change": "build" if changed else "keep",
            "evidence": (None if module.check_mode else options["evidence"]) if changed else recorded.get("evidence"),
        },
        "diff": {
            "before_header": options["component"],
            "after_header": options["component"],
            "before": "%s %s\n" % (options["component"], before or "not built"),
            "after": "%s %s\n" % (options["component"], options["digest"]),
        },
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "generation": {"type": "path", "required": True},
            "component": {"type": "str", "required": True},
            "digest": {"type": "str", "default": ""},
            "evidence": {"type": "raw"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    run_module(module, stamp)


if __name__ == "__main__":
    main()
