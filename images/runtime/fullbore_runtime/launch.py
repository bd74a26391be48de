"""Launch: becomes the engine. The process is replaced, so signals reach the engine itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import NoReturn

from fullbore_runtime.tune import Tuned

ENGINE = "fullbore_runtime.server"


def command(tuned: Tuned) -> list[str]:
    """The engine's argument vector; an empty value is left out."""
    args = [f"--{name}={value}" for name, value in tuned.args.items() if value]
    return [sys.executable, "-m", ENGINE, *args]


def environment(tuned: Tuned, inherited: Mapping[str, str]) -> dict[str, str]:
    """What was inherited, with the tuned values on top."""
    return {**inherited, **tuned.env}


def launch(tuned: Tuned) -> NoReturn:
    argv = command(tuned)
    os.execve(argv[0], argv, environment(tuned, os.environ))


def explain(tuned: Tuned) -> str:
    """Each setting with why, one a line."""
    names = [setting.name if setting.kind == "env" else f"--{setting.name}" for setting in tuned.settings]
    width = max(len(f"{name}={setting.value}") for name, setting in zip(names, tuned.settings, strict=True))
    return "\n".join(
        f"{f'{name}={setting.value}':<{width}}  {setting.why}"
        for name, setting in zip(names, tuned.settings, strict=True)
    )
