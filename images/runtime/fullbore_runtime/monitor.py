"""The memory monitor: reads NVML each second, says when a GPU's memory will run out, and serves what it sees.

The launcher starts it beside the engine; it ends with it. `python3 -m fullbore_runtime.monitor` watches any program.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fullbore_runtime import nvml as seam
from fullbore_runtime.memory import QUIET, Outlook, Reading, Watch
from fullbore_runtime.metrics import gpu_memory_text

INTERVAL_S = 1.0
WITHIN_S = 60.0
PR_SET_PDEATHSIG = 1
"""prctl(2)."""
NO_NVML = 3


class Monitor:
    """Reads every GPU that NVML shows, and hands each warning to `warn` once: when it begins."""

    def __init__(
        self,
        nvml: Any,
        warn: Callable[[Outlook], None],
        *,
        within_s: float = WITHIN_S,
        quiet: float = QUIET,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.nvml, self.warn, self.clock = nvml, warn, clock
        self.within_s, self.quiet = within_s, quiet
        self.watches: dict[str, Watch] = {}
        self.outlooks: tuple[Outlook, ...] = ()

    def look(self) -> tuple[Outlook, ...]:
        """One reading of every GPU. A GPU that does not answer any more is left out, and the others go on."""
        self.outlooks = tuple(self._see(reading) for reading in read(self.nvml, self.clock))
        return self.outlooks

    def _see(self, reading: Reading) -> Outlook:
        watch = self.watches.setdefault(reading.uuid, Watch(within_s=self.within_s, quiet=self.quiet))
        before = watch.warned
        outlook = watch.see(reading)
        if outlook.warns and not before:
            self.warn(outlook)
        return outlook


def read(nvml: Any, clock: Callable[[], float]) -> Iterator[Reading]:
    """One reading of each GPU that answers."""
    for index in range(nvml.nvmlDeviceGetCount()):
        reading = read_one(nvml, index, clock)
        if reading is not None:
            yield reading


def read_one(nvml: Any, index: int, clock: Callable[[], float]) -> Reading | None:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = seam.memory(nvml, handle)
        return Reading(
            at_s=clock(),
            index=index,
            uuid=seam.text(nvml.nvmlDeviceGetUUID(handle)),
            name=seam.text(nvml.nvmlDeviceGetName(handle)),
            total=memory.total,
            used=memory.used,
            reserved=memory.reserved,
            processes=seam.processes(nvml, handle),
        )
    except nvml.NVMLError as error:
        print(json.dumps({"message": f"gpu {index}: NVML: {error}"}), file=sys.stderr, flush=True)
        return None


def say(outlook: Outlook) -> None:
    """One line of JSON on stderr, as all of the runtime's log."""
    print(json.dumps({"message": str(outlook), "warning": "gpu_memory"}), file=sys.stderr, flush=True)


def serve(monitor: Monitor, port: int) -> ThreadingHTTPServer:
    """/metrics on a port of its own, in a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/metrics"
            data = gpu_memory_text(monitor.outlooks).encode() if found else b""
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """A scrape a second is no news."""

    server = ThreadingHTTPServer(("0.0.0.0", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True, name="metrics").start()
    return server


def end_with_parent() -> None:
    """The kernel ends this process when the one that started it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> int:
    parser = argparse.ArgumentParser(prog="fullbore_runtime.monitor", description="warn before GPU memory runs out")
    parser.add_argument("--interval", type=float, default=INTERVAL_S, help="seconds between two readings")
    parser.add_argument("--within", type=float, default=WITHIN_S, help="seconds ahead of the end to warn")
    parser.add_argument("--quiet", type=float, default=QUIET, help="share of the memory below which never to warn")
    parser.add_argument("--port", type=int, help="where to serve /metrics; nowhere if left out")
    args = parser.parse_args()
    end_with_parent()
    try:
        with seam.session() as nvml:
            monitor = Monitor(nvml, say, within_s=args.within, quiet=args.quiet)
            if args.port is not None:
                serve(monitor, args.port)
            while True:
                monitor.look()
                time.sleep(args.interval)
    except seam.NoNvml as absent:
        print(f"no memory monitor: {absent}", file=sys.stderr)
        return NO_NVML


if __name__ == "__main__":
    sys.exit(main())
