# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""An index's user and password, kept out of process lists and logs.

pip takes its index from the environment, which only its own user can read. Where it builds a package it starts itself
again with the index on the command line: so user and password go into a netrc of its own wherever pip reads one.
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
"""What stands in a netrc without quotes, which not every Python reads alike."""
READS_NETRC = (
    "import inspect, sys; from pip._vendor.requests import utils; "
    "sys.exit('NETRC' not in inspect.getsource(utils.get_netrc_auth))"
)


@contextlib.contextmanager
def pip_environment(python, url):
    """The environment by which pip of that Python takes its index from `url`; gone afterwards."""
    found = USER.search(url)
    words = [unquote(found.group(name) or "") for name in ("user", "password")] if found else []
    if found is None or not all(PLAIN.match(word) for word in words) or not _reads_netrc(python):
        yield {"PIP_INDEX_URL": url}
        return
    private = tempfile.mkdtemp(prefix="neuraltalk-index-")
    try:
        path = os.path.join(private, "netrc")
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write("machine %s\nlogin %s\npassword %s\n" % (found.group("host"), words[0], words[1]))
        yield {"PIP_INDEX_URL": USER.sub(r"://\g<host>", url), "NETRC": path}
    finally:
        shutil.rmtree(private)


def _reads_netrc(python):
    return output_of([python, "-c", READS_NETRC], patience=None)[1] == 0
