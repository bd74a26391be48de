"""What the life-cycle tests do to a checkout, and what they read back from the real systems."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

MODEL = "deepseek-r1-distill-qwen-7b"
"""What stacks/Pulumi.local.yaml serves."""


def wait_for(what: str, ready: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true value of `ready`; fails with the last one after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = ready()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: still {value!r} after {seconds} s"
        time.sleep(0.25)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Checkout:
    """One checkout with at most one sandbox."""

    root: Path

    @property
    def state(self) -> Path:
        return self.root / ".fullbore"

    @property
    def endpoints(self) -> dict[str, Any]:
        return json.loads((self.state / "sandbox" / "endpoints.json").read_text())

    @property
    def environment(self) -> dict[str, str]:
        """Temporary files go to a folder of its own, so that what is left there is seen."""
        return os.environ | {"NO_COLOR": "1", "TMPDIR": str(self.temporary)}

    @property
    def temporary(self) -> Path:
        return self.root.with_name(f"{self.root.name}-t")

    def run(
        self,
        *argv: str,
        check: bool = True,
        timeout: float = 900,
        env: Mapping[str, str] = MappingProxyType({}),
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the checkout; its whole output is in the failure."""
        done = subprocess.run(
            argv,
            cwd=self.root,
            env={**self.environment, **env},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        if check:
            assert done.returncode == 0, f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def pulumi(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run("scripts/pulumi", *argv, "--stack", "local", **options)

    def outputs(self) -> dict[str, Any]:
        return json.loads(self.pulumi("stack", "output", "--json").stdout)

    def resources(self) -> list[dict[str, Any]]:
        return json.loads(self.pulumi("stack", "export").stdout)["deployment"].get("resources", [])

    def ssh(self, host: str, command: str, check: bool = True) -> str:
        """Run a command on a host over SSH, as the roles do."""
        ssh, where = self.endpoints["ssh"], self.endpoints["hosts"][host]
        known = self.state / f"known-{host}"
        known.write_text(
            f"[{where['address']}]:{where['port']} {where['host_key']}\n{where['address']} {where['host_key']}\n"
        )
        argv = ["ssh", "-i", ssh["private_key_file"], "-p", str(where["port"]), "-o", f"UserKnownHostsFile={known}"]
        argv += ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", f"{ssh['user']}@{where['address']}", command]
        return self.run(*argv, check=check).stdout.strip()

    def podman(self, *argv: str, check: bool = True) -> str:
        return self.run(
            "podman", *argv, check=check, env={"CONTAINERS_CONF": str(self.state / "sandbox" / "containers.conf")}
        ).stdout.strip()

    def containers(self, *filters: str) -> list[dict[str, Any]]:
        """This sandbox's running containers."""
        argv = ["ps", "--format", "json", "--filter", f"label=fullbore.sandbox={self.endpoints['id']}"]
        for each in filters:
            argv += ["--filter", each]
        return json.loads(self.podman(*argv) or "[]")

    def http(self, url: str, body: object | None = None, timeout: float = 30) -> Answer:
        """GET, or POST of a JSON body; an error status is an answer too."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return _answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            return _answer(error.code, error.headers, error.read())
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            return Answer(0, {}, str(error))

    def chat(self, **options: Any) -> Answer:
        """One chat completion through the gateway."""
        messages = [{"role": "user", "content": "hello"}]
        body = {"model": MODEL, "messages": messages, "max_tokens": 8, "temperature": 0} | options
        return self.http(f"{self.outputs_cached()['gatewayUrl']}/v1/chat/completions", body)

    def outputs_cached(self) -> dict[str, Any]:
        """The stack's outputs; read once, since each read starts the engine."""
        file = self.state / "outputs-of-test.json"
        if not file.exists():
            file.write_text(json.dumps(self.outputs()))
        return json.loads(file.read_text())


def _answer(status: int, headers: Any, raw: bytes) -> Answer:
    try:
        body = json.loads(raw)
    except ValueError:
        body = raw.decode(errors="replace")
    return Answer(status, {key.lower(): value for key, value in headers.items()}, body)
