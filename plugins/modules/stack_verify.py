#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: stack_verify
short_description: Check that a generation is complete and works on this host
description:
  - Compares every stamp with the recipe, and every file with the manifest that was written when the generation was
    sealed. Reads the generation as another user. Loads every Lua module in its own process. Runs train.lua and eval.lua
    with C(-help). Compares the digests of the weights.
  - Reports the evidence of each check. A check without evidence fails.
options:
  generation:
    description: The generation's directory, or the link C(current).
    type: path
    required: true
  parts:
    description: The recipe's parts.
    type: list
    elements: dict
    required: true
  log:
    description: The file for the programs' output.
    type: path
    required: true
  files:
    description: Whether to hash all files of the generation. Not needed if they were hashed a moment ago.
    type: bool
    default: true
  programs:
    description:
      - Whether to run programs of the generation. If not, stamps, files, modes and weights are checked without a log.
    type: bool
    default: true
  id:
    description:
      - The generation that O(generation) has to be, if it is a link. Another host may have renamed the link a moment
        ago, and a shared disk can show that late, so the module waits for it, at most 75 seconds.
    type: str
    default: ''
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
    details: All checks run in check mode too. They write nothing but the log.
  diff_mode:
    support: N/A
    details: Nothing is changed.
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Check that the current generation works
  neuraltalk.provision.stack_verify:
    generation: /opt/neuraltalk/current
    parts: "{{ generation_recipe.parts }}"
    log: /opt/neuraltalk/current/logs/verify.log
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
checks:
  description: One entry for each check.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The name of the check.
      type: str
    passed:
      description: Whether it passed.
      type: bool
    saw:
      description: The evidence, or the reason why it failed and the last lines of the log.
      type: str
files:
  description: The files that differ from the manifest of the generation.
  returned: always
  type: dict
  contains:
    compared:
      description: Whether they could be compared; false also if O(files) is false.
      type: bool
    differing:
      description: How many differ.
      type: int
    listed:
      description:
        - The first ones, 100 at most. Each has its C(path) in the generation, the C(kind) of the difference (added,
          missing, content, mode, target, type, owner) and its C(words), the C(uid) and C(user) that it belongs to, and
          C(mtime) and C(ctime) in seconds since 1970. If the file does not exist any more, they are those of the
          directory C(of) above it.
      type: list
      elements: dict
generation:
  description: The directory that was checked, with links resolved.
  returned: always
  type: str
"""

import functools
import os

from ..module_utils.host import changed_files, manifest
from ansible.module_utils.basic import AnsibleModule
from ..module_utils.gpu.trial import try_on_card
from ..module_utils.host.commands import log_tail, run_logged, with_stack
from ..module_utils.host.errors import StackError
from ..module_utils.host.files import file_sha256, file_size, lines_since
from ..module_utils.host.links import await_link
from ..module_utils.host.lua import try_part
from ..module_utils.host.own_log import own_log
from ..module_utils.host.outcome import run_module
from ..module_utils.host.readers import check_readers
from ..module_utils.host.stamps import read_stamps
from ..module_utils.rules import checks as names


def check_stamps(generation, parts):
    stamps = read_stamps(generation)
    wrong = [part["name"] for part in parts if stamps.get(part["name"]) != part["digest"]]
    if wrong or not parts:
        raise StackError("not built as the recipe says: %s" % (", ".join(wrong) or "there is no part"))
    return "%d stamps as the recipe says" % len(parts)


def check_loads(generation, part, log):
    if part.get("role") == "gpu_stack":
        evidence = try_on_card(generation, part, log, manifest.built_for(generation))
    else:
        evidence = try_part(generation, part, log)
    return ", ".join("%(module)s %(version)s in %(seconds)s s" % entry for entry in evidence)


def check_program(generation, program, log):
    source = os.path.join(generation, "neuraltalk2")
    start = file_size(log)
    argv = with_stack(generation, ["th", program, "-help"])
    outcome = run_logged(argv, log, chdir=source, timeout=600, append=True)
    options = [line.strip() for line in lines_since(log, start) if line.strip().startswith("-")]
    if outcome["rc"] != 0 or not any(line.startswith("-language_eval") for line in options):
        raise StackError("th %s -help does not print its options" % program, tail=log_tail(log))
    return "%d options in %s s" % (len(options), outcome["seconds"])


def check_files(generation, digests, changed):
    """Compare all files with the manifest. Adds their sha256 to `digests`, and what differs to `changed`."""
    found, wrong = manifest.compare(generation)
    digests.update(found)
    changed.update(changed_files.describe(generation, wrong))
    if wrong:
        raise StackError(
            "%d files have changed since they were sealed: %s. Find out who changed them. `provision drift` gives the "
            "commands that build this generation again from the mirror" % (len(wrong), manifest.in_words(wrong))
        )
    return "%d files unchanged since they were sealed" % len(digests)


def check_weights(generation, part, digests):
    """Compare the weights with the mirror's lock: by sha256, or only by size if `digests` is None.

    `digests` is {path: sha256} of the files that were hashed already.
    """
    for file in part["files"]:
        name = os.path.join("neuraltalk2", "model", file["file"])
        path = os.path.join(generation, name)
        if not os.path.isfile(path):
            raise StackError("%s is missing" % path)
        if digests is None:
            same = os.path.getsize(path) == int(file["size"])
        else:
            same = (digests.get(name) or file_sha256(path)) == file["sha256"]
        if not same:
            raise StackError("%s is no longer the mirror's file" % path)
    return "%d files, %d bytes, as the mirror has them" % (
        len(part["files"]),
        sum(int(file["size"]) for file in part["files"]),
    )


def planned_checks(generation, parts, log, files, changed):
    """The checks to run, as [(name, function)]. A function returns the evidence or raises a StackError.

    Without a `log` no programs are run. What differs from the manifest is put into `changed`.
    """
    digests = {} if files else None  # type: dict[str, str] | None
    checks = [(names.STAMPS, functools.partial(check_stamps, generation, parts))]
    if files:
        checks.append((names.FILES, functools.partial(check_files, generation, digests, changed)))
    checks.append(("readable by other users", functools.partial(check_readers, generation, parts, log)))
    for part in parts:
        if part["loads"] and log:
            checks.append(("load " + part["name"], functools.partial(check_loads, generation, part, log)))
        if part["name"] == "neuraltalk2" and log:
            for program in ("train.lua", "eval.lua"):
                checks.append((program, functools.partial(check_program, generation, program, log)))
        if part["name"] == "vgg16":
            checks.append(("vgg16", functools.partial(check_weights, generation, part, digests)))
    return checks


def work(module):
    """The result of the module: the checks. If one failed, a StackError with all of them."""
    options = module.params
    results = []  # type: list[dict[str, object]]
    changed = dict(changed_files.NOT_COMPARED)
    if options["id"]:
        await_link(options["generation"], options["id"])
    generation = os.path.realpath(options["generation"])
    about = {"checks": results, "files": changed, "generation": generation}
    if not os.path.isdir(generation):
        raise StackError("%s: nothing is installed there" % generation, **about)
    with own_log(options["log"] if options["programs"] else "") as log:
        for name, check in planned_checks(generation, options["parts"], log, options["files"], changed):
            try:
                results.append({"name": name, "passed": True, "saw": check()})
            except StackError as error:
                tail = "\n".join(error.details.get("tail", []))
                results.append({"name": name, "passed": False, "saw": (str(error) + "\n" + tail).strip()})
    failed = [result for result in results if not result["passed"]]
    if failed:
        failures = "; ".join("%(name)s: %(saw)s" % result for result in failed)
        message = "%d of %d checks failed: %s" % (len(failed), len(results), failures)
        raise StackError(message, **about)
    return dict(about, changed=False)


def main():
    module = AnsibleModule(
        argument_spec={
            "generation": {"type": "path", "required": True},
            "parts": {"type": "list", "elements": "dict", "required": True},
            "log": {"type": "path", "required": True},
            "files": {"type": "bool", "default": True},
            "programs": {"type": "bool", "default": True},
            "id": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
