"""Starting and stopping everything that a sandbox runs, each part beside the others where it does not need them."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console

from fullbore.config.models import Environment
from fullbore.provider.mounts import unmount_below
from fullbore_sandbox import cloud, cluster, engine, hosts, podman, process, registry, rootfs, settle, toolchain
from fullbore_sandbox.state import SandboxError, State, write_atomically
from fullbore_sandbox.steps import Say, Step, run
from fullbore_sandbox.toolchain import ENGINE, KWOK_STAGES, TOOLS

SERVICES = ("gateway", "prometheus", "alertmanager")
"""What the stack itself publishes on loopback, at ports that the sandbox chooses."""
BUILD_ORDER = (
    "volcano-crd", *KWOK_STAGES, "kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kwok",
    "pulumi-language-python-exec", "pulumi-resource-pulumi-python", "pulumi-language-python", "pulumi", "vc-scheduler",
    "vc-controller-manager",
)  # fmt: skip
"""The largest first. Volcano comes late: by then much of what it shares with the control plane is compiled."""
CHECKPOINT_ENDINGS = ("", ".gz", ".zst")
"""Of a checkpoint's file name after .json: plain, or packed as PULUMI_DIY_BACKEND_GZIP and its successors say."""


def up(state: State, environment: Environment, console: Console) -> dict[str, float]:
    """Start what does not run and write endpoints.json; seconds by step. Raises SandboxError, before anything is done
    where the sandbox is another stack's, whose hosts would go."""
    keep_other_stacks(state, environment.name)
    if os.geteuid() != 0:
        raise SandboxError(
            f"sandbox {state.id}: got user id {os.geteuid()}, allowed 0: its hosts boot systemd in "
            "containers with addresses of their own; run it as root"
        )
    found: dict[str, Any] = {}
    tools = _tool_steps()
    planes = [step.name for step in tools if step.name in TOOLS and step.name not in ENGINE]
    parts = _part_steps(state, environment, found, console.print, planes)
    seconds = run([*tools, *parts], console, toolchain.end_builds)
    endpoints = {
        "version": 1,
        "id": state.id,
        "ssh": {"user": "root", "private_key_file": str(hosts.user_key(state))},
        "registry": registry.address(state),
        **{name: found[name] for name in ("hosts", "aws", "base_image", "clusters")},
        **{name: {"address": "127.0.0.1", "port": state.port(name)} for name in SERVICES},
    }
    write_atomically(endpoints_file(state), json.dumps(endpoints, indent=1) + "\n", mode=0o600)
    (state.dir / "steps.json").write_text(json.dumps(seconds, indent=1) + "\n")
    return seconds


def down(state: State, stack: str, console: Console) -> None:
    """Stop and remove everything of this sandbox: processes, containers, networks, images, mounts and files. Raises
    SandboxError, before anything is removed, where that would lose the state of another stack than `stack`."""
    keep_other_stacks(state, stack)
    settle.end_orphans(state, patience_s=0)
    running = process.running(state)
    if state.record("kubelet").exists():
        cluster.stop(state)
    process.stop_all(state)
    removed = podman.remove_all(state)
    unmount_below(state.root / ".fullbore")
    shutil.rmtree(state.root / ".fullbore")
    console.print(f"stopped {len(running)} processes, removed {len(removed)} containers, networks and images")


def keep_other_stacks(state: State, stack: str) -> None:
    """Raises SandboxError where the file backend holds resources of another stack than `stack`."""
    backend = state.root / ".fullbore" / "backend"
    for file in sorted((backend / ".pulumi" / "stacks").rglob("*.json*")):
        name, _, ending = file.name.partition(".json")
        # The rest are its backups, and what a killed engine leaves of a checkpoint that it was writing.
        if file == engine.checkpoint(state, stack) or ending not in CHECKPOINT_ENDINGS:
            continue
        held = resources(file)
        if held != 0:
            what = "resources that cannot be counted" if held is None else f"{held} resources"
            raise SandboxError(
                f"stack {name}: {what} are known to {file} only, which would go, or lose its hosts; destroy it "
                f"(scripts/down {name}), or move its state (PULUMI_BACKEND_URL=file://{backend} pulumi stack export "
                f"-s {name}) and remove it there, then run this again"
            )


def resources(checkpoint: Path) -> int | None:
    """How many resources a checkpoint holds, those under way included; None where it cannot be read."""
    packed = checkpoint.read_bytes()
    try:
        document = json.loads(gzip.decompress(packed) if checkpoint.suffix == ".gz" else packed)
        latest = document["checkpoint"]["latest"] or {}
        return sum(len(latest.get(key) or ()) for key in ("resources", "pending_operations"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def endpoints_file(state: State) -> Path:
    """What the stack reads; there once the sandbox was up."""
    return state.dir / "endpoints.json"


def _tool_steps() -> list[Step]:
    """A step for each tool to be built, in two lanes; another that fetches their sources meanwhile."""
    installed = engine.installed_engine()
    wanted = [name for name in BUILD_ORDER if installed is None or name not in ENGINE]
    with ThreadPoolExecutor(2) as pool:
        intact = list(pool.map(lambda name: toolchain.is_intact(TOOLS[name].path), wanted))
    missing = [TOOLS[name] for name, there in zip(wanted, intact, strict=True) if not there]
    modules = list(dict.fromkeys(row.module for row in missing if row.package))
    steps = [
        Step(
            name=row.name,
            doing=f"building {row.version}" if row.package else "copying",
            estimate_s=row.seconds,
            work=lambda say, name=row.name: toolchain.tool(name),
            # Two at a time: the largest packages keep one core busy each. What one module holds is built in one lane:
            # two compilers at once would not see what the other has done.
            lane="control plane" if row.module == "kubernetes" else "engine and Volcano",
        )
        for row in missing
    ]
    if modules:
        steps.insert(
            0,
            Step(
                name="go sources",
                doing="downloading what the builds need",
                estimate_s=150,
                work=lambda say: toolchain.prefetch(modules),
            ),
        )
    return steps


def _part_steps(
    state: State, environment: Environment, found: dict[str, Any], warn: Say, planes: list[str]
) -> list[Step]:
    """A step for each part; the clusters wait for `planes`, the steps that build what they run."""

    def push(recipe: rootfs.Recipe) -> str:
        layer = rootfs.ensure(recipe)
        labels = dict([podman.label(state).split("=")])
        digest = f"sha256:{toolchain.recorded_digest(layer)}"
        image = registry.Image(
            repository=f"fullbore/{recipe.name}", layer=layer, layer_digest=digest, config={"Labels": labels}
        )
        return registry.push(state, image)

    def keep(name: str, value: object) -> None:
        found[name] = value

    return [
        Step(name="registry", doing="starting", estimate_s=1, work=lambda say: registry.daemon(state).start()),
        Step(name="network", doing="making", estimate_s=1, work=lambda say: podman.ensure_network(state)),
        Step(
            name="emulated cloud",
            doing="starting",
            estimate_s=5,
            work=lambda say: keep("aws", {"endpoint_url": cloud.start(state)}),
        ),
        *(
            Step(
                name=f"{recipe.name} image",
                doing="packing a root filesystem from packages" if not recipe.path.exists() else "pushing",
                estimate_s=160 if not recipe.path.exists() else 2,
                work=lambda say, recipe=recipe: keep(f"{recipe.name}_image", push(recipe)),
                after=["registry"],
                lane="packages",
            )
            for recipe in (rootfs.HOST, rootfs.BASE)
        ),
        Step(
            name="clusters",
            doing="starting two control planes",
            estimate_s=15,
            work=lambda say: keep("clusters", cluster.start(state, environment)),
            after=["network", *planes],
        ),
        Step(
            name="hosts",
            doing="booting",
            estimate_s=10,
            work=lambda say: keep("hosts", hosts.start(state, environment, found["host_image"], warn)),
            after=["network", "host image"],
        ),
    ]
