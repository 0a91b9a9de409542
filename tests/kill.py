"""Kills a function at its n-th change of the file system. Also runs on hosts, under Python 2.7 and 3."""

import os
import signal

CALLS = ("link", "rename", "unlink", "symlink", "rmdir")
"""The functions of `os` by which a swap of cuDNN changes files that are in use."""


def killed(at, when, act):
    """Run `act` in a child process that is killed `before` or `after` its call number `at`; whether it was killed."""
    child = os.fork()
    if child == 0:
        count = [0]

        def watched(real):
            def wrapper(*args, **kwargs):
                count[0] += 1
                reached = count[0] == at
                if reached and when == "before":
                    os.kill(os.getpid(), signal.SIGKILL)
                try:
                    return real(*args, **kwargs)
                finally:
                    if reached:
                        os.kill(os.getpid(), signal.SIGKILL)

            return wrapper

        for name in CALLS:
            wrapper = watched(getattr(os, name))
            if getattr(os, name) in getattr(os, "supports_follow_symlinks", ()):
                os.supports_follow_symlinks.add(wrapper)
            setattr(os, name, wrapper)
        try:
            act()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])
