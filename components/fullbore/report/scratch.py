"""Previews of a tree in stacks that nobody else sees: own home, backend and passphrase, no credentials, no network.

A tree is copied out of the repository first (a commit, or the working tree as it is), so that the copy's stack files
can be rewritten: what was encrypted for the real stacks cannot be opened here and reads as a placeholder.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import yaml

from fullbore.config.yaml_text import read_mapping
from fullbore.guard import Registered, judge
from fullbore.problems import Problem
from fullbore.report.changes import Resource, Side

TIMEOUT_S = 300
"""Longest that one command may take."""
KEPT_ENVIRONMENT = ("LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")
"""All that a preview may know of the caller's environment, beside PATH: no credentials, no proxies."""
STAND_INS = Path("components/fullbore_sandbox/plugins/bin")
_KEYS_OF_A_SECRETS_PROVIDER = ("encryptionsalt", "secretsprovider", "encryptedkey")
_REASON_LINES = 12


class CommandFailed(Exception):
    """A child process failed; the message is the end of what it said."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A copy of the repository, and the scratch home and backend beside it."""

    root: Path
    scratch: Path
    passphrase: str

    @property
    def environ(self) -> dict[str, str]:
        """What child processes see. The tree's own code and stand-ins come before those that are installed."""
        path = [str(Path(sys.executable).parent), str(self.root / STAND_INS), os.environ.get("PATH", os.defpath)]
        return {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ} | {
            "PATH": os.pathsep.join(path),
            "HOME": str(self.scratch),
            # What the stand-ins read once from an SDK is kept there by version; it takes seconds to read again.
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
            "PYTHONPATH": str(self.root / "components"),
            "PULUMI_HOME": str(self.scratch / "home"),
            "PULUMI_BACKEND_URL": (self.scratch / "backend").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": self.passphrase,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            # The language host runs `pip list`, which asks the package index for a newer pip once a week.
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "FULLBORE_PLAN_ONLY": "1",
            "NO_COLOR": "1",
        }


_running: set[int] = set()
"""Process groups of the commands that run now, so that all can be ended from the main thread."""
_ended = threading.Event()


def end_all() -> None:
    """End every command that runs and begin no other; the threads that wait for them get CommandFailed."""
    _ended.set()
    for leader in tuple(_running):
        _end_group(leader)


def run(command: list[str], cwd: Path, environ: Mapping[str, str], stdin: bytes = b"") -> bytes:
    """Standard output of a command, which runs in a process group of its own and leaves nothing running.

    Raises CommandFailed with the end of what it said.
    """
    if _ended.is_set():
        raise CommandFailed(f"{command[0]}: told to stop")
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        _running.add(process.pid)
        if _ended.is_set():  # between the question above and the line before this one
            _end_group(process.pid)
        try:
            out, err = process.communicate(stdin, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(f"{command[0]}: no end after {TIMEOUT_S} s") from error
        finally:
            _running.discard(process.pid)
            _end_group(process.pid)
    if process.returncode:
        raise CommandFailed(_said(out, err) or f"{command[0]}: exit code {process.returncode}")
    return out


def _end_group(leader: int) -> None:
    """End whatever is left of a process group: plugins outlive an engine that was killed."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def _said(out: bytes, err: bytes) -> str:
    """The last lines of what a command said; the engine's JSON carries its errors in diagnostics."""
    text = err.decode(errors="replace").strip() or _diagnostics(out) or out.decode(errors="replace").strip()
    return "\n".join(text.splitlines()[-_REASON_LINES:])


def _diagnostics(out: bytes) -> str:
    try:
        value = json.loads(out)
    except ValueError:
        return ""
    found = value.get("diagnostics", []) if isinstance(value, dict) else []  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    items = cast("list[dict[str, str]]", found)
    return "\n".join(item["message"].strip() for item in items if item.get("severity") == "error" and "message" in item)


def copy_commit(repository: Path, commit: str, target: Path) -> None:
    """Unpack a commit's files. Raises CommandFailed where git does not know it."""
    packed = run(["git", "archive", "--format=tar", commit], repository, os.environ)
    _unpack(packed, target)


def copy_working_tree(repository: Path, target: Path) -> None:
    """Copy the files that git follows or would follow, as they are now."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], repository, os.environ)
    names = [name for name in listed.split(b"\0") if name and os.path.lexists(os.fsencode(repository) + b"/" + name)]
    packed = run(
        ["tar", "--create", "--null", "--no-recursion", "--files-from=-"], repository, os.environ, b"\0".join(names)
    )
    _unpack(packed, target)


def _unpack(packed: bytes, target: Path) -> None:
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(target, filter=_inside)


def _inside(member: tarfile.TarInfo, target: str) -> tarfile.TarInfo | None:
    """As the filter `data`, but a link that leads out of the tree is left out: a preview reads nothing there."""
    try:
        return tarfile.data_filter(member, target)
    except (tarfile.AbsoluteLinkError, tarfile.LinkOutsideDestinationError):
        print(f"preview: {member.name}: a link out of the repository, left out", file=sys.stderr)
        return None


def make_tree(root: Path, scratch: Path) -> Tree:
    """Prepare a copied tree: scratch folders, and this checkout's virtual environment where the plugins look for it."""
    (scratch / "backend").mkdir(parents=True)
    (scratch / "home").mkdir()
    (root / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    return Tree(root=root, scratch=scratch, passphrase=secrets.token_urlsafe())


def preview(tree: Tree, name: str) -> Side:
    """One environment of a tree: its problems and cost, and where nothing is wrong, what the engine would make."""
    file = tree.root / "stacks" / f"Pulumi.{name}.yaml"
    if not file.is_file():
        return Side(status="absent")
    try:
        found = _check(tree, name)
    except CommandFailed as error:
        return Side(status="failed", reason=f"fullbore check: {error}")
    problems = tuple(Problem(**problem) for problem in found["problems"])
    if not found["ok"]:
        return Side(status="refused", problems=problems)
    cost = float(found["plan"]["cost"]["total_usd_per_hour"])
    sealed = unseal(file)
    try:
        resources = _engine(tree, name)
    except CommandFailed as error:
        return Side(status="failed", problems=problems, usd_per_hour=cost, sealed=sealed, reason=str(error))
    problems += judge([Registered(type=each.type, name=each.name, inputs=each.inputs) for each in resources])
    return Side(status="previewed", resources=resources, problems=problems, usd_per_hour=cost, sealed=sealed)


def _check(tree: Tree, name: str) -> Any:
    """What the tree's own `fullbore check --json` says; its exit code 2 is an answer, not a failure."""
    code = "import sys; from fullbore.cli import main; sys.argv[0] = 'fullbore'; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "check", name, "--json"],
        cwd=tree.root,
        env={key: value for key, value in tree.environ.items() if key != "PULUMI_CONFIG_PASSPHRASE"},
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise CommandFailed(_said(done.stdout, done.stderr)) from error


def unseal(file: Path) -> dict[str, str]:
    """Rewrite a stack file so that a scratch stack can read it; returns what was encrypted, by path."""
    sealed = dict(_sealed(yaml.safe_load(file.read_text(encoding="utf-8")), ""))
    document = read_mapping(file)
    for key in _KEYS_OF_A_SECRETS_PROVIDER:
        document.pop(key, None)
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return sealed


def _sealed(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Encrypted values of a stack file: their paths below `config`, and their cipher texts."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        if list(items) == ["secure"]:
            yield path.removeprefix("config."), str(items["secure"])
            return
        for key, item in items.items():
            yield from _sealed(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _sealed(item, f"{path}[{index}]")


def _engine(tree: Tree, name: str) -> tuple[Resource, ...]:
    """Every resource that an update of an empty stack would make. Raises CommandFailed."""
    run(["pulumi", "stack", "init", name, "--non-interactive"], tree.root, tree.environ)
    command = ["pulumi", "preview", "--stack", name, "--json", "--non-interactive", "--suppress-outputs"]
    return resources_of(json.loads(run(command, tree.root, tree.environ)), tree.root)


def resources_of(document: Mapping[str, Any], root: Path) -> tuple[Resource, ...]:
    """The resources in the engine's `preview --json`, by URN: registration has no order that two runs share.

    Paths below `root` lose it, so that two copies of a tree compare equal. Providers and the stack itself are left out.
    """
    states = (step["newState"] for step in document.get("steps", []) if step.get("newState"))
    found = (
        Resource(
            urn=state["urn"],
            type=state["type"],
            name=state["urn"].rpartition("::")[2],
            inputs=cast("dict[str, object]", _plain(state.get("inputs", {}), str(root))),
        )
        for state in states
        if not state["type"].startswith("pulumi:")
    )
    return tuple(sorted(found, key=lambda resource: resource.urn))


def _plain(value: Any, root: str) -> object:
    """JSON values without the engine's own keys (`__defaults`), and with paths below `root` made relative."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {key: _plain(item, root) for key, item in items.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [_plain(item, root) for item in cast("list[Any]", value)]
    return value.replace(root, ".") if isinstance(value, str) else value
