"""Runs on a host: kills a swap, and a restore, at every step; the next command must complete the swap or restore it."""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "/var/tmp/kill")

from kill import killed  # noqa: E402
from module_utils.cudnn import inspection, ldconfig  # noqa: E402
from module_utils.cudnn import swap as cudnn  # noqa: E402

VERSION = "5.0.5"


def snapshot(tree):
    """A description of every file of the CUDA directory, to compare before and after."""
    found = {}
    for folder, _folders, files in os.walk(tree.root):
        for name in files:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, tree.root)] = inspection.describe(path)
    return found


def main(root, archive):
    tree, loader = inspection.Tree(root), ldconfig.Loader(root)
    before = snapshot(tree)

    def swap():
        cudnn.swap(tree, archive, VERSION, os.uname()[4], loader=loader)

    def restore():
        cudnn.restore(tree, loader)

    for verb in ("swap", "restore"):
        for when in ("before", "after"):
            steps = 1
            while True:
                if verb == "restore":
                    swap()
                if not killed(steps, when, swap if verb == "swap" else restore):
                    break
                swap()
                state = inspection.inspect(tree)
                assert (state["header"], state["library"], state["state"]) == (VERSION, VERSION, "whole"), state
                restore()
                assert snapshot(tree) == before, "killed %s step %d of a %s" % (when, steps, verb)
                steps += 1
            restore()
            assert snapshot(tree) == before
            assert steps > 10
            print("%s: killed %s each of %d steps, whole every time" % (verb, when, steps - 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
