"""What runs when `scripts/up` is told to stop: the engine ends by itself, a build is ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

COMPONENTS = Path(__file__).parents[2] / "components"
SHOW = """
import sys
from pathlib import Path
from fullbore_sandbox import __main__ as commands, engine
from fullbore_sandbox.state import State

def show(stack):
    state = State.load_or_create(Path(sys.argv[1]), taken=list)
    return engine.Engine(state=state, pulumi=Path(sys.argv[2]), folders=(), sandbox=False).show("up")

def build(stack):
    from fullbore_sandbox import steps, toolchain
    toolchain.go = lambda: sys.argv[2]
    step = steps.Step(name="a", work=lambda say: toolchain._go("pulumi", "build"), doing="", estimate_s=1)
    steps.run([step], commands.console, toolchain.end_builds)

commands.COMMANDS["up"] = build if sys.argv[3:] else show
sys.exit(commands.main(["up"]))
"""


@contextmanager
def shown(program: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A command that runs `program`; neither it nor what it started outlives the test."""
    # A run in the background inherits that Ctrl-C is ignored, and a shell cannot undo that.
    argv = ["env", "--default-signal=INT,TERM,HUP", sys.executable, "-c", SHOW, str(program.parent), str(program)]
    environment = {**os.environ, "PYTHONPATH": str(COMPONENTS)}
    with subprocess.Popen(
        [*argv, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        try:
            yield child
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_engine_ends_by_itself_and_is_waited_for(number: signal.Signals, tmp_path: Path) -> None:
    pulumi = tmp_path / "pulumi"
    pulumi.write_text(
        '#!/bin/sh\ntrap "sleep 0.3; echo unlocked; exit 255" INT\necho up\nwhile :; do sleep 0.1; done\n'
    )
    pulumi.chmod(0o755)
    with shown(pulumi) as child:
        assert child.stdout
        assert child.stdout.readline() == "up\n"
        if number is signal.SIGINT:
            os.killpg(child.pid, number)  # as a terminal does
        else:
            os.kill(child.pid, number)
        out, err = child.communicate(timeout=30)
    assert (out, err, child.returncode) == ("unlocked\n", "interrupted; run it again to go on\n", 128 + number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_builds_that_run(number: signal.Signals, tmp_path: Path) -> None:
    go, told = tmp_path / "go", tmp_path / "told"
    os.mkfifo(told)
    go.write_text(f'#!/bin/sh\ntrap "echo ended; exit 1" INT\nexec >{told}\necho up\nwhile :; do sleep 0.1; done\n')
    go.chmod(0o755)
    with shown(go, "build") as child, told.open() as said:
        assert said.readline() == "up\n"
        os.kill(child.pid, number)
        _, err = child.communicate(timeout=30)
        assert said.read() == "ended\n"
    assert err.splitlines()[-1] == "interrupted; run it again to go on"
    assert child.returncode == 128 + number
