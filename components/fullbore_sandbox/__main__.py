"""The sandbox's commands: up, down, status, engine and pulumi. `scripts/` calls them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console

from fullbore_sandbox.state import SandboxError, State
from fullbore_sandbox.steps import Interrupted, interruptible

if TYPE_CHECKING:
    from fullbore.config import Environment

ROOT = Path(__file__).resolve().parents[2]
console = Console(stderr=True)
FIRST_S, AGAIN_S, DESTROY_S = 140, 20, 40
"""How long the engine takes on two cores to make a sandbox's stack, to find it as it should be and to destroy it, for
the estimates that are shown."""


def up(stack: str) -> int:
    """Start the sandbox that the environment asks for, run `pulumi up` and print what runs where.

    All in one process, which whoever stops `scripts/up` stops."""
    environment = _environment(stack)
    if environment.sandbox is not None:
        _start(environment)
    return _deploy(stack, environment) or status(stack)


def _start(environment: Environment) -> None:
    from fullbore_sandbox import sandbox

    state = State.load_or_create(ROOT)
    seconds = sandbox.up(state, environment, console)
    console.print(f"sandbox {state.id}: up, the longest step took {max(seconds.values()):.0f} s")


def _deploy(stack: str, environment: Environment) -> int:
    """`pulumi up`: of a sandbox's stack, put in order after a killed run, without a question; of a real environment
    with the engine's own preview and confirmation."""
    from fullbore_sandbox import engine

    if environment.sandbox is not None:
        return _deploy_sandboxed(stack)
    backend = engine.backend_of(stack, environment.state_backend)
    opened = engine.open_engine(State.load_or_create(ROOT), False, console.print, backend)
    return opened.show("up", "--refresh", "--stack", stack)


def _deploy_sandboxed(stack: str) -> int:
    from fullbore_sandbox import engine, sandbox, settle

    opened = engine.open_engine(State.load_or_create(ROOT), True, console.print)
    engine.select(opened, stack)
    settled = settle.settle(opened, stack)
    if settled != settle.Settled():
        console.print(f"stack {stack}: {settled}")
    held = sandbox.resources(engine.checkpoint(opened.state, stack))
    if held is not None:
        console.print(
            f"stack {stack}: " + (f"{held} resources, about {AGAIN_S} s" if held else f"empty, about {FIRST_S} s")
        )
    # What was changed by hand, or lost with the emulated cloud, is repaired: the engine must look first.
    return opened.show("up", "--yes", "--skip-preview", "--refresh", "--stack", stack)


def down(stack: str) -> int:
    """Destroy the stack while its sandbox runs, then remove the sandbox. The environment's file need not be valid."""
    from fullbore_sandbox import engine, process, sandbox, settle

    state = State.load_or_create(ROOT)
    sandbox.keep_other_stacks(state, stack)
    if engine.checkpoint(state, stack).exists():
        if process.Daemon(state, "aws", []).running and sandbox.endpoints_file(state).exists():
            opened = engine.open_engine(state, True, console.print)
            settle.settle(opened, stack)
            console.print(f"stack {stack}: destroying it, about {DESTROY_S} s")
            if opened.show("destroy", "--yes", "--skip-preview", "--stack", stack):
                raise SandboxError(f"stack {stack}: not destroyed; mend what stands above, or run scripts/down --force")
        else:
            console.print(f"stack {stack}: its sandbox does not run, so nothing is left of it to destroy")
    sandbox.down(state, stack, console)
    return 0


def force_down(stack: str) -> int:
    """Remove the sandbox without destroying the stack first: whatever it made goes with it."""
    from fullbore_sandbox import sandbox

    sandbox.down(State.load_or_create(ROOT), stack, console)
    return 0


def status(stack: str) -> int:
    """Print what runs and where."""
    from fullbore_sandbox import status as table

    environment = _environment(stack)
    if environment.sandbox is None:
        console.print(f"{stack}: a real environment; no sandbox runs for it")
        return 0
    return table.show(State.load(ROOT), environment)


def engine_folders(_: str) -> int:
    """Print where the engine's programs lie, for PATH, after building what is missing."""
    from fullbore_sandbox import engine

    print(os.pathsep.join(dict.fromkeys(str(path.parent) for path in engine.programs(console.print))))
    return 0


def pulumi(arguments: Sequence[str]) -> int:
    """Become `pulumi ARGUMENTS` with this repository's home, backend, passphrase and plugins."""
    from fullbore_sandbox import engine

    state = State.load_or_create(ROOT)
    stack = engine.stack_of(arguments, state)
    declared = _declared(ROOT / "stacks" / f"Pulumi.{stack}.yaml")
    if stack is None:
        local = True
    elif declared:
        local = declared.get("sandbox") is not None
    else:
        local = engine.checkpoint(state, stack).exists()
    backend = None if local or stack is None else engine.backend_of(stack, declared.get("state_backend"))
    opened = engine.open_engine(state, local, console.print, backend)
    # What `stack init` and `config` encrypt stays in the file: with the public passphrase in a sandbox's file only.
    opened = replace(opened, passphrase=declared.get("sandbox") is not None)
    os.execve(opened.pulumi, ["pulumi", *arguments], opened.environment())


def _declared(file: Path) -> dict[str, Any]:
    """The environment that a stack file declares; nothing where there is no file. Read without the models: they take
    longer to import than the engine needs to start."""
    if not file.exists():
        return {}
    try:
        return dict(yaml.safe_load(file.read_text())["config"]["fullbore:env"])
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError, RecursionError):
        return _declared_strictly(file)


def _declared_strictly(file: Path) -> dict[str, Any]:
    from fullbore.config import ConfigError, load_file

    try:
        environment = load_file(file)
    except ConfigError as error:
        raise SandboxError(f"{file}: {error}") from error
    return {"sandbox": environment.sandbox, "state_backend": environment.state_backend}


def _environment(stack: str) -> Environment:
    from fullbore.config import find_file, load_file

    return load_file(find_file(stack, ROOT))


COMMANDS = {
    "up": up,
    "down": down,
    "force-down": force_down,
    "status": status,
    "engine": engine_folders,
}


def main(argv: Sequence[str]) -> int:
    try:
        with interruptible():
            return pulumi(argv[1:]) if argv[:1] == ["pulumi"] else _command(argv)
    except SandboxError as error:
        return _failed(error, 1)
    except Interrupted as interrupted:
        return _failed("interrupted; run it again to go on", 128 + interrupted.number)


def _command(argv: Sequence[str]) -> int:
    from fullbore.config import ConfigError

    parser = argparse.ArgumentParser(prog="python -m fullbore_sandbox", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("env", nargs="?", default="local", help="name of the environment")
    chosen = parser.parse_args(argv)
    try:
        return COMMANDS[chosen.command](chosen.env)
    except ConfigError as error:
        return _failed(error, 2)


def _failed(error: Exception | str, status: int) -> int:
    console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
