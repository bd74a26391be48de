"""The same 40 settings on containers with sshd: the roles, plain Ansible as it comes and tuned, and pyinfra.

Each way writes files of its own with the same 30 kernel settings and 10 limits, so that its first run finds nothing;
the runs after it find everything. `--write` puts table and plot into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fullbore.config.models import Environment
from fullbore.inventory import ssh_args
from fullbore.provider.base import Request
from fullbore.provider.hostgroup import HostGroups
from fullbore.provider.runner import AnsibleRunner
from fullbore.provider.values import Map
from fullbore_sandbox import hosts, rootfs
from fullbore_sandbox.bench.result import Result, machine, medians, seconds, show
from fullbore_sandbox.podman import ensure_network, podman, remove_all
from fullbore_sandbox.state import SandboxError, State

ROOT: Final = Path(__file__).resolve().parents[3]
PYINFRA: Final = ROOT / ".fullbore" / "bench-venv" / "bin" / "pyinfra"
PAGE, PLOT = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "images" / "converge.svg"
BEGIN, END = "<!-- scripts/bench/converge writes from here -->\n", "<!-- to here -->\n"
HOSTS, RUNS = 20, 3
KERNEL, LIMITS = 30, 10
GOALS: Final = {"ansible": 10.0, "ansible_tuned": 4.0, "pyinfra": 1.0}
"""How many times the roles shall be as quick as each, where nothing changes."""
WAYS: Final = {
    "ansible": "plain Ansible, as it comes",
    "ansible_tuned": "plain Ansible, pipelining and forks",
    "pyinfra": "pyinfra",
    "roles": "the roles, `ansible-playbook`",
    "provider": "the roles, `fullbore:metal:HostGroup`",
}

TASKS: Final = {"ansible": "42, 41", "ansible_tuned": "42, 41", "pyinfra": "41 operations", "roles": "14, 1"}
"""Tasks that run on a host, in the first run and where nothing changes. Plain Ansible has one a setting, facts, and
the handler; those of the roles are of site.yml, tasks/ and the role baseline, the includes among them."""


@dataclass(frozen=True)
class Bench:
    """Hosts that run, and a folder for what is written."""

    folder: Path
    endpoints: Map
    key: Path
    settings: Mapping[str, str]
    """{setting id: wanted}"""

    def lines(self, kind: str) -> dict[str, str]:
        """{line of the file: what it sets}"""
        chosen = {id.removeprefix(f"{kind}."): want for id, want in self.settings.items() if id.startswith(f"{kind}.")}
        if kind == "sysctl":
            return {f"{key} = {want}": key for key, want in chosen.items()}
        return {f"{' '.join(key.split('.'))} {want}": key for key, want in chosen.items()}

    def variables(self) -> dict[str, Any]:
        listed = [{"id": id, "role": "baseline", "want": want, "reboot": False} for id, want in self.settings.items()]
        return {"fullbore_settings": listed, "fullbore_roles": ["baseline"], "fullbore_agent_port": 9101}


def kernel_settings(shown: str) -> dict[str, str]:
    """Settings that a container has for itself, with the values that it runs with: what is written is kept."""
    found = dict(line.split(" = ", 1) for line in shown.splitlines() if " = " in line)
    single = {key: value for key, value in found.items() if key.startswith("net.ipv4.tcp_") and value.isdigit()}
    return {f"sysctl.{key}": single[key] for key in sorted(single)[:KERNEL]}


def limit_settings() -> dict[str, str]:
    return {f"limits.user{number:02}.-.nofile": str(1024 + number) for number in range(LIMITS)}


def inventory(bench: Bench) -> Path:
    """Of plain Ansible and of the roles."""
    hosts = {
        name: {
            "ansible_host": each["address"],
            "ansible_port": each["port"],
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(bench.key),
            "ansible_ssh_common_args": ssh_args(each["host_key"]),
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        for name, each in bench.endpoints.items()
    }
    path = bench.folder / "inventory.json"
    path.write_text(json.dumps({"all": {"hosts": hosts, "vars": bench.variables()}}))
    return path


def plain_playbook(bench: Bench, way: str) -> Path:
    """One task a setting; kernel settings are loaded by a handler where a line changed."""
    tasks = [
        {
            "name": f"{kind} {what}",
            "ansible.builtin.lineinfile": {"path": path, "line": line, "create": True, "mode": "0644"},
        }
        | ({"notify": "Load"} if kind == "sysctl" else {})
        for kind, path in files(way).items()
        for line, what in bench.lines(kind).items()
    ]
    load = {"name": "Load", "ansible.builtin.command": {"argv": ["sysctl", "--load", files(way)["sysctl"]]}}
    path = bench.folder / f"{way}.yml"
    path.write_text(json.dumps([{"name": way, "hosts": "all", "tasks": tasks, "handlers": [load]}]))
    return path


def files(way: str) -> dict[str, str]:
    """Files of its own, so that no way finds what another wrote."""
    return {"sysctl": f"/etc/sysctl.d/91-{way}.conf", "limits": f"/etc/security/limits.d/91-{way}.conf"}


def pyinfra_deploy(bench: Bench) -> list[str]:
    """One operation a setting, and one that loads kernel settings where a line changed."""
    known = bench.folder / "known_hosts"
    known.write_text("".join(f"{each['address']} {each['host_key']}\n" for each in bench.endpoints.values()))
    reached = {"ssh_user": "root", "ssh_key": str(bench.key), "ssh_known_hosts_file": str(known)}
    named = [(name, {"ssh_hostname": each["address"], **reached}) for name, each in bench.endpoints.items()]
    lines = [(files("pyinfra")[kind], line) for kind in files("pyinfra") for line in bench.lines(kind)]
    (bench.folder / "inventory.py").write_text(f"everything = {named!r}\n")
    (bench.folder / "deploy.py").write_text(
        "from pyinfra.operations import files, server\n"
        f"done = [files.line(name=line, path=path, line=line, ensure_newline=True) for path, line in {lines!r}]\n"
        f"server.shell(name='Load', commands=['sysctl --load {files('pyinfra')['sysctl']}'],\n"
        "             _if=lambda: any(each.did_change() for each in done))\n"
    )
    return [str(PYINFRA), "-y", str(bench.folder / "inventory.py"), str(bench.folder / "deploy.py")]


def run(argv: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    """Raises SandboxError with the end of what it said where it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(argv, cwd=folder, env=kept | dict(environment), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SandboxError(f"{shlex.join(argv[:2])} ended with {done.returncode}: {(done.stdout + done.stderr)[-800:]}")


def ways(bench: Bench) -> dict[str, Callable[[], object]]:
    """{way: one run of it}"""
    ansible, path, folder = str(Path(sys.executable).parent / "ansible-playbook"), inventory(bench), bench.folder
    empty = folder / "ansible.cfg"
    empty.write_text("[defaults]\n")
    forks = str(len(bench.endpoints))
    tuned = {"ANSIBLE_PIPELINING": "True", "ANSIBLE_FORKS": forks}

    def playbook(file: Path, config: Path, **changes: str) -> Callable[[], object]:
        home = {"ANSIBLE_CONFIG": str(config), "ANSIBLE_HOME": str(folder / "home"), **changes}
        return lambda: run([ansible, "-i", str(path), str(file)], folder, home)

    deploy = pyinfra_deploy(bench)
    return {
        "ansible": playbook(plain_playbook(bench, "ansible"), empty),
        "ansible_tuned": playbook(plain_playbook(bench, "ansible_tuned"), empty, **tuned),
        "pyinfra": lambda: run(deploy, folder, {}),
        "roles": playbook(ROOT / "ansible" / "site.yml", ROOT / "ansible" / "ansible.cfg", **tuned),
        "provider": provider(bench),
    }


def provider(bench: Bench) -> Callable[[], object]:
    """An update by the provider, which runs whatever is recorded: its state says that a host failed before."""
    spec = {"serial": "1", "settings": dict(bench.settings), "vars": bench.variables()}
    group: Map = {
        "group": "bench",
        "rack": "r01",
        "roles": ["baseline"],
        "hosts": {
            name: {"address": each["address"], "port": each["port"], "hostKey": each["host_key"], **spec}
            for name, each in bench.endpoints.items()
        },
        "ssh": {"user": "root", "privateKeyFile": str(bench.key)},
        "maxFailures": 0,
        "content": "sha256:1",
        "wipe": False,
        "rolling": {},
        "maintenance": {},
    }
    return lambda: HostGroups(AnsibleRunner()).create(Request(urn="u", type="t", name="bench", news=group))


@contextmanager
def machines(count: int) -> Iterator[Bench]:
    """Containers with systemd and sshd in a sandbox of their own."""
    named = {f"host-{number:02}": {"serial": f"S{number}"} for number in range(1, count + 1)}
    groups = {
        f"group-{first}": {
            "kind": "storage",
            "rack": f"r{first:02}",
            "hosts": dict(list(named.items())[first : first + 32]),
        }
        for first in range(0, count, 32)
    }
    site = {"name": "bench", "cidr": "10.200.0.0/16", "fabric": "roce", "groups": groups}
    with tempfile.TemporaryDirectory(prefix="fullbore-bench-") as folder:
        state = State.load_or_create(Path(folder))
        image = f"localhost/fullbore-{state.id}-host:bench"
        podman(state, "import", str(rootfs.ensure(rootfs.HOST)), image)
        try:
            ensure_network(state)
            environment = Environment.model_validate({"name": "bench", "sandbox": {}, "site": site})
            endpoints = hosts.start(state, environment, image, lambda line: print(line, file=sys.stderr))
            shown = podman(state, "exec", f"{state.network}-host-host-01", "sysctl", "--all")
            settings = kernel_settings(shown) | limit_settings()
            yield Bench(Path(folder), endpoints, hosts.user_key(state), settings)
        finally:
            remove_all(state)
            podman(state, "rmi", "--force", image)


def measure(count: int, runs: int) -> Result:
    """First run of each way, then medians of runs taken in turn, so that a slower machine slows all of them."""
    at_start = machine()
    with machines(count) as bench:
        if len(bench.settings) != KERNEL + LIMITS:
            raise SandboxError(f"{len(bench.settings)} settings, but the benchmark is of {KERNEL + LIMITS}")
        work = ways(bench)
        # The provider runs the same roles: what it finds is what they wrote.
        first = {way: seconds(work[way]) for way in work if way != "provider"}
        again = medians(work, runs)
    return Result(
        name="converge",
        machine=at_start,
        ratios={
            **{f"{way}_to_roles": again[way] / again["roles"] for way in GOALS},
            "provider_to_roles": again["provider"] / again["roles"],
        },
        figures={
            "hosts": float(count),
            **{f"{way}_first_s": value for way, value in first.items()},
            **{f"{way}_again_s": value for way, value in again.items()},
        },
    )


def section(result: Result) -> str:
    """The table of docs/benchmarks.md."""
    figures = result.figures
    rows = [
        f"| {name} | {TASKS.get(way, TASKS['roles'])} | {_first(figures, way)} | {figures[f'{way}_again_s']:.1f} | "
        f"{figures[f'{way}_again_s'] / figures['roles_again_s']:.1f} | {_goal(way)} |"
        for way, name in WAYS.items()
    ]
    return "\n".join(
        [
            f"{figures['hosts']:.0f} hosts, {KERNEL} kernel settings and {LIMITS} limits; {result.machine}.",
            "",
            "| way | tasks | first run, s | no change, s | times the roles | goal |",
            "| --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            "![seconds of a run that changes nothing](images/converge.svg)",
            "",
        ]
    )


def _first(figures: Mapping[str, float], way: str) -> str:
    return f"{figures[f'{way}_first_s']:.1f}" if f"{way}_first_s" in figures else ""


def _goal(way: str) -> str:
    return f"at least {GOALS[way]:g}" if way in GOALS else "at most 1.05" if way == "provider" else ""


def plot(result: Result) -> str:
    """Seconds of a run without changes as bars: SVG, 640 wide."""
    values = {name.replace("`", ""): result.figures[f"{way}_again_s"] for way, name in WAYS.items()}
    left, step, widest = 250, 34, max(values.values())
    bars = "".join(
        f'<text x="{left - 8}" y="{30 + row * step}" text-anchor="end">{name}</text>'
        f'<rect x="{left}" y="{14 + row * step}" width="{300 * value / widest:.1f}" height="22" fill="#1f5fbf"/>'
        f'<text x="{left + 6 + 300 * value / widest:.1f}" y="{30 + row * step}">{value:.1f} s</text>'
        for row, (name, value) in enumerate(values.items())
    )
    height = 20 + step * len(values)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {height}" font-family="sans-serif" font-size="12">'
        f'<rect width="640" height="{height}" fill="#ffffff"/>{bars}</svg>\n'
    )


def write(result: Result) -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + "\n" + section(result) + "\n" + END + rest.partition(END)[2])
    PLOT.write_text(plot(result))


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench/converge", description=__doc__)
    parser.add_argument("--hosts", type=int, default=HOSTS, help=f"containers, {HOSTS} if left out")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs without changes of each way, {RUNS} if left out")
    parser.add_argument("--write", action="store_true", help="write table and plot into docs/")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    chosen = parser.parse_args()
    try:
        result = measure(chosen.hosts, chosen.runs)
    except SandboxError as error:
        print(f"converge: {error}", file=sys.stderr)
        return 1
    if chosen.write:
        write(result)
    show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
