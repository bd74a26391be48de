"""Asking a part of the sandbox over HTTP whether it is there."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from http.client import HTTPException

TIMEOUT_S = 2.0


def direct(context: ssl.SSLContext | None = None) -> urllib.request.OpenerDirector:
    """What opens addresses of this machine: never through the proxy that leads to the package registries."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))


def http_status(url: str) -> int | None:
    """The status of a GET, asked directly and not through a proxy; None where nothing answers in time."""
    try:
        with direct().open(url, timeout=TIMEOUT_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, HTTPException):  # HTTPException: what answers speaks something else
        return None
