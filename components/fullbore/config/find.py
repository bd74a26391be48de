"""Where an environment's file is: by its name, or by a path."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

from fullbore.problems import refusal

_STACK_FILE = re.compile(r"Pulumi\.(?P<name>[^/]+)\.yaml")


def repository_root(start: Path) -> Path:
    """The folder that holds Pulumi.yaml: `start` or one above it, else the checkout that this code lies in."""
    for folder in (start, *start.parents):
        if (folder / "Pulumi.yaml").is_file():
            return folder
    return Path(__file__).parents[3]


def stack_name(path: Path) -> str | None:
    """`dev` of `stacks/Pulumi.dev.yaml`; None where the file is named otherwise."""
    match = _STACK_FILE.fullmatch(path.name)
    return match["name"] if match else None


def environment_names(root: Path) -> tuple[str, ...]:
    """Environments of a checkout, sorted."""
    names = (stack_name(path) for path in (root / "stacks").glob("Pulumi.*.yaml") if path.is_file())
    return tuple(sorted(name for name in names if name))


def find_file(env: str, root: Path) -> Path:
    """The file of an environment: a path where it looks like one, else stacks/Pulumi.ENV.yaml. Raises ConfigError."""
    if not env.strip():
        known = ", ".join(environment_names(root)) or "none"
        message = f"got an empty name; give the path of a stack file or the name of an environment; known: {known}"
        raise refusal("ENV", "environment-missing", message)
    looks_like_path = "/" in env or env.endswith((".yaml", ".yml"))
    path = Path(env) if looks_like_path else root / "stacks" / f"Pulumi.{env}.yaml"
    if _is_file(path):
        return path
    if looks_like_path:
        what = "this is no plain file" if _exists(path) else "there is no such file"
        message = f"{what}; give the path of a stack file or the name of an environment"
    else:
        known = environment_names(root)
        near = get_close_matches(env, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        message = f"there is no such environment{hint}; known: {', '.join(known) or 'none'}"
    raise refusal(env[:80], "environment-missing", message)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a NUL byte
        return False
