"""`python3 -m fullbore_runtime.rpc.beside`: the gRPC front end of an engine that speaks HTTP, a process beside it."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from fullbore_runtime.errors import RuntimeRefusal
from fullbore_runtime.monitor import end_with_parent
from fullbore_runtime.rpc.server import Front
from fullbore_runtime.rpc.upstream import LOOK_S, Upstream

REFUSED = 2
GRACE_S = 2
"""Calls end with the engine; this is for their last messages."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="fullbore_runtime.rpc.beside", description=__doc__)
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--engine-port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--most", type=int, required=True, help="calls that generate at once, or wait to")
    parser.add_argument("--pool", default="")
    parser.add_argument("--pod", default="")
    args = parser.parse_args()
    end_with_parent()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    upstream = Upstream(args.engine_port, args.model, pool=args.pool, pod=args.pod)
    try:
        front = Front(upstream, f"{args.host}:{args.port}", most=args.most)
    except RuntimeRefusal as refusal:
        print(f"no gRPC front end: {refusal}", file=sys.stderr)
        return REFUSED
    front.start()
    while not ended.wait(LOOK_S):
        upstream.look()
    front.stop(GRACE_S).wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
