"""The connection to the emulated AWS: one client a service, loopback only."""

from __future__ import annotations

import functools
import ipaddress
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fullbore.provider.base import ProviderError

PLAN_ONLY = "FULLBORE_PLAN_ONLY"
"""Set to 1, it turns the stand-in into one that previews and touches nothing."""


def plan_only() -> bool:
    return os.environ.get(PLAN_ONLY) == "1"


def is_loopback(url: str) -> bool:
    """True where the URL's host is this machine. Names are not looked up: only `localhost` counts."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the provider was configured with."""

    region: str
    endpoints: Mapping[str, str]
    """URL by service, e.g. {"ec2": "http://127.0.0.1:4566"}."""
    access_key: str
    secret_key: str
    default_tags: Mapping[str, str]


class Api:
    """Clients of one configured provider, made on first use."""

    def __init__(self, settings: Settings) -> None:
        self.region = settings.region
        self._settings = settings
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __getattr__(self, service: str) -> Any:
        if service.startswith("_"):
            raise AttributeError(service)
        return self.client(service)

    def client(self, service: str) -> Any:
        """The botocore client of a service. Raises ProviderError where it may not be called."""
        if plan_only():
            raise ProviderError(f"{PLAN_ONLY}=1: previews only, so {service} is not called; unset it for an update")
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._connect(service)
            return self._clients[service]

    @functools.cached_property
    def account(self) -> str:
        return self.client("sts").get_caller_identity()["Account"]

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def endpoint(self, service: str) -> str:
        url = self._settings.endpoints.get(service)
        if url is None:
            raise ProviderError(
                f"endpoints: none for {service}, but this stand-in talks to an emulator only; "
                f"set an endpoint on 127.0.0.1, or use the official plugin for AWS itself"
            )
        if not is_loopback(url):
            raise ProviderError(
                f"endpoints.{service}: {url} is not on this machine, but this stand-in talks to loopback only; "
                f"use the official plugin for AWS itself"
            )
        return url

    def _connect(self, service: str) -> Any:
        import botocore.session
        from botocore.config import Config

        # A session of its own with explicit keys: the caller's profiles and credentials are never looked at.
        session = botocore.session.Session()
        session.set_config_variable("profile", None)
        return session.create_client(
            service,
            region_name=self.region,
            endpoint_url=self.endpoint(service),
            aws_access_key_id=self._settings.access_key,
            aws_secret_access_key=self._settings.secret_key,
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"max_attempts": 2},
                s3={"addressing_style": "path"},
                proxies={},
                max_pool_connections=32,
            ),
        )


def gone(error: BaseException) -> bool:
    """True where an API error says that the object does not exist."""
    response = getattr(error, "response", {}).get("Error", {})
    code, message = str(response.get("Code", "")), str(response.get("Message", "")).lower()
    if code == "InvalidRequestException":  # DataSync has no code of its own for it
        return "not found" in message
    return code == "404" or "NotFound" in code or code.startswith("NoSuch") or code.endswith(".Unknown")
