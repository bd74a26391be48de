"""The inputs of a host group: what is accepted, and the Ansible variables they become."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from fullbore.provider.base import Failure, Map
from fullbore.provider.values import UNKNOWN, Secret, has_unknown, join_path, plain

MAX_HOSTS: Final = 32
"""Machines of one resource: more make one diff unreadable and one run too long."""

_HOST_KEY: Final = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]+={0,2}")
_HOST_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

Rule = tuple[Callable[[Any], bool], str]
"""(accepts a value, what is allowed)"""

_TEXT: Final[Rule] = (lambda v: isinstance(v, str) and v != "", "a text that is not empty")
_MAP: Final[Rule] = (lambda v: isinstance(v, dict), "a map")
_BOOL: Final[Rule] = (lambda v: isinstance(v, bool), "true or false")
_COUNT: Final[Rule] = (lambda v: type(v) is int and v >= 0, "a whole number from 0")
_PORT: Final[Rule] = (lambda v: type(v) is int and 1 <= v <= 65535, "a whole number from 1 to 65535")
_NAMES: Final[Rule] = (
    lambda v: isinstance(v, list) and all(isinstance(item, str) for item in cast("list[Any]", v)),
    "a list of names",
)
_KEY: Final[Rule] = (lambda v: isinstance(v, str) and bool(_HOST_KEY.fullmatch(v)), "'ssh-ed25519 AAAA...'")
_HOSTS: Final[Rule] = (
    lambda v: isinstance(v, dict) and 1 <= len(cast("Map", v)) <= MAX_HOSTS,
    f"a map of 1 to {MAX_HOSTS} hosts; split a larger group by rack",
)
_SETTINGS: Final[Rule] = (
    lambda v: isinstance(v, dict) and all(isinstance(item, str) for item in cast("Map", v).values()),
    "a map of texts",
)

GROUP: Final[dict[str, Rule]] = {
    "group": _TEXT,
    "rack": _TEXT,
    "roles": _NAMES,
    "hosts": _HOSTS,
    "ssh": _MAP,
    "maxFailures": _COUNT,
    "content": _TEXT,
    "wipe": _BOOL,
}
HOST: Final[dict[str, Rule]] = {
    "address": _TEXT,
    "port": _PORT,
    "hostKey": _KEY,
    "serial": _TEXT,
    "settings": _SETTINGS,
    "vars": _MAP,
}
SSH: Final[dict[str, Rule]] = {"user": _TEXT, "privateKeyFile": _TEXT}


def check_inputs(inputs: Map) -> list[Failure]:
    """Everything that is wrong with a group's inputs; values that are not known yet pass."""
    if isinstance(inputs.get("hosts"), Secret):
        return [Failure("hosts", "is secret as a whole, so no diff could be shown; mark only the settings that are")]
    whole = list(_secret_whole(inputs["hosts"])) if isinstance(inputs.get("hosts"), dict) else []
    if whole:
        return whole
    bare: Map = plain(inputs)
    failures = list(_check_map("", bare, GROUP))
    if isinstance(bare.get("ssh"), dict):
        failures += _check_map("ssh", bare["ssh"], SSH)
    if isinstance(bare.get("hosts"), dict):
        for name, spec in cast("Map", bare["hosts"]).items():
            failures += _check_host(name, spec)
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


def _check_map(prefix: str, values: Map, rules: dict[str, Rule]) -> Iterator[Failure]:
    for key, (accepts, allowed) in rules.items():
        path = join_path(prefix, key)
        value = values.get(key)
        if value is None:
            yield Failure(path, f"is missing; give {allowed}")
        elif not _unknown_inside(value) and not accepts(value):
            yield Failure(path, f"got {_brief(value)}, but it must be {allowed}")
    for key in values:
        if key not in rules:
            yield Failure(join_path(prefix, key), f"is not known here; allowed are {', '.join(sorted(rules))}")


def _check_host(name: str, spec: Any) -> Iterator[Failure]:
    path = join_path("hosts", name)
    if not _HOST_NAME.fullmatch(name):
        yield Failure(path, "is no host name; use a-z, 0-9 and hyphens")
    if spec is UNKNOWN:
        return
    if not isinstance(spec, dict):
        yield Failure(path, f"got {_brief(spec)}, but it must be a map of {', '.join(sorted(HOST))}")
        return
    host = cast("Map", spec)
    yield from _check_map(path, host, HOST)
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


def _unknown_inside(value: Any) -> bool:
    """True where a rule cannot be applied yet: the value, or a direct part of it, is not known."""
    parts: list[Any] = [value]
    if isinstance(value, dict):
        parts = list(cast("Map", value).values())
    elif isinstance(value, list):
        parts = cast("list[Any]", value)
    return any(part is UNKNOWN for part in parts)


def _brief(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:59]}…"


def host_variables(inputs: Map, host: str, force: bool) -> Map:
    """Ansible's variables of one host: the given ones, and how it is reached."""
    from fullbore.inventory import ssh_args  # not for every preview: it imports the catalog

    spec: Map = inputs["hosts"][host]
    return {
        "ansible_python_interpreter": "/usr/bin/python3",
        **spec["vars"],
        "ansible_host": spec["address"],
        "ansible_port": spec["port"],
        "ansible_user": inputs["ssh"]["user"],
        "ansible_ssh_private_key_file": inputs["ssh"]["privateKeyFile"],
        "ansible_ssh_common_args": ssh_args(spec["hostKey"]),
        "fullbore_force_host": force,
    }


def inventory_groups(inputs: Map) -> dict[str, list[str]]:
    """Ansible's groups: the roles, the rack and the host group. Ansible allows no hyphen in a group's name."""
    names = [*inputs["roles"], f"rack_{inputs['rack']}", f"group_{inputs['group']}"]
    return {name.replace("-", "_"): sorted(inputs["hosts"]) for name in names}
