"""Runs a Pulumi program with mocks in place of the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from unittest import mock

import pulumi
from pulumi.runtime import mocks
from pulumi.runtime import resource as registration
from pulumi.runtime.proto import source_pb2


def run_mocked(
    mocked: mocks.Mocks, program: Callable[[], Any], project: str | None = None, stack: str | None = None
) -> None:
    """Run `program` to its end, with everything that it registers, in an event loop of its own: what one run leaves
    pending never reaches another, and what a mock makes for a run that failed is made before this returns."""
    with asyncio.Runner() as runner:
        runner.get_loop()  # becomes this thread's
        mocks.set_mocks(mocked, project=project, stack=stack)
        # Where in the source a resource was made is for the engine to show; to find it takes a third of a run's time.
        with mock.patch.object(registration, "_get_stack_trace", source_pb2.StackTrace):
            pulumi.runtime.test(program)()
