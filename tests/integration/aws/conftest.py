"""One emulated AWS for all tests of the stand-in, and a plugin in front of it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from aws_engine import REGION, Engine, provider_config
from moto.server import ThreadedMotoServer

from fullbore_sandbox import emulator

Client = Callable[[str], Any]


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for each request hides why a test failed
    emulator.install()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def client(endpoint: str) -> Client:
    """boto3, to ask the emulator without the stand-in."""

    @functools.cache
    def connect(service: str) -> Any:
        return boto3.client(
            service, region_name=REGION, endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
        )

    return connect


@pytest.fixture(scope="session")
def engine(endpoint: str) -> Iterator[Engine]:
    running = Engine(provider_config(endpoint)).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def make_engine(endpoint: str) -> Iterator[Callable[..., Engine]]:
    started: list[Engine] = []

    def make(**more: object) -> Engine:
        started.append(Engine(provider_config(endpoint, **more)))
        return started[-1]

    yield make
    for engine in started:
        engine.stop()
