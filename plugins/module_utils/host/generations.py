# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Which generation of a stack root is current, and which ones were before.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import time

from .errors import StackError
from .files import naming, read_json, write_json
from ..rules import activation, codes, layout

_CHANGED = (
    "%s is current, but %s was when the hosts were asked: another controller, or a rollback, has changed it since. "
    "Nothing was changed here. Run the same command again, which asks the hosts again"
)


def is_dangling(link):
    """Whether a link is there whose target does not exist. False if that cannot be determined, as with a stale NFS."""
    if not os.path.islink(link):
        return False
    try:
        os.stat(link)
    except OSError as error:
        return error.errno == errno.ENOENT
    return False


class Generations(object):
    """The generations below one stack root."""

    def __init__(self, root):
        self.root = root
        self.link = layout.current(root)
        self.history = read_json(layout.history(root)) or {}

    def path(self, generation):
        return layout.generation(self.root, generation)

    def current(self):
        return os.path.basename(os.readlink(self.link)) if os.path.islink(self.link) else ""

    def refuse_changed(self, expected, target):
        """StackError if neither `target` nor one of `expected` is current: somebody else has changed that since.

        Without any that is expected, whatever is current is accepted.
        """
        current = self.current()
        if expected and current not in expected and current != target:
            names = (activation.generation(current), activation.generation(expected[0]))
            raise StackError(_CHANGED % names, code=codes.BUSY)

    def sealed(self):
        """The ids of all sealed generations, the last activated one first."""
        directory = layout.generations(self.root)
        names = os.listdir(directory) if os.path.isdir(directory) else []
        sealed = [name for name in names if os.path.isfile(layout.seal(os.path.join(directory, name)))]
        activated = self.history.get("activated", {})
        return sorted(sealed, key=lambda name: activated.get(name, 0), reverse=True)

    def point_at(self, generation):
        """Make a generation current, and record which one was current before."""
        activated = dict(self.history.get("activated", {}))
        activated[generation] = time.time()
        # Without a current one, as after its directory was deleted, the one before it can still be gone back to.
        before = self.current() or self.history.get("previous", "")
        self.remember("" if before == generation else before, activated)
        self.link_to(generation)

    def withdraw(self, generation):
        """Make `generation` current again, or none if it is empty, and remove the current one from the history."""
        self.forget(self.current(), generation)
        if generation:
            self.link_to(generation)
        else:
            os.unlink(self.link)

    def repair(self, withdrawn):
        """Correct the history if `withdrawn` did not become current, because point_at was killed before the rename."""
        if self.history.get("previous") == self.current():
            self.forget(withdrawn, self.current())

    def forget(self, withdrawn, current):
        """Remove a generation from the history. The previous one is then the last activated one beside `current`."""
        activated = dict(self.history.get("activated", {}))
        activated.pop(withdrawn, None)
        earlier = [name for name in self.sealed() if name in activated and name != current]
        self.remember(earlier[0] if earlier else "", activated)

    def remember(self, previous, activated):
        """Write the history: the previous generation, and when each generation was last activated."""
        self.history = {"previous": previous, "activated": activated}
        write_json(layout.history(self.root), self.history)

    def link_to(self, generation):
        """Create a new link and rename it over `current`."""
        new_link = self.link + ".new"
        with naming(self.link):
            if os.path.lexists(new_link):
                os.unlink(new_link)
            os.symlink(layout.generation("", generation), new_link)
            os.rename(new_link, self.link)
