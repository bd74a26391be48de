"""The inputs of a host group: what is accepted, and the Ansible variables they become."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, Final, cast

from fullbore.provider.base import Failure, Map
from fullbore.provider.inputrules import (
    BOOL,
    COUNT,
    HOST_NAME,
    HOSTS,
    KEY,
    MAP,
    NAMES,
    PORT,
    TEXT,
    TEXTS,
    WORD,
    Rule,
    brief,
    check_map,
)
from fullbore.provider.values import UNKNOWN, Secret, has_unknown, join_path, plain
from fullbore.provider.window import DAYS, window_of

GROUP: Final[dict[str, Rule]] = {
    "group": TEXT,
    "rack": TEXT,
    "roles": NAMES,
    "hosts": HOSTS,
    "ssh": MAP,
    "maxFailures": COUNT,
    "content": TEXT,
    "wipe": BOOL,
    "rolling": MAP,
    "maintenance": MAP,
}
HOST: Final[dict[str, Rule]] = {
    "address": TEXT,
    "port": PORT,
    "hostKey": KEY,
    "serial": TEXT,
    "settings": TEXTS,
    "vars": MAP,
}
_START: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
ROLLING: Final[dict[str, Rule]] = {"pool": TEXT, "atOnce": COUNT, "spare": COUNT, "rollBack": BOOL}
MAINTENANCE: Final[dict[str, Rule]] = {
    "days": (lambda v: bool(v) and set(v) <= set(DAYS), f"a list of {', '.join(DAYS)}"),
    "start": (lambda v: isinstance(v, str) and bool(_START.fullmatch(v)), "a time of day, HH:MM"),
    "hours": (lambda v: type(v) is int and 1 <= v <= 24, "a whole number from 1 to 24"),
    "timeZone": TEXT,
    "drainLimitS": COUNT,
    "returnLimitS": COUNT,
    "kubeconfig": WORD,
}
DEFAULTS: Final[Map] = {"maxFailures": 0, "wipe": False, "rolling": {}, "maintenance": {}}
SSH: Final[dict[str, Rule]] = {"user": TEXT, "privateKeyFile": TEXT}


def check_inputs(inputs: Map) -> list[Failure]:
    """Everything that is wrong with a group's inputs; values that are not known yet pass."""
    if isinstance(inputs.get("hosts"), Secret):
        return [Failure("hosts", "is secret as a whole, so no diff could be shown; mark only the settings that are")]
    whole = list(_secret_whole(inputs["hosts"])) if isinstance(inputs.get("hosts"), dict) else []
    if whole:
        return whole
    bare: Map = plain(inputs)
    failures = list(check_map("", bare, GROUP))
    if isinstance(bare.get("ssh"), dict):
        failures += check_map("ssh", bare["ssh"], SSH)
    if isinstance(bare.get("rolling"), dict) and bare["rolling"]:
        failures += check_map("rolling", bare["rolling"], ROLLING)
    if isinstance(bare.get("maintenance"), dict) and bare["maintenance"]:
        failures += _check_maintenance(bare["maintenance"])
    if isinstance(bare.get("hosts"), dict):
        for name, spec in cast("Map", bare["hosts"]).items():
            failures += _check_host(name, spec)
    return failures


def _check_maintenance(given: Map) -> list[Failure]:
    failures = list(check_map("maintenance", given, MAINTENANCE))
    if not failures and not has_unknown(given):
        try:
            window_of(given)
        except ValueError as error:
            failures.append(Failure("maintenance.timeZone", str(error)))
    return failures


def _secret_whole(hosts: Map) -> Iterator[Failure]:
    """A host, or its settings, that is secret as a whole: its diff could name nothing that changes."""
    for name, spec in hosts.items():
        path = join_path("hosts", name)
        if isinstance(spec, Secret):
            yield Failure(path, "is secret as a whole, so no diff could be shown; mark only the settings that are")
        elif isinstance(spec, dict):
            for key in ("settings", "vars"):
                if isinstance(cast("Map", spec).get(key), Secret):
                    yield Failure(join_path(path, key), "is secret as a whole; mark only the values that are")


def _check_host(name: str, spec: Any) -> Iterator[Failure]:
    path = join_path("hosts", name)
    if not HOST_NAME.fullmatch(name):
        yield Failure(path, "is no host name; use a-z, 0-9 and hyphens")
    if spec is UNKNOWN:
        return
    if not isinstance(spec, dict):
        yield Failure(path, f"got {brief(spec)}, but it must be a map of {', '.join(sorted(HOST))}")
        return
    host = cast("Map", spec)
    yield from check_map(path, host, HOST)
    yield from _check_variables(path, host)


def _check_variables(path: str, host: Map) -> Iterator[Failure]:
    """The roles read `fullbore_settings`; what a diff shows must be the same."""
    settings, variables = host.get("settings"), host.get("vars")
    if not isinstance(settings, dict) or not isinstance(variables, dict):
        return
    listed: Any = cast("Map", variables).get("fullbore_settings")
    if listed is UNKNOWN:
        return
    items = cast("list[Map]", listed) if isinstance(listed, list) else []
    wants = {item.get("id"): item.get("want") for item in items}
    if wants != settings and not has_unknown([wants, settings]):
        yield Failure(
            join_path(path, "vars", "fullbore_settings"), "does not say the same as settings; give both alike"
        )


def some(inputs: Map, hosts: Collection[str]) -> Map:
    """The inputs of some of the hosts."""
    return {**inputs, "hosts": {host: spec for host, spec in inputs["hosts"].items() if host in hosts}}


def host_variables(inputs: Map, host: str, force: bool) -> Map:
    """Ansible's variables of one host: the given ones, and how it is reached."""
    from fullbore.inventory import ssh_args  # not for every preview: it imports the catalog

    spec: Map = inputs["hosts"][host]
    maintenance: Map = inputs.get("maintenance") or {}
    return {
        "ansible_python_interpreter": "/usr/bin/python3",
        **spec["vars"],
        "ansible_host": spec["address"],
        "ansible_port": spec["port"],
        "ansible_user": inputs["ssh"]["user"],
        "ansible_ssh_private_key_file": inputs["ssh"]["privateKeyFile"],
        "ansible_ssh_common_args": ssh_args(spec["hostKey"]),
        "fullbore_force_host": force,
        **({"fullbore_return_limit_s": maintenance["returnLimitS"]} if maintenance else {}),
    }


def inventory_groups(inputs: Map) -> dict[str, list[str]]:
    """Ansible's groups: the roles, the rack and the host group. Ansible allows no hyphen in a group's name."""
    names = [*inputs["roles"], f"rack_{inputs['rack']}", f"group_{inputs['group']}"]
    return {name.replace("-", "_"): sorted(inputs["hosts"]) for name in names}
