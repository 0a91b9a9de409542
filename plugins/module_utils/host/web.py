# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Asks a web server for a file, from a certain byte on: TLS with a CA of the site, user and password.

User and password are sent in a header, and only to the address that was asked. Messages contain neither.
Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import collections
import re
import socket

from .texts import PY2, as_native, as_text
from ..rules.texts import without_users

if PY2:
    from httplib import HTTPException
    from urllib import unquote
    from urllib2 import HTTPError, HTTPRedirectHandler, ProxyHandler, Request, URLError, build_opener
    from urlparse import urlsplit
else:
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.parse import unquote, urlsplit
    from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

try:
    import ssl

    if PY2:
        from urllib2 import HTTPSHandler
    else:
        from urllib.request import HTTPSHandler
    _TLS = (ssl.SSLError,)  # type: tuple[type[Exception], ...]
    _CERTIFICATE = (getattr(ssl, "CertificateError", ssl.SSLError),)  # type: tuple[type[Exception], ...]
except ImportError:  # a Python that was compiled without OpenSSL
    ssl = None  # type: ignore[assignment]
    _CERTIFICATE = _TLS = ()

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\Z")
NO_TLS = ("wrong version number", "unknown protocol", "record layer", "http request")
LONGEST = 200
"""The most characters of a text of the server in a message."""

Answer = collections.namedtuple("Answer", "body start end total tag")
"""An answer: the open body, which bytes of the file it has (`end` is None if it does not say), and its entity tag."""


class RefusedError(Exception):
    """The server, or its answer, cannot be used; another attempt would not help."""


class LostError(Exception):
    """The connection failed or was lost; another attempt may help."""


class BeyondEndError(Exception):
    """The server says that the file has no bytes from there on."""


class _SameOrigin(HTTPRedirectHandler):
    """Follows redirects only to the same server, so that no other one gets the password or sends the file."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        before, after = urlsplit(req.get_full_url()), urlsplit(newurl)
        if (before.scheme, before.netloc) != (after.scheme, after.netloc):
            raise RefusedError(
                "it redirects to another server, %s://%s, which is not followed. If that is right, change artifact_url"
                % (shown(after.scheme), shown(without_users("//" + after.netloc)[2:].rpartition("@")[2]))
            )
        return HTTPRedirectHandler.redirect_request(self, req, fp, code, msg, headers, newurl)


def shown(text):
    """Text of a server for a message: short, and without characters that could change what is shown."""
    return re.sub(r"[^\x20-\x7e]", "?", as_native(as_text(text))[:LONGEST])


def opener(url, login, ca):
    """What opens addresses like `url`: with `user:password`, and with the certificates in `ca` as the only CAs.

    Proxies of the host are not used: they are for other networks than that of the mirror. Raises RefusedError if that
    is not possible.
    """
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise RefusedError("artifact_url must begin with https:// or http://")
    if login and scheme != "https":
        raise RefusedError("user and password would be sent unencrypted: use https:// in artifact_url")
    handlers = [_SameOrigin(), ProxyHandler({})]  # type: list[Any]
    if scheme == "https" and ssl is None:
        raise RefusedError(
            "the Python of this host was compiled without OpenSSL (it has no module ssl). Set "
            "ansible_python_interpreter to another one, or leave artifact_url out of the provision.yml for this host: "
            "the controller sends the files then"
        )
    if scheme == "https":
        try:
            handlers.append(HTTPSHandler(context=ssl.create_default_context(cadata=as_text(ca) or None)))
        except (ssl.SSLError, ValueError) as error:
            raise RefusedError("artifact_ca contains no usable certificate: %s" % shown(str(error)))
        except (AttributeError, TypeError):
            raise RefusedError("this Python cannot check certificates: update it, or let the controller send the files")
    made = build_opener(*handlers)
    made.addheaders = [("User-Agent", "neuraltalk.provision (Ansible)"), ("Accept-Encoding", "identity")]
    if login:
        words = [unquote(word) for word in as_native(login).split(":", 1)]
        pair = as_text(":".join(words)).encode("utf-8")
        made.addheaders.append(("Authorization", "Basic " + base64.b64encode(pair).decode("ascii")))
    return made


def ask(made, url, start, tag, timeout):
    """The Answer for the bytes from `start` on; from 0 on if the server sends the whole file, because it changed.

    `tag` is the entity tag of an earlier answer. Raises RefusedError, LostError and BeyondEndError.
    """
    request = Request(url)
    if start:
        request.add_header("Range", "bytes=%d-" % start)
        if tag:
            request.add_header("If-Range", tag)
    try:
        return _answer(made.open(request, timeout=timeout), start)
    except HTTPError as error:
        raise _of_status(error.code, error, made)
    except URLError as error:
        raise lost(error.reason)
    except (HTTPException, EnvironmentError) + _CERTIFICATE as error:
        raise lost(error)


def _answer(response, start):
    headers = response.info()
    encoding = headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise RefusedError(
            "it sends the file in another encoding (%s): switch that off for artifacts" % shown(encoding)
        )
    tag = headers.get("ETag", "")
    tag = "" if tag.startswith("W/") or not re.match(r'"[\x21-\x7e]{1,200}"\Z', tag) else tag
    if response.getcode() == 206:
        said = headers.get("Content-Range", "")
        match = RANGE.match(said)
        if not match or int(match.group(1)) != start or int(match.group(2)) < start:
            raise RefusedError("it was asked for the bytes from %d on, and sent %r" % (start, shown(said)))
        total = None if match.group(3) == "*" else int(match.group(3))
        return Answer(response, start, int(match.group(2)) + 1, total, tag)
    if response.getcode() != 200:
        raise RefusedError("it answered with the status %s" % response.getcode())
    length = headers.get("Content-Length", "")
    end = int(length) if re.match(r"\d{1,18}\Z", length) else None
    return Answer(response, 0, end, end, tag)


def _of_status(code, error, made):
    """The exception for a status of HTTP that is no success."""
    error.close()
    if code == 416:
        return BeyondEndError()
    if code in (401, 407):
        has = any(name == "Authorization" for name, _value in made.addheaders)
        what = "the user or the password in artifact_url is wrong" if has else "artifact_url needs user:password@"
        return RefusedError("it answered with the status %d: %s" % (code, what))
    if code in (408, 425, 429) or code >= 500:
        return LostError("it answered with the status %d" % code)
    meaning = {403: "it does not give this file to us", 404: "it has no such file", 410: "it has no such file"}
    return RefusedError("it answered with the status %d: %s" % (code, meaning.get(code, "that is not the file")))


def lost(reason):
    """The exception for what a connection failed with."""
    text = shown(str(reason)) or type(reason).__name__
    if isinstance(reason, _CERTIFICATE) or (isinstance(reason, _TLS) and "certificate" in text.lower()):
        return RefusedError(
            "its certificate is not accepted: %s. artifact_ca must be the CA that signed it, and the certificate must "
            "be for the name in artifact_url" % text
        )
    if isinstance(reason, _TLS) and any(words in text.lower() for words in NO_TLS):
        return RefusedError("it does not use TLS there: %s" % text)
    if isinstance(reason, socket.timeout):
        return LostError("it sent nothing for too long")
    return LostError(text)


READ_ERRORS = (HTTPException, EnvironmentError)
