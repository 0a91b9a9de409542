# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Keeps the user and password of a package index out of process lists and logs.

pip reads the URL of its index from the environment, which only its own user can read. But when pip builds a package, it
starts itself again with the URL on the command line. So user and password are written to a private netrc file, if this
version of pip reads one.
Runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import os
import re
import shutil
import tempfile

from .commands import output_of
from .texts import PY2

if PY2:
    from urllib import unquote
else:
    from urllib.parse import unquote

USER = re.compile(r"://(?P<user>[^/\s:]*)(?::(?P<password>[^/\s]*))?@(?P<host>[^/\s:@]+)")
PLAIN = re.compile(r"[^\s\"'\\#]+\Z")
"""A word that needs no quotes in a netrc file. Python versions differ in how they read quotes there."""
READS_NETRC = (
    "import inspect, sys; from pip._vendor.requests import utils; "
    "sys.exit('NETRC' not in inspect.getsource(utils.get_netrc_auth))"
)


@contextlib.contextmanager
def pip_environment(python, url):
    """The environment variables that make pip of that Python use the index `url`.

    The host's own configuration of pip is not read. The netrc file is removed at the end of the context.
    """
    found = USER.search(url)
    login = [unquote(found.group(name) or "") for name in ("user", "password")] if found else []
    if found is None or not all(PLAIN.match(word) for word in login) or not _reads_netrc(python):
        yield {"PIP_INDEX_URL": url, "PIP_CONFIG_FILE": os.devnull}
        return
    private = tempfile.mkdtemp(prefix="neuraltalk-index-")
    try:
        path = os.path.join(private, "netrc")
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write("machine %s\nlogin %s\npassword %s\n" % (found.group("host"), login[0], login[1]))
        yield {
            "PIP_INDEX_URL": USER.sub(r"://\g<host>", url),
            "PIP_CONFIG_FILE": os.devnull,
            "NETRC": path,
        }
    finally:
        shutil.rmtree(private)


def _reads_netrc(python):
    return output_of([python, "-c", READS_NETRC], timeout=None)[1] == 0
