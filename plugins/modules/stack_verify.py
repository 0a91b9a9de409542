#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: stack_verify
short_description: Prove that a generation is whole and works on this host
description:
  - Compares every stamp with the recipe, loads every Lua module in a process of its own, asks
    train.lua and eval.lua for their options, and compares the digests of the weights.
  - Reports what it saw. A check that saw nothing fails.
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
    description: The file for what the programs print.
    type: path
    required: true
author: the neuraltalk-provision authors
"""

EXAMPLES = r"""
- name: Prove that what is current works
  stack_verify:
    generation: /opt/neuraltalk/current
    parts: "{{ generation_recipe.parts }}"
    log: /opt/neuraltalk/current/logs/verify.log
"""

RETURN = r"""
checks:
  description: One entry a check, with C(name), C(passed) and C(saw).
  returned: always
  type: list
generation:
  description: The directory that was checked, links resolved.
  returned: always
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.neuraltalk_gpu import has_card
from ansible.module_utils.neuraltalk_stack import (
    StackError,
    file_sha256,
    file_size,
    lines_since,
    log_tail,
    read_stamps,
    run_logged,
    try_part,
    with_stack,
)


def check_stamps(generation, parts):
    stamps = read_stamps(generation)
    wrong = [part["name"] for part in parts if stamps.get(part["name"]) != part["digest"]]
    if wrong or not parts:
        raise StackError("not built as the recipe says: %s" % (", ".join(wrong) or "there is no part"))
    return "%d stamps as the recipe says" % len(parts)


def check_loads(generation, part, log):
    card = part.get("role") != "gpu_stack" or has_card()
    evidence = try_part(generation, part, log, card)
    return ", ".join("%(module)s %(version)s in %(seconds)s s" % seen for seen in evidence)


def check_program(generation, program, log):
    source = os.path.join(generation, "neuraltalk2")
    start = file_size(log)
    argv = with_stack(generation, ["th", program, "-help"])
    outcome = run_logged(argv, log, chdir=source, timeout=600, append=True)
    options = [line.strip() for line in lines_since(log, start) if line.strip().startswith("-")]
    if outcome["rc"] != 0 or not any(line.startswith("-language_eval") for line in options):
        raise StackError("th %s -help does not get to its options" % program, tail=log_tail(log))
    return "%d options in %s s" % (len(options), outcome["seconds"])


def check_files(generation, part):
    for file in part["files"]:
        path = os.path.join(generation, "neuraltalk2", "model", file["file"])
        if not os.path.isfile(path):
            raise StackError("%s is gone" % path)
        if file_sha256(path) != file["sha256"]:
            raise StackError("%s is not the mirror's file any more" % path)
    return "%d files, %d bytes, as the mirror has them" % (
        len(part["files"]),
        sum(int(file["size"]) for file in part["files"]),
    )


def planned_checks(generation, parts, log):
    """[(name, function)] of what there is to prove."""
    checks = [("stamps", lambda: check_stamps(generation, parts))]
    for part in parts:
        if part["loads"]:
            checks.append(("load " + part["name"], lambda part=part: check_loads(generation, part, log)))
        if part["name"] == "neuraltalk2":
            for program in ("train.lua", "eval.lua"):
                checks.append((program, lambda p=program: check_program(generation, p, log)))
        if part["name"] == "vgg16":
            checks.append(("vgg16", lambda part=part: check_files(generation, part)))
    return checks


def main():
    module = AnsibleModule(
        argument_spec={
            "generation": {"type": "path", "required": True},
            "parts": {"type": "list", "elements": "dict", "required": True},
            "log": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    generation = os.path.realpath(module.params["generation"])
    log = module.params["log"]
    results = []
    if not os.path.isdir(generation):
        module.fail_json(msg="%s: nothing is installed there" % generation, checks=[], generation=generation)
    if os.path.exists(log):
        os.unlink(log)
    for name, check in planned_checks(generation, module.params["parts"], log):
        try:
            results.append({"name": name, "passed": True, "saw": check()})
        except StackError as error:
            tail = "\n".join(error.details.get("tail", []))
            results.append({"name": name, "passed": False, "saw": (str(error) + "\n" + tail).strip()})
    failed = [result for result in results if not result["passed"]]
    outcome = {"checks": results, "generation": generation}
    if failed:
        words = "; ".join("%(name)s: %(saw)s" % result for result in failed)
        module.fail_json(msg="%d of %d checks failed: %s" % (len(failed), len(results), words), **outcome)
    module.exit_json(changed=False, **outcome)


if __name__ == "__main__":
    main()
