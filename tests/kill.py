"""Kills a piece of work at its n-th change of the file system. Runs on hosts too, under Python 2.7 and 3."""

import os
import signal

DOORS = ("link", "rename", "unlink", "symlink", "rmdir")
"""The calls by which a swap of cuDNN changes the file system while something is at stake."""


def killed(at, when, act):
    """Run `act` in a child that is killed `before` or `after` its call number `at`; whether it got that far."""
    child = os.fork()
    if child == 0:
        count = [0]

        def watched(real):
            def door(*given, **more):
                count[0] += 1
                mine = count[0] == at
                if mine and when == "before":
                    os.kill(os.getpid(), signal.SIGKILL)
                try:
                    return real(*given, **more)
                finally:
                    if mine:
                        os.kill(os.getpid(), signal.SIGKILL)

            return door

        for name in DOORS:
            door = watched(getattr(os, name))
            if getattr(os, name) in getattr(os, "supports_follow_symlinks", ()):
                os.supports_follow_symlinks.add(door)
            setattr(os, name, door)
        try:
            act()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])
