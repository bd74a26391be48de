"""No-op previews of `local`: against recorded facts, and with a refresh, beside an empty program."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from fullbore_sandbox import engine
from fullbore_sandbox.bench.result import Result, machine, medians, show
from fullbore_sandbox.engine import Engine
from fullbore_sandbox.state import SandboxError, State

ROOT = Path(__file__).resolve().parents[3]
RUNS = 5
EMPTY = "name: empty\nruntime: python\n"


def empty_program(opened: Engine, folder: Path) -> Callable[[], object]:
    """A preview of a program of no lines, with the same home, passphrase and plugins."""
    (folder / "Pulumi.yaml").write_text(EMPTY)
    (folder / "__main__.py").touch()
    environment = {**opened.environment(), "PULUMI_BACKEND_URL": f"file://{folder}"}

    def pulumi(*argv: str) -> None:
        done = subprocess.run(
            [str(opened.pulumi), "--non-interactive", *argv],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SandboxError(f"pulumi {argv[0]}: {done.stderr.strip() or done.stdout.strip()}")

    pulumi("stack", "init", "empty")
    return lambda: pulumi("preview", "--stack", "empty")


def measure(opened: Engine) -> Result:
    """Medians of runs taken in turn, so that a machine that slows down slows all of them."""
    at_start = machine()
    with tempfile.TemporaryDirectory(prefix="fullbore-bench-") as folder:
        commands: dict[str, Callable[[], object]] = {
            "empty": empty_program(opened, Path(folder)),
            "recorded": lambda: opened.run("preview", "--stack", "local", "--expect-no-changes"),
            "live": lambda: opened.run("preview", "--stack", "local", "--refresh", "--expect-no-changes"),
        }
        for command in commands.values():
            command()
        taken = medians(commands, RUNS)
    return Result(
        name="preview",
        machine=at_start,
        ratios={f"{name}_to_empty": taken[name] / taken["empty"] for name in ("recorded", "live")},
        figures={f"{name}_s": value for name, value in taken.items()},
    )


def main() -> int:
    state = State.load_or_create(ROOT)
    if not engine.checkpoint(state, "local").exists():
        print("preview: the stack local does not exist here; run scripts/up first", file=sys.stderr)
        return 2
    try:
        show(measure(engine.open_engine(state, True)))
    except SandboxError as error:
        print(f"preview: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
