"""`fullbore-agent serve | apply ROLE | drift | check FILE`: exit 0 when well, 1 on a difference, 2 on bad input."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from . import __version__
from .apply import apply
from .document import PATH, BadPlan, load
from .infiniband import parse_partitions
from .settings import BadSettings, drifted, read_all
from .system import System


def main(argv: list[str] | None = None) -> int:
    """Run one command; errors are one line on stderr."""
    args = _parser().parse_args(argv)
    try:
        return args.run(args)
    except (BadPlan, BadSettings) as error:
        print(f"fullbore-agent: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fullbore-agent", description="Fullbore on one host.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--plan", type=Path, default=PATH, help="the host's plan")
    commands = parser.add_subparsers(required=True)
    serve = commands.add_parser("serve", help="serve metrics until told to stop")
    serve.set_defaults(run=_serve)
    apply_ = commands.add_parser("apply", help="apply the settings of a role that a reboot loses")
    apply_.add_argument("role")
    apply_.set_defaults(run=_apply)
    drift = commands.add_parser("drift", help="print every setting that differs")
    drift.set_defaults(run=_drift)
    check = commands.add_parser("check", help="check a plan file")
    check.add_argument("file", type=Path)
    check.set_defaults(run=_check)
    partitions = commands.add_parser("check-partitions", help="check a partitions.conf before opensm reads it")
    partitions.add_argument("file", type=Path)
    partitions.set_defaults(run=_check_partitions)
    return parser


def _check(args: argparse.Namespace) -> int:
    load(args.file)
    return 0


def _check_partitions(args: argparse.Namespace) -> int:
    try:
        parse_partitions(args.file.read_text())
    except ValueError as error:
        raise BadSettings(str(error)) from error
    return 0


def _drift(args: argparse.Namespace) -> int:
    settings = load(args.plan)["settings"]
    values = read_all(System(), {s["id"]: s["want"] for s in settings})
    wants = {s["id"]: s["want"] for s in settings}
    ids = [id for ids in drifted(settings, values).values() for id in ids]
    for id in ids:
        print(f"{id}: is {values[id]}, want {wants[id]}")
    return 1 if ids else 0


def _apply(args: argparse.Namespace) -> int:
    settings = [s for s in load(args.plan)["settings"] if s["role"] == args.role]
    applied = apply(System(), settings)
    for change in applied.changes:
        print(f"{change.id}: {change.had} -> {change.want}")
    for failure in applied.failures:
        print(failure, file=sys.stderr)
    return 1 if applied.failures else 0


def _serve(args: argparse.Namespace) -> int:
    # Only this command needs the client library: the others run where it is not.
    from prometheus_client import CollectorRegistry, start_http_server

    from .metrics import HostCollector

    registry = CollectorRegistry()
    registry.register(HostCollector(System(), args.plan))
    port = load(args.plan)["agent"]["port"]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        server, thread = start_http_server(port, registry=registry)
    except OSError as error:
        print(f"fullbore-agent: port {port}: {error.strerror}", file=sys.stderr)
        return 1
    _tell_systemd("READY=1")
    stop.wait()
    server.shutdown()
    thread.join()
    return 0


def _tell_systemd(state: str) -> None:
    """The sd_notify protocol: one datagram to the socket that systemd names."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect("\0" + address[1:] if address[0] == "@" else address)
            notify.sendall(state.encode())


if __name__ == "__main__":
    raise SystemExit(main())
