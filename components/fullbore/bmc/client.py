"""One BMC: a session on it through sushy, its documents, and what went wrong in words."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

import requests
from sushy import exceptions
from sushy.auth import BasicAuth, SessionAuth
from sushy.connector import Connector
from sushy.main import Sushy

from fullbore.bmc.documents import Document, items, text
from fullbore.bmc.model import Access, BmcError

ROOT: Final = "/redfish/v1/"
CONNECT_S: Final = 5
ANSWER_S: Final = 60
"""Longest time to connect, and to wait for an answer: BMCs gather some answers from slow buses."""
ATTEMPTS: Final = 1
"""sushy repeats what did not connect as often as this, and asks once more after a server error."""
RETRY_AFTER_S: Final = 2
_LOOK: Final = "check its address, power and network"

# What sushy logs is told as an error where it matters.
logging.getLogger("sushy").addHandler(logging.NullHandler())


class Bmc:
    """A BMC that took the account. `root` is its first document."""

    def __init__(self, access: Access, connector: Any, root: Document) -> None:
        self.address, self.root = access.address, root
        self._connector = connector
        self._auth, self.service = _service(access, connector, root)

    def get(self, path: str) -> Document | None:
        """The document at a path; None where the BMC has none there. Raises BmcError.

        A link to another host is none: the account would go there.
        """
        if not path.startswith("/") or path.startswith("//"):
            return None
        with told(self.address, path):
            try:
                return _document(self._connector.get(path))
            except exceptions.ResourceNotFoundError:
                return None
            except (exceptions.BadRequestError, exceptions.ServerSideError):
                if "$expand" in path:  # claimed, and not done
                    return None
                raise

    def close(self) -> None:
        """End the session: a BMC holds few. One that cannot be reached any more ends it itself."""
        with suppress(exceptions.SushyError, requests.RequestException):
            self._auth.close()
        self._connector.close()


@contextmanager
def connect(access: Access) -> Generator[Bmc]:
    """A session on the BMC, ended at the end. Raises BmcError."""
    if access.ca_file and not Path(access.ca_file).is_file():
        raise BmcError(access.address, f"ca_file {access.ca_file} is no file; correct its path")
    connector: Any = Connector(
        f"https://{access.address}",
        verify=cast("bool", False if access.insecure else access.ca_file or True),
        default_request_timeout=ANSWER_S,
        connect_timeout=CONNECT_S,
        server_side_retries=ATTEMPTS,
        server_side_retries_delay=RETRY_AFTER_S,
    )
    with told(access.address, ROOT):
        root = _root(access.address, connector)
        bmc = Bmc(access, connector, root)
    try:
        yield bmc
    finally:
        bmc.close()


def _root(address: str, connector: Any) -> Document:
    """The one document that needs no account."""
    try:
        root = _document(connector.get(ROOT))
    except (exceptions.ResourceNotFoundError, ValueError):
        root = None
    if root is None or not text(root, "RedfishVersion"):
        raise BmcError(address, f"got no Redfish service at {ROOT}; name the BMC's address, and enable Redfish on it")
    return root


def _service(access: Access, connector: Any, root: Document) -> tuple[Any, Any]:
    """How it authenticates, and sushy's service: a session where the BMC has them, else the password in each request.

    A wrong password is not tried in the other way again: few failures lock an account.
    """
    if text(root, "Links", "Sessions", "@odata.id"):
        try:
            session: Any = SessionAuth(username=access.user, password=access.password)
            return session, Sushy(f"https://{access.address}", auth=session, connector=connector)
        except (exceptions.AccessError, exceptions.ConnectionError):
            raise
        except exceptions.SushyError:  # e.g. no session is left
            pass
    basic: Any = BasicAuth(username=access.user, password=access.password)
    return basic, Sushy(f"https://{access.address}", auth=basic, connector=connector)


def _document(response: Any) -> Document | None:
    value = response.json()
    return cast("Document", value) if isinstance(value, Mapping) else None


@contextmanager
def told(address: str, path: str) -> Generator[None]:
    try:
        yield
    except exceptions.ConnectionError as error:
        raise _unreached(address, error) from error
    except exceptions.AccessError as error:
        raise BmcError(address, _refused(error)) from error
    except exceptions.HTTPError as failure:
        error: Any = failure
        said = _clipped(_said(error))
        message = f"{path}: got HTTP {error.status_code}{said}; look at the BMC's own log"
        raise BmcError(address, message, partial=True) from error
    except (exceptions.SushyError, requests.RequestException, ValueError) as error:
        message = f"{path}: got an answer that is not Redfish{_clipped(str(error))}"
        raise BmcError(address, message, partial=True) from error


def _unreached(address: str, error: Exception) -> BmcError:
    """sushy tells in words alone; what it came from says more."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, requests.exceptions.SSLError):
        return BmcError(
            address,
            "its certificate is not trusted; give bmc.ca_file with the certificate of who signed it, or bmc.insecure "
            "where nobody else can answer",
        )
    if isinstance(cause, requests.exceptions.Timeout):
        waited = f"no answer ({CONNECT_S} s to connect, {ANSWER_S} s to answer); {_LOOK}"
        return BmcError(address, waited, silent=isinstance(cause, requests.exceptions.ConnectTimeout))
    return BmcError(address, f"not reached{_clipped(_reason(cause or error))}; {_LOOK}", silent=True)


def _reason(error: BaseException) -> str:
    """The system's own words, which the libraries wrap several times: `Connection refused`."""
    words = re.findall(r"\[Errno -?\d+\] ([^'\")]+)", str(error))
    return words[-1] if words else type(error).__name__


def _refused(error: Any) -> str:
    if error.status_code == 403:
        return "the account may not do this (HTTP 403); give it the role Administrator or Operator"
    return (
        "the user or the password is wrong (HTTP 401); correct bmc.user and bmc.password before the account is locked"
    )


def _said(error: Any) -> str:
    """The BMC's own words; the most severe where there are several."""
    body = cast("Document", error.body or {})
    messages = [text(each, "Message") for each in items(body, "@Message.ExtendedInfo")]
    return next(filter(None, messages), "") or text(body, "message")


def _clipped(words: str) -> str:
    line = " ".join(words.split())
    return f" ({line[:160]})" if line else ""
