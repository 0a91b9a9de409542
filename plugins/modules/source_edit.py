#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: source_edit
short_description: Apply the catalogue's edits to an unpacked source tree
description:
  - Each edit has a file, a literal pattern, a replacement, the number of times that the pattern must occur, and the
    reason. If a number differs, the error shows the lines that were found, and no file of the tree is changed.
  - The edits are recorded in the tree, with the digests of the edited files. So a second run changes nothing.
options:
  root:
    description: The top of the source tree.
    type: path
    required: true
  edits:
    description: The edits; each has C(file), C(pattern), C(replacement), C(count) and C(reason).
    type: list
    elements: dict
    required: true
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
    details: If the tree is not there yet, a change is reported. The controller has checked the edits in the mirror.
  diff_mode:
    support: full
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Edit loadcaffe for protobuf 3.21
  neuraltalk.provision.source_edit:
    root: /opt/neuraltalk/build/0a1b/loadcaffe
    edits:
      - file: loadcaffe.cpp
        pattern: SetTotalBytesLimit(1073741824, 536870912)
        replacement: SetTotalBytesLimit(1073741824)
        count: 1
        reason: protobuf 3.21 removed the second argument
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
files:
  description: The files that were edited, or would be.
  returned: success
  type: list
  elements: str
"""

import io
import os

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.errors import StackError
from ..module_utils.rules.edits import EditError, apply_edits, by_file
from ..module_utils.host.files import file_sha256, read_json, write_json, write_whole
from ..module_utils.host.outcome import run_module
from ..module_utils.host.texts import as_native, as_text

RECORD = ".provision-edits.json"


def _read(path):
    with io.open(path, encoding="utf-8", newline="") as file:
        return file.read()


def _as_texts(edit):
    return dict((key, as_text(value)) for key, value in edit.items())


def plan_edits(root, edits):
    """[(path, text before, text after)] of the files to edit. EditError if an edit does not match."""
    planned = []
    for name, of_file in by_file(edits):
        path = os.path.join(root, as_native(name))
        if not os.path.isfile(path):
            raise EditError("%s: the source tree has no such file" % path)
        before = _read(path)
        planned.append((path, before, apply_edits(before, of_file)))
    return planned


def already_applied(root, edits):
    """Whether the record in the tree lists these edits and the edited files are unchanged since then."""
    record = read_json(os.path.join(root, RECORD))
    if not record or record.get("edits") != edits:
        return False
    return all(
        os.path.isfile(os.path.join(root, name)) and file_sha256(os.path.join(root, name)) == digest
        for name, digest in as_native(record["files"]).items()
    )


def work(module):
    """The result of the module: the edited files, each with its diff."""
    # As text, as the files that are edited and the record: the options are bytes in Python 2.7.
    root, edits = module.params["root"], [_as_texts(edit) for edit in module.params["edits"]]
    names = [as_native(name) for name, _edits in by_file(edits)]
    if os.path.isdir(root) and already_applied(root, edits):
        return {"changed": False, "files": names}
    if not os.path.isdir(root) and module.check_mode:
        # The tree is not unpacked yet. The controller has checked the edits against the archive in the mirror.
        return {"changed": bool(edits), "files": names}
    try:
        planned = plan_edits(root, edits)
    except EditError as error:
        raise StackError(error.args[0])  # str() of it fails at an accented letter in Python 2.7
    if not module.check_mode:
        for path, _before, after in planned:
            write_whole(path, after, os.stat(path).st_mode & 0o7777)
        digests = dict((name, file_sha256(os.path.join(root, name))) for name in names)
        write_json(os.path.join(root, RECORD), {"edits": edits, "files": digests})
    diff = [
        {"before_header": path, "after_header": path, "before": before, "after": after}
        for path, before, after in planned
    ]
    return {"changed": bool(planned), "files": names, "diff": diff}


def main():
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "edits": {"type": "list", "elements": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
