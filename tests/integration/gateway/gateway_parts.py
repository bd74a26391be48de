"""Real parts on loopback: a name server, model servers as processes, and Envoy with the rendered configuration."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import httpx
import yaml

from fullbore.render.envoy import envoy_config
from fullbore.render.envoy_cluster import Upstream

RUNTIME = Path(str(find_spec("fullbore_runtime").origin)).parent.parent  # pyright: ignore[reportOptionalMemberAccess]
ENVOY = Path(str(find_spec("envoy").origin)).parent / "_bin" / "envoy"  # pyright: ignore[reportOptionalMemberAccess]
SITE, STANDBY = "serving.test", "standby.test"
DEADLINE_S = 30.0


def until(what: Callable[[], bool], why: str, seconds: float = DEADLINE_S) -> None:
    """Wait for a state of another process that announces itself by no event."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"{why}: not within {seconds:g} s"
        time.sleep(0.02)


def free_port(*addresses: str) -> int:
    """A port that is free on every one of these addresses."""
    while True:
        with socket.socket() as first:
            first.bind((addresses[0], 0))
            port = first.getsockname()[1]
            try:
                for address in addresses[1:]:
                    with socket.socket() as other:
                        other.bind((address, port))
            except OSError:
                continue
            return port


class NameServer:
    """Answers A questions from `names`; the rest does not exist."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while True:
            query, client = self.socket.recvfrom(4096)
            if not query:
                return
            self.socket.sendto(self.reply(query), client)

    def reply(self, query: bytes) -> bytes:
        """RFC 1035, section 4: header, question, one record an address."""
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        question, kind = query[12 : at + 5], struct.unpack("!H", query[at + 1 : at + 3])[0]
        known = self.names.get(".".join(labels))
        found = (known or []) if kind == 1 else []
        records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(it) for it in found)
        flags = 0x8180 if known is not None else 0x8183
        return query[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + question + records

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join(5)
        self.socket.close()


class Replica:
    """One model server on an address of loopback."""

    def __init__(self, model: Path, address: str, port: int, pool: str, *, lame_duck_s: float = 0) -> None:
        self.address, self.port = address, port
        flags = {"model-dir": model, "served-model-name": "m", "host": address, "port": port, "pool": pool}
        flags |= {"max-model-len": 512, "default-max-tokens": 8, "max-num-seqs": 4, "max-waiting": 64}
        flags |= {"pod": f"{pool}-{address}", "lame-duck": lame_duck_s}
        argv = [
            sys.executable,
            "-m",
            "fullbore_runtime.server",
            *(f"--{name}={value}" for name, value in flags.items()),
        ]
        env = {**os.environ, "PYTHONPATH": str(RUNTIME), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)

    def wait_ready(self) -> Replica:
        """Its first line says that it is; the rest of its output is read and dropped."""
        assert self.process.stdout is not None
        assert '"ready"' in self.process.stdout.readline()
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        return self

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


class Envoy:
    """The gateway, with the ports and the name server of the test in place of the real ones."""

    def __init__(self, folder: Path, names: NameServer, port: int, *, timeout_s: float = 20) -> None:
        self.folder = folder
        self.http, self.stats, self.admin = (free_port("127.0.0.1") for _ in range(3))
        site, standby = Upstream(host=SITE, port=port), Upstream(host=STANDBY, port=port)
        config = self.on_loopback(envoy_config(site=site, standby=standby, timeout_s=timeout_s), names)
        (folder / "envoy.yaml").write_text(yaml.safe_dump(config))
        self.log = (folder / "envoy.log").open("w")
        self.access_log = folder / "access.log"
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.http}", timeout=60, trust_env=False)
        self.process = self.start(self.access_log.open("w"))
        until(self.ready, "Envoy's readiness")

    def on_loopback(self, config: dict[str, Any], names: NameServer) -> dict[str, Any]:
        resources = config["static_resources"]
        http, stats = resources["listeners"]
        model, admin = resources["clusters"]
        http["address"] = socket_address(self.http)
        stats["address"] = socket_address(self.stats)
        config["admin"]["address"] = socket_address(self.admin)
        admin["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] = socket_address(self.admin)
        resolver = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
        model["cluster_type"]["typed_config"]["typed_dns_resolver_config"] = {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": f"type.googleapis.com/{resolver}",
                "resolvers": [socket_address(names.port)],
            },
        }
        return config

    def start(self, output: IO[str]) -> subprocess.Popen[str]:
        argv = [ENVOY, "-c", self.folder / "envoy.yaml", "--disable-hot-restart", "--concurrency", "1"]
        return subprocess.Popen([*map(str, argv)], stdout=output, stderr=self.log, text=True)

    def ready(self) -> bool:
        assert self.process.poll() is None, (self.folder / "envoy.log").read_text()[-2000:]
        try:
            return httpx.get(f"http://127.0.0.1:{self.stats}/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def hosts(self) -> dict[str, bool]:
        """{address: healthy} of every replica that Envoy knows."""
        said = httpx.get(f"http://127.0.0.1:{self.admin}/clusters?format=json", trust_env=False).json()
        model = next(cluster for cluster in said["cluster_statuses"] if cluster["name"] == "model")
        return {
            host["address"]["socket_address"]["address"]: not any(
                flag.startswith("failed") for flag in host["health_status"]
            )
            for host in model.get("host_statuses", [])
        }

    def healthy(self) -> set[str]:
        return {address for address, good in self.hosts().items() if good}

    def ask(self, **more: object) -> httpx.Response:
        body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4, "temperature": 0}
        return self.client.post("/v1/chat/completions", json={**body, **more})

    def close(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


class Load:
    """Asks without pause from some threads until it is stopped; keeps every answer's status and pool."""

    def __init__(self, envoy: Envoy, threads: int = 3) -> None:
        self.envoy = envoy
        self.answers: list[tuple[int, str]] = []
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]

    def run(self) -> None:
        while not self.stopped.is_set():
            response = self.envoy.ask()
            self.answers.append((response.status_code, response.headers.get("x-fullbore-pool", "")))

    def more(self, count: int) -> None:
        """Wait for so many further answers."""
        goal = len(self.answers) + count
        until(lambda: len(self.answers) >= goal or self.dead(), f"{count} further answers", 60)

    def dead(self) -> bool:
        return not any(thread.is_alive() for thread in self.threads)

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join(60)


def socket_address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@contextmanager
def name_server() -> Iterator[NameServer]:
    server = NameServer()
    try:
        yield server
    finally:
        server.close()


def access_lines(envoy: Envoy) -> list[dict[str, Any]]:
    return [json.loads(line) for line in envoy.access_log.read_text().splitlines() if line.startswith("{")]
