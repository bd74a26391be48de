"""Switching one planned machine: whether it may go off, and what is printed.

A machine that serves is not switched off: by hand it would go without a drain, beside the floor that waves keep, and at
any time of the day. What decides is what decides about reboots in `up`: the drain, the window and the floor.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from fullbore.bmc.ask import Secret, access_to
from fullbore.bmc.client import connect
from fullbore.bmc.compare import PlannedHost, planned_hosts
from fullbore.bmc.model import BmcError
from fullbore.bmc.power import Device, State, Switch
from fullbore.config import Environment
from fullbore.config.paths import clip
from fullbore.declared import maintenance_inputs
from fullbore.machines.given import site_of
from fullbore.plan.model import Plan
from fullbore.problems import refusal
from fullbore.provider.drain import Failed, Kubectl, NotBack
from fullbore.provider.window import waits, window_of

SHOWN_PODS = 3
"""Pods that a message names at most."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be done with a machine."""

    action: Literal["on", "off", "cycle", "status"]
    boot: Device | None = None
    force: bool = False
    drain: bool = False
    even_if_serving: bool = False
    limit_s: float = 600


def power(environment: Environment, plan: Plan, name: str, order: Order, secret: Secret, *, as_json: bool) -> None:
    """Do it, wait until it is done, and print the machine's state. Raises ConfigError where it is not done."""
    host = _planned(environment, name)
    _sensible(order)
    access = access_to(site_of(environment), host.group_name, str(host.host.bmc), secret, os.environ)
    if order.action in ("off", "cycle") and not order.even_if_serving:
        release(plan, host, _kubectl(plan), drain=order.drain, now=lambda: datetime.now(UTC))
    try:
        with connect(access) as bmc:
            state = _switched(Switch(bmc, order.limit_s, _teller(name)), order)
    except BmcError as error:
        drained = "; its node stays drained until the next pulumi up" if order.drain else ""
        raise refusal(f"{host.path}.bmc", "bmc-order", f"{error.message}{drained}") from error
    _show(name, access.address, state, as_json=as_json)


def _sensible(order: Order) -> None:
    """Raises ConfigError where a part of the order would do nothing."""
    if order.boot and order.action not in ("on", "cycle"):
        raise refusal("--boot", "bmc-order", f"got {order.boot} with {order.action}, allowed with on and cycle")
    idle = [name for name in ("force", "drain", "even_if_serving") if getattr(order, name)]
    if idle and order.action not in ("off", "cycle"):
        option = idle[0].replace("_", "-")
        raise refusal(f"--{option}", "bmc-order", f"got it with {order.action}, allowed with off and cycle")
    if order.drain and order.even_if_serving:
        raise refusal(
            "--drain", "bmc-order", "got it with --even-if-serving, which drains nothing; give one of the two"
        )


def _planned(environment: Environment, name: str) -> PlannedHost:
    """Raises ConfigError where there is no such host, or it has no BMC."""
    hosts = {host.name: host for host in planned_hosts(site_of(environment))}
    host = hosts.get(name)
    if host is None:
        raise refusal("HOST", "bmc-unknown", f"got {clip(name)}, allowed {', '.join(hosts)}")
    if host.host.bmc is None:
        raise refusal(f"{host.path}.bmc", "bmc-unknown", "missing; add the name or the address of its BMC")
    return host


def _switched(switch: Switch, order: Order) -> State:
    if order.boot:
        switch.boot_once(order.boot)
    if order.action in ("off", "cycle"):
        switch.off(force=order.force)
    if order.action in ("on", "cycle"):
        switch.on()
    return switch.state()


def _kubectl(plan: Plan) -> Kubectl | None:
    return Kubectl(plan.cluster.kubeconfig) if plan.cluster and plan.cluster.kubeconfig else None


def release(
    plan: Plan, host: PlannedHost, kubectl: Kubectl | None, *, drain: bool, now: Callable[[], datetime]
) -> None:
    """Return where the machine serves nothing, or is drained now. Raises ConfigError where it must stay on."""
    if kubectl is None:
        return
    try:
        pods = kubectl.pods(host.name)
        if pods and not drain:
            more = f" and {len(pods) - SHOWN_PODS} more" if len(pods) > SHOWN_PODS else ""
            told = f"serves: {', '.join(pods[:SHOWN_PODS])}{more}; drain it with --drain, or say --even-if-serving"
            raise refusal(host.path, "bmc-serving", told)
        why = _drained(plan, host, kubectl, now()) if pods else ""
    except Failed as error:
        told = f"whether it serves cannot be told ({error}); mend that, or say --even-if-serving"
        raise refusal(host.path, "bmc-serving", told) from error
    except NotBack as error:
        why = str(error)
    if why:
        raise refusal(host.path, "bmc-serving", f"stays on: {why}")


def _drained(plan: Plan, host: PlannedHost, kubectl: Kubectl, now: datetime) -> str:
    """Why it is not drained; empty where it is. `pulumi up` puts it back into service once it is well."""
    maintenance = plan.site.maintenance if plan.site else None
    shut = waits(window_of(maintenance_inputs(maintenance)), now)
    if shut or maintenance is None:
        return f"{shut}; or say --even-if-serving"
    groups = [group for group in (plan.site.groups if plan.site else ()) if group.kind == host.group.kind]
    out = sorted(kubectl.drained() & {each.name for group in groups for each in group.hosts} - {host.name})
    spare = max(group.rolling.spare for group in groups)
    if len(out) >= spare:
        return f"{', '.join(out) or 'no other'} of its kind is out of service, and at most {spare} may be at once"
    return kubectl.drain(host.name, maintenance.drain_limit_s)


def _teller(name: str) -> Callable[[str], None]:
    return lambda state: print(f"{name}: {state or 'no state'}", file=sys.stderr, flush=True)


def _show(name: str, address: str, state: State, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"host": name, "bmc": address, **asdict(state)}, indent=2))
        return
    boot = state.boot
    how = ", ".join(filter(None, (boot.enabled, boot.mode)))
    print(f"{name}: {state.power or 'power not said'}; boots from {boot.target or 'what its firmware says'} ({how})")
