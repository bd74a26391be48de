"""What the life-cycle tests do to a checkout, and what they read back from the real systems."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
from kubernetes import client, config

import cloud_census
from fullbore.report.scratch import copy_working_tree

ROOT = Path(__file__).parents[2]

SERVING = "app.kubernetes.io/instance=serving"
"""The label of the site's pods."""
MODEL = "deepseek-r1-distill-qwen-7b"
"""What stacks/Pulumi.local.yaml serves."""


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

    def kube(self, cluster: str = "site") -> client.ApiClient:
        return config.new_client_from_config(self.endpoints["clusters"][cluster]["kubeconfig"])

    def ready_pods(self, selector: str = SERVING, cluster: str = "site") -> list[Any]:
        pods = client.CoreV1Api(self.kube(cluster)).list_namespaced_pod("fullbore", label_selector=selector).items
        return [pod for pod in pods if pod.status and _is_ready(pod.status.conditions or [])]

    def aws(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoints["aws"]["endpoint_url"],
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def census(self) -> Counter[str]:
        """How many of each thing the emulated cloud holds; what a killed run must not make twice."""
        return cloud_census.census(self.aws)

    def kill_engine(
        self, argv: Sequence[str], moment: Callable[[str], bool], wait_s: float = 0, limit_s: float = 900
    ) -> str:
        """Run `argv` and kill -9 its engine `wait_s` after the first line at which `moment` is true of all said so far.

        What was said. Where the engine ends before that, nothing is killed. Raises TimeoutExpired where `argv` has not
        ended after `limit_s`; its process group is killed then.
        """
        process = subprocess.Popen(
            argv,
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdout
        said, hung = "", threading.Event()

        def give_up() -> None:
            hung.set()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        watchdog = threading.Timer(limit_s, give_up)
        watchdog.start()
        try:
            for line in process.stdout:
                said += line
                if moment(said):
                    engine = self.engine()
                    if engine is not None:
                        time.sleep(wait_s)  # The moment of a random kill is a time and nothing else.
                        with suppress(ProcessLookupError):
                            os.kill(engine, signal.SIGKILL)
                    break
            said += process.stdout.read()
            process.wait(60)
        finally:
            watchdog.cancel()
        if hung.is_set():
            raise subprocess.TimeoutExpired(argv, limit_s, said)
        return said

    def engine(self) -> int | None:
        """The pid of this checkout's running `pulumi` that updates; None where none does."""
        home = f"PULUMI_HOME={self.state / 'home'}".encode()
        for entry in filter(lambda each: each.name.isdigit(), Path("/proc").iterdir()):
            try:
                argv = (entry / "cmdline").read_bytes().split(b"\0")
                environ = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            updates = {b"up", b"destroy", b"refresh"} & set(argv)
            if Path(argv[0].decode()).name == "pulumi" and updates and home in environ:
                return int(entry.name)
        return None

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


@contextmanager
def scratch_checkout() -> Iterator[Checkout]:
    """A copy of the working tree; whatever is left running in it is taken down at the end."""
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="fullbore-test-")))
    copy_working_tree(ROOT, folder)
    (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
    subprocess.run(["git", "init", "-q", "."], cwd=folder, check=True)
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    checkout = Checkout(folder)
    checkout.temporary.mkdir()
    try:
        yield checkout
    finally:
        # Where this fails the folder stays: without it nobody could end what runs.
        if checkout.state.exists():
            checkout.run("scripts/down", "--force")
        for each in (folder, checkout.temporary):
            shutil.rmtree(each, ignore_errors=True)


def summary(output: str) -> dict[str, int]:
    """The engine's closing lines, e.g. {"unchanged": 40}."""
    tail = output.rsplit("Resources:", 1)[-1]
    return {
        what: int(number)
        for number, what in re.findall(r"(\d+) (created|updated|replaced|deleted|unchanged|changes)", tail)
    }


def _is_ready(conditions: list[Any]) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in conditions)


def _answer(status: int, headers: Any, raw: bytes) -> Answer:
    try:
        body = json.loads(raw)
    except ValueError:
        body = raw.decode(errors="replace")
    return Answer(status, {key.lower(): value for key, value in headers.items()}, body)
