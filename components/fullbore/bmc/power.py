"""Switching one machine through its BMC: what it boots from once, its power, and waiting until it is so."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from sushy.resources.constants import ResetType
from sushy.resources.system.constants import BootSource, BootSourceOverrideEnabled

from fullbore.bmc.client import Bmc, told
from fullbore.bmc.documents import Tree, text
from fullbore.bmc.inventory import boot, host_system
from fullbore.bmc.model import BmcError, Boot

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

Device = Literal["pxe", "disk"]
DEVICES: Final[dict[str, BootSource]] = {"pxe": BootSource.PXE, "disk": BootSource.HDD}
POLL_S: Final = 2
ON, OFF = "On", "Off"


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The time, and waiting; a test's own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, kw_only=True)
class State:
    power: str
    boot: Boot


class Switch:
    """The power of the machine behind a BMC. Every method raises BmcError.

    `limit_s` is how long each state is waited for; `tell` hears each state that is seen.
    """

    def __init__(
        self, bmc: Bmc, limit_s: float, tell: Callable[[str], None] = lambda state: None, clock: Clock | None = None
    ) -> None:
        self._bmc, self._limit_s, self._tell, self._clock = bmc, limit_s, tell, clock or Clock()
        system = host_system(bmc.address, Tree(bmc.get).members(bmc.root, "Systems"))
        self._path = text(system, "@odata.id")
        with told(bmc.address, self._path):
            self._system: Any = bmc.service.get_system(self._path)

    def state(self) -> State:
        document = self._bmc.get(self._path) or {}
        return State(power=text(document, "PowerState"), boot=boot(document))

    def boot_once(self, device: Device) -> State:
        """Set what it boots from at its next start only, and read that back."""
        wanted = DEVICES[device]
        with told(self._bmc.address, self._path):
            allowed = self._system.get_allowed_system_boot_source_values()
            if wanted not in allowed:
                raise self._error(f"cannot boot from {wanted.value}, allowed {_names(allowed)}; set it in its firmware")
            self._system.set_system_boot_options(target=wanted, enabled=BootSourceOverrideEnabled.ONCE)
        state = self.state()
        if state.boot.target != wanted.value:
            raise self._error(
                f"took {wanted.value} as boot device and says {state.boot.target or 'none'}; set it by hand"
            )
        return state

    def on(self) -> None:
        self._reach(ON, (ResetType.ON, ResetType.FORCE_ON))

    def off(self, *, force: bool) -> None:
        """By the machine's own system, or at once with `force`."""
        self._reach(OFF, (ResetType.FORCE_OFF,) if force else (ResetType.GRACEFUL_SHUTDOWN,))

    def _reach(self, wanted: str, ways: tuple[ResetType, ...]) -> None:
        if self.state().power == wanted:
            return
        with told(self._bmc.address, self._path):
            allowed = self._system.get_allowed_reset_system_values()
            way = next((each for each in ways if each in allowed), None)
            if way is None:
                raise self._error(f"cannot {ways[0].value}, allowed {_names(allowed)}{_forced(wanted, ways)}")
            self._system.reset_system(way)
        self._wait(wanted, way)

    def _wait(self, wanted: str, way: ResetType) -> None:
        """Poll; an answer that fails is asked for again, for some BMCs are busy while they switch."""
        end, seen, failed = self._clock.now() + self._limit_s, "", ""
        while True:
            try:
                state, failed = self.state().power, ""
            except BmcError as error:
                state, failed = seen, f"; at last: {error.message}"
            if state != seen:
                self._tell(state)
                seen = state
            if state == wanted:
                return
            if self._clock.now() >= end:
                raise self._error(
                    f"is {seen or 'silent'} {self._limit_s:g} s after {way.value}, wanted {wanted}{failed}"
                    f"{_forced(wanted, (way,)) or '; look at its console'}"
                )
            self._clock.sleep(POLL_S)

    def _error(self, message: str) -> BmcError:
        return BmcError(self._bmc.address, message)


def _forced(wanted: str, ways: tuple[ResetType, ...]) -> str:
    return "; --force cuts its power" if wanted == OFF and ResetType.FORCE_OFF not in ways else ""


def _names(allowed: set[Any]) -> str:
    return ", ".join(sorted(each.value for each in allowed)) or "nothing"
