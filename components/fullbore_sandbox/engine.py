"""The Pulumi engine as this repository runs it: its home, backend, passphrase, plugins, and stacks."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path

from fullbore_sandbox import podman
from fullbore_sandbox.state import SandboxError, State
from fullbore_sandbox.steps import Interrupted, noting
from fullbore_sandbox.toolchain import ENGINE, PULUMI_VERSION, Progress, tool, version_of

PASSPHRASE = "fullbore-local"
"""The public passphrase of the stack `local`, whose secrets guard nothing; a user's own is never replaced."""
STAND_INS = {"aws": "pulumi-aws", "kubernetes": "pulumi-kubernetes"}
"""Providers that the sandbox can stand in for, and the distribution whose version they answer with."""
PLUGINS = Path(__file__).parent / "plugins" / "bin"
MODES = ("auto", "official", "sandbox")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The engine for one checkout. `sandbox` is true for a stack that runs on this machine."""

    state: State
    pulumi: Path
    folders: tuple[Path, ...]
    """Folders of the engine's programs, for PATH."""
    sandbox: bool
    passphrase: bool = True
    """Whether a sandbox's public passphrase may serve, where the user has set none."""
    backend: str | None = None
    """PULUMI_BACKEND_URL of a real environment (`backend_of`); None leaves it to the user's own login."""

    def environment(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The variables that a `pulumi` command runs with."""
        state = self.state
        plugins = [plugins_folder(state, environ)] if self.sandbox else []
        path = [Path(sys.executable).parent, *self.folders, *plugins]
        return {
            **environ,
            **(self._sandboxed(environ) if self.sandbox else self._real()),
            **podman.settings(state),
            # Neither the engine nor the pip that it starts asks the network for a newer release of itself.
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PATH": os.pathsep.join([*map(str, path), environ.get("PATH", os.defpath)]),
        }

    def _sandboxed(self, environ: Mapping[str, str]) -> dict[str, str]:
        """A sandbox's state never goes to a backend or a home that the user set up for real environments."""
        backend = self.state.root / ".fullbore" / "backend"
        backend.mkdir(parents=True, exist_ok=True)
        journal(self.state).parent.mkdir(parents=True, exist_ok=True)
        return {
            # Without the files of metadata, which are not written in one piece: an engine that is killed meanwhile
            # cannot read its state again.
            "PULUMI_BACKEND_URL": f"file://{backend}?metadata=skip",
            "PULUMI_HOME": str(self.state.root / ".fullbore" / "home"),
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            # Plain checkpoints: what a killed engine left is read here.
            "PULUMI_DIY_BACKEND_GZIP": "false",
            "PULUMI_SELF_MANAGED_STATE_GZIP": "false",
            "PULUMI_DIY_BACKEND_ZSTD": "false",
            "FULLBORE_JOURNAL": str(journal(self.state)),
            **({} if _has_passphrase(environ) or not self.passphrase else {"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}),
        }

    def _real(self) -> dict[str, str]:
        """The user's own home, login and passphrase serve a real environment."""
        return {} if self.backend is None else {"PULUMI_BACKEND_URL": self.backend}

    def run(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `pulumi ARGS` in the repository, its output captured. Raises SandboxError with what it said."""
        argv = [str(self.pulumi), "--non-interactive", *args]
        done = subprocess.run(
            argv, cwd=self.state.root, env=self.environment(), capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise SandboxError(f"pulumi {args[0]} {args[1] if len(args) > 1 else ''}: {done.stderr.strip()}")
        return done

    def show(self, *args: str) -> int:
        """Run `pulumi ARGS` in the repository with its output shown; its exit status.

        The terminal interrupts the engine too, which then finishes what is under way and removes its lock: it is
        waited for, and only then KeyboardInterrupt is raised. Another signal than the terminal's is handed on as that
        one, since at SIGTERM the engine stops at once.
        """
        noted: list[int] = []
        child: subprocess.Popen[bytes] | None = None

        def hand_on() -> None:
            if child is not None and noted and noted[-1] != signal.SIGINT:
                child.send_signal(signal.SIGINT)

        def note(number: int, _: object) -> None:
            noted.append(number)
            hand_on()

        # No exception: it could come when the engine runs, but is not known here yet.
        with noting(note):
            child = subprocess.Popen([str(self.pulumi), *args], cwd=self.state.root, env=self.environment())
            hand_on()
            status = child.wait()
        if noted:
            raise Interrupted(noted[0])
        return status


def open_engine(state: State, sandbox: bool, progress: Progress = lambda _: None, backend: str | None = None) -> Engine:
    """The engine for a checkout. Raises SandboxError where it cannot be built."""
    paths = programs(progress)
    folders = tuple(dict.fromkeys(p.parent for p in paths))
    return Engine(state=state, pulumi=paths[0], folders=folders, sandbox=sandbox, backend=backend)


def programs(progress: Progress = lambda _: None) -> list[Path]:
    """The engine's programs, `pulumi` first: one on PATH that is new enough and has its language host, else those built
    here, now where they are missing."""
    found = installed_engine()
    return [found] if found is not None else [tool(name, progress) for name in ENGINE]


def backend_of(stack: str, declared: str | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """Where a real environment keeps its state: the user's PULUMI_BACKEND_URL, else the environment's `state_backend`,
    else None for the user's own login. Raises SandboxError where there is none of them: a folder that
    `scripts/down` removes is no place for it."""
    chosen = environ.get("PULUMI_BACKEND_URL") or declared
    if chosen is None and not _logged_in(environ):
        raise SandboxError(
            f"stack {stack}: no backend for its state; set state_backend in stacks/Pulumi.{stack}.yaml or "
            "PULUMI_BACKEND_URL, or run `pulumi login`"
        )
    return chosen


def _logged_in(environ: Mapping[str, str]) -> bool:
    if environ.get("PULUMI_ACCESS_TOKEN"):
        return True
    file = Path(environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "credentials.json"
    try:
        return bool(json.loads(file.read_text()).get("current"))
    except (OSError, ValueError):
        return False


def installed_engine() -> Path | None:
    """A `pulumi` on PATH, or where the official installer puts it, of at least the pinned version, with its
    `pulumi-language-python` beside it."""
    found = shutil.which("pulumi") or shutil.which("pulumi", path=Path.home() / ".pulumi" / "bin")
    if found is None or not (Path(found).resolve().parent / "pulumi-language-python").exists():
        return None
    told = subprocess.run(
        [found, "version"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
    )
    return Path(found).resolve() if version_of(told.stdout) >= version_of(PULUMI_VERSION) else None


def select(engine: Engine, stack: str) -> None:
    """Select the stack, made where it does not exist. The committed stack file is left as it is, byte for byte."""
    if checkpoint(engine.state, stack).exists() and _selected(engine.state) == stack:
        return
    file = engine.state.root / "stacks" / f"Pulumi.{stack}.yaml"
    before = file.read_bytes()
    try:
        engine.run("stack", "select", stack, "--create")
    finally:
        if file.read_bytes() != before:
            file.write_bytes(before)


def checkpoint(state: State, stack: str) -> Path:
    """Where the file backend keeps the stack."""
    return state.root / ".fullbore" / "backend" / ".pulumi" / "stacks" / "fullbore" / f"{stack}.json"


def journal(state: State) -> Path:
    """What the AWS stand-in notes before and after each creation."""
    return state.dir / "data" / "aws-journal"


def plugins_folder(state: State, environ: Mapping[str, str] = os.environ) -> Path:
    """A folder with the provider plugins of this sandbox, for PATH: a plugin on PATH beats an installed one.

    `FULLBORE_PLUGINS` chooses: `official` (installed ones only), `sandbox` (stand-ins only), `auto` (official where
    the version of the SDK is installed). Raises SandboxError.
    """
    mode = environ.get("FULLBORE_PLUGINS", "auto")
    if mode not in MODES:
        raise SandboxError(f"FULLBORE_PLUGINS: got {mode}, allowed {', '.join(MODES)}")
    folder = state.dir / "plugins"
    folder.mkdir(parents=True, exist_ok=True)
    for provider, distribution in STAND_INS.items():
        name = f"pulumi-resource-{provider}"
        official = None if mode == "sandbox" else _official(state, provider, installed(distribution))
        if official is None and mode == "official":
            raise SandboxError(
                f"FULLBORE_PLUGINS: official, but {name} {installed(distribution)} is not installed; run "
                f"`pulumi plugin install resource {provider} {installed(distribution)}` or use auto"
            )
        _link(folder / name, official or PLUGINS / name)
    return folder


def _official(state: State, provider: str, version: str) -> Path | None:
    homes = (Path.home() / ".pulumi", state.root / ".fullbore" / "home")
    paths = (h / "plugins" / f"resource-{provider}-v{version}" / f"pulumi-resource-{provider}" for h in homes)
    return next((p for p in paths if p.exists()), None)


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    partial = link.with_name(f".{link.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    partial.replace(link)


def _has_passphrase(environ: Mapping[str, str]) -> bool:
    return "PULUMI_CONFIG_PASSPHRASE" in environ or "PULUMI_CONFIG_PASSPHRASE_FILE" in environ


def stack_of(args: Sequence[str], state: State, environ: Mapping[str, str] = os.environ) -> str | None:
    """The stack that `pulumi ARGS` is about, as the engine finds it: by flag, as the argument of `stack init`, `select`
    and `rm`, in PULUMI_STACK, else the one selected last; None where there is none."""
    flags, words = _split(args)
    named = words[2] if words[:1] == ["stack"] and words[1:2] and words[1] in _NAMING and words[2:] else None
    # `config cp` writes secrets into the stack that it copies to.
    copied = flags.get("dest") if words[:2] == ["config", "cp"] else None
    found = copied or flags.get("stack") or named or environ.get("PULUMI_STACK")
    return found.rpartition("/")[2] if found else _selected(state)


_NAMING = ("init", "select", "rm")
_SHORT_STACK = re.compile(r"-[dfijry]*s=?(.*)")
"""`-s`, after other letters that take no value."""
_TAKING = {
    "-C", "--cwd", "--color", "-v", "--verbose", "--tracing", "--tracing-header", "--profiling", "--memprofilerate",
    "--copy-config-from", "--secrets-provider", "--teams", "--remote-config", "-c", "-m", "--message", "-p",
}  # fmt: skip
"""Flags before whose value no `=` need stand, so that the value is no word of the command."""


def _split(args: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The stacks that flags name (`stack`, and `dest` of `config cp`), and the words that are no flags."""
    flags: dict[str, str] = {}
    words: list[str] = []
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            break
        short = None if arg.startswith("--") else _SHORT_STACK.fullmatch(arg)
        name, equals, value = arg.partition("=")
        if short:
            flags["stack"] = short[1] or next(rest, "")
        elif name in ("--stack", "--dest"):
            flags[name[2:]] = value if equals else next(rest, "")
        elif name == "-d" and words[:2] == ["config", "cp"]:
            flags["dest"] = value if equals else next(rest, "")
        elif arg in _TAKING:
            next(rest, None)
        elif not arg.startswith("-"):
            words.append(arg)
    return flags, words


def _selected(state: State) -> str | None:
    files = (state.root / ".fullbore" / "home" / "workspaces").glob("fullbore-*-workspace.json")
    stacks = [json.loads(f.read_text()).get("stack") for f in files]
    return next((s.rpartition("/")[2] for s in stacks if s), None)
