#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: stack_generation
short_description: Seal a generation, make it current, or go back to the previous one
description:
  - A generation is built beside the one that runs. V(open) records which controller builds, and creates the directories
    of the generation O(id) and O(files) in it. If O(take_over) is set, it also ends what an interrupted controller left
    running. It removes the link C(current) if its generation does not exist.
  - V(sealed) records that the generation is complete. It is refused, with the code C(generation.changed), if the
    generation has files that no component installed, or that were changed since then. All files get modes that let
    other users read but not write them. The manifest then lists every file with its mode and sha256.
  - V(current) points the link C(current) at the generation by one rename. V(previous) points it at the generation that
    was current before.
  - V(pruned) removes the oldest generations beyond O(keep). What cannot be removed is kept, and does not fail the
    module. While an activation is not confirmed (M(neuraltalk.provision.activation_timer)), nothing is removed.
  - V(absent) removes the generation O(id) with its sources. One that is current, the previous one, or used is refused.
  - V(withdrawn) undoes V(current) after the generation failed there. The withdrawn generation does not become the
    previous one. Without O(id), no generation is current afterwards.
options:
  stack_root:
    description: The directory that contains C(generations) and C(current).
    type: path
    required: true
  id:
    description: The generation's id. For V(previous), empty for the one that was current before.
    type: str
    default: ''
  components:
    description: Name and digest of each component that must be stamped before the generation is sealed.
    type: dict
    default: {}
  architectures:
    description: For V(sealed), what the GPU part was built for, a TORCH_CUDA_ARCH_LIST. Only such cards are used.
    type: str
    default: ''
  keep:
    description: For V(pruned), how many generations stay on the host, including the current one.
    type: int
    default: 3
  controller:
    description: For V(open), the controller's name, so that a build that survived its controller is recognised.
    type: str
    default: ''
  take_over:
    description: For V(open), whether to end builds that already run there. Without it they are an error.
    type: bool
    default: false
  armed:
    description:
      - For V(current), whether a timer must be armed for this generation (M(neuraltalk.provision.activation_timer)). If
        the host has returned in the meantime, the module fails.
    type: bool
    default: false
  expected:
    description:
      - For V(previous), the generations that may be current. If another one is, except O(id), this is an error. Without
        any, whatever is current is accepted.
    type: list
    elements: str
    default: []
  files:
    description: For V(open), the files that the generation has before anything is built in it.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The path in the generation.
        type: str
        required: true
      content:
        description: The whole text of the file.
        type: str
        required: true
      mode:
        description: The mode, in octal.
        type: str
        default: '0644'
  state:
    description: The state to bring about.
    type: str
    choices: [open, sealed, current, previous, withdrawn, absent, pruned]
    required: true
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: partial
    details: For V(current), V(previous) and V(withdrawn).
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Make the generation current
  neuraltalk.provision.stack_generation:
    stack_root: /opt/neuraltalk
    id: 0a1b2c3d4e5f6071
    state: current
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
current:
  description: The id of the generation that C(current) points at afterwards.
  returned: success
  type: str
previous:
  description: The id that it pointed at before; empty for V(open), V(sealed), V(absent) and V(pruned).
  returned: success
  type: str
ended:
  description: Builds of an interrupted controller that were ended.
  returned: for O(state=open)
  type: list
  elements: dict
  contains:
    log:
      description: The log that the build wrote.
      type: str
    pid:
      description: Its process id.
      type: int
removed:
  description: The ids of the generations that were removed.
  returned: success
  type: list
  elements: str
kept:
  description: Generations beyond O(keep) that could not be removed. V(pruned) tries again the next time.
  returned: for V(pruned)
  type: list
  elements: dict
  contains:
    id:
      description: The id; empty if none could be removed.
      type: str
    problem:
      description: Why it could not be removed.
      type: str
"""

import os

from ..module_utils.host import installed, manifest, skeleton
from ansible.module_utils.basic import AnsibleModule
from ..module_utils.activation.record import check_armed
from ..module_utils.activation.record import facts as activation_facts
from ..module_utils.runs import removal
from ..module_utils.host.commands import end_builds, running_builds
from ..module_utils.host.errors import StackError
from ..module_utils.host.files import sync, sync_tree, write_whole
from ..module_utils.host.generations import Generations, is_dangling
from ..module_utils.host.lease import Lock
from ..module_utils.host.outcome import run_module
from ..module_utils.host.stamps import read_stamps
from ..module_utils.rules import activation, layout, pack

FILES = {
    "path": {"type": "str", "required": True},
    "content": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0644"},
}
STATES = ["open", "sealed", "current", "previous", "withdrawn", "absent", "pruned"]


class Stack(Generations):
    """The generations below one stack root, and what builds do with them."""

    def open(self, controller, take_over):
        """Record the controller that builds. With `take_over`, kill running builds and return them.

        StackError if a build is running and `take_over` is not set.
        """
        running = running_builds(self.root)
        if running and not take_over:
            raise StackError("%(log)s is being written by pid %(pid)d: another build runs here" % running[0])
        ended = end_builds(self.root)
        self.drop_broken_link()
        write_whole(layout.controller(self.root), "%s\n" % controller)
        return ended

    def drop_broken_link(self):
        """Remove the link C(current) if somebody deleted its generation: a new one would be current before it is tried.

        Not before an activation that nobody confirmed has been undone, which needs to know what is current.
        """
        if not is_dangling(self.link):
            return
        with Lock(self.root):
            is_settled = activation_facts(self.root)["state"] in (activation.NONE, activation.RETURNED)
            if is_settled and is_dangling(self.link):
                os.unlink(self.link)

    def seal(self, generation, components, architectures):
        """Write the manifest and generation.json, with the compute capabilities that its GPU part was built for.

        StackError if a component has no stamp or another digest, or if anything else is there than what they installed.
        """
        stamps = read_stamps(self.path(generation))
        unbuilt = sorted(name for name, wanted in components.items() if stamps.get(name) != wanted)
        if unbuilt:
            raise StackError("generation %s is not complete: %s" % (generation, ", ".join(unbuilt)))
        installed.refuse_others(self.path(generation))
        installed.finish(self.path(generation))
        digest = manifest.write(self.path(generation), installed.read(self.path(generation)))
        sync_tree(self.path(generation))
        manifest.write_seal(self.path(generation), generation, components, digest, architectures)
        sync(self.path(generation))

    def is_sealed(self, generation):
        """Whether the generation is sealed with a manifest, and what opening it writes still matches the manifest."""
        path = self.path(generation)
        return manifest.has_manifest(path) and not manifest.is_stale(path)


def work(module):
    """The result of the module: the generations that are current afterwards and before."""
    options, dry = module.params, module.check_mode
    stack = Stack(options["stack_root"])
    before, target = stack.current(), options["id"]
    if options["state"] == "open":
        ended = [] if dry else stack.open(options["controller"], options["take_over"])
        created = bool(target) and skeleton.create(stack.root, target, options["files"], dry)
        changed, now = bool(ended or created), stack.current()
        return {"changed": changed, "current": now, "previous": "", "removed": [], "ended": ended}
    if options["state"] == "sealed":
        changed = not stack.is_sealed(target)
        if changed and not dry:
            stack.seal(target, options["components"], options["architectures"])
        return {"changed": changed, "current": before, "previous": "", "removed": []}
    if options["state"] == "pruned":
        removed, kept = removal.prune(stack, options["keep"], dry)
        return {"changed": bool(removed), "current": before, "previous": "", "removed": removed, "kept": kept}
    if options["state"] == "absent":
        if not pack.ID.match(target):
            raise StackError("%s is not the id of a generation" % target)
        there = os.path.isdir(stack.path(target))
        if there:
            removal.refuse_used(stack, target)
        if there and not dry:
            removal.erase(stack, target)
        return {"changed": there, "current": before, "previous": "", "removed": [target] * there}
    if options["state"] == "previous":
        target = target or stack.history.get("previous", "")
        if not target:
            raise StackError("there is no generation to go back to: none was current before this one")
        if target == before and not options["id"]:
            raise StackError(
                "generation %s is current and recorded as the previous one, because an activation was interrupted: "
                "name the generation to go back to (`provision rollback --to ID`)" % target
            )
    changed = before != target
    # In check mode, the generation that is to become current would have been built and sealed before.
    is_built = options["state"] != "current" or not dry
    if changed and is_built and target not in stack.sealed() and (target or options["state"] != "withdrawn"):
        raise StackError("generation %s is not complete on this host, or does not exist" % target)
    if changed and not dry:
        # With the lease's lock, because the host may return by itself at the same moment.
        with Lock(stack.root):
            if options["armed"]:
                check_armed(stack.root, target)
            stack.refuse_changed(options["expected"], target)
            stack.withdraw(target) if options["state"] == "withdrawn" else stack.point_at(target)
    diff = {"before": "current -> %s\n" % before, "after": "current -> %s\n" % target}
    return {"changed": changed, "current": target, "previous": before, "removed": [], "diff": diff}


def main():
    module = AnsibleModule(
        argument_spec={
            "stack_root": {"type": "path", "required": True},
            "id": {"type": "str", "default": ""},
            "components": {"type": "dict", "default": {}},
            "architectures": {"type": "str", "default": ""},
            "keep": {"type": "int", "default": 3},
            "controller": {"type": "str", "default": ""},
            "take_over": {"type": "bool", "default": False},
            "armed": {"type": "bool", "default": False},
            "expected": {"type": "list", "elements": "str", "default": []},
            "files": {"type": "list", "elements": "dict", "default": [], "options": FILES},
            "state": {"type": "str", "choices": STATES, "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
