"""What tune yields: every setting with the reason for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fullbore_runtime.errors import RuntimeRefusal

CHECK = "fullbore_runtime.check"
"""What runs beside and has to be waited for."""
Kind = Literal["env", "arg", "bind", "beside", "left"]


@dataclass(frozen=True)
class Setting:
    """One decision.

    `kind` is env for a variable, arg for an argument of the engine, bind for what the launcher does to its own process
    before it becomes the engine, beside for a module that runs beside the engine, and left for what was considered and
    is not set. An argument without values is a flag.
    """

    kind: Kind
    name: str
    values: tuple[str, ...]
    why: str

    @property
    def value(self) -> str:
        return " ".join(self.values)

    def __str__(self) -> str:
        """As it would be typed."""
        if self.kind == "left":
            return f"({self.name})"
        if self.kind == "arg":
            return " ".join(self.words())
        if self.kind == "beside":
            return f"beside: {self.name} {self.value}".rstrip()
        return f"{'bind ' if self.kind == 'bind' else ''}{self.name}={self.value}"

    def words(self) -> list[str]:
        """The words of an argument: one value joined, so that none is taken for the next argument's name."""
        name = f"--{self.name}"
        return [f"{name}={self.values[0]}"] if len(self.values) == 1 else [name, *self.values]


def arg(name: str, value: object, why: str) -> Setting:
    return Setting("arg", name, (str(value),), why)


def flag(name: str, why: str) -> Setting:
    return Setting("arg", name, (), why)


def env(name: str, value: object, why: str) -> Setting:
    return Setting("env", name, (str(value),), why)


def left(name: str, why: str) -> Setting:
    return Setting("left", name, (), why)


@dataclass(frozen=True)
class Launch:
    """Everything that `launch` carries out, and what a person should know.

    `engine` is fullbore (the CPU profile's own), vllm or sglang. With any `refusals` nothing is started; the settings
    then are those that it would be started with.
    """

    engine: str
    settings: tuple[Setting, ...]
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def of(self, kind: Kind) -> Iterator[Setting]:
        return (setting for setting in self.settings if setting.kind == kind)

    @property
    def env(self) -> dict[str, str]:
        return {setting.name: setting.value for setting in self.of("env")}

    @property
    def args(self) -> dict[str, str]:
        """Arguments by name; a flag's value is empty."""
        return {setting.name: setting.value for setting in self.of("arg")}

    @property
    def binds(self) -> dict[str, str]:
        return {setting.name: setting.value for setting in self.of("bind")}

    def check(self) -> None:
        """Raises RuntimeRefusal with every reason at once."""
        if self.refusals:
            raise RuntimeRefusal("; ".join(self.refusals))
