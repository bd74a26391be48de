"""Rules about the machines of the site."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fullbore.config.models import Host, HostGroup
from fullbore.plan.change import put, remove
from fullbore.plan.checks.base import Finding, Rule, Subject, counted
from fullbore.plan.rolling import spare_machines


def _groups(subject: Subject) -> Iterator[tuple[str, HostGroup]]:
    for name, group in subject.env.site.groups.items() if subject.env.site else ():
        yield f"site.groups.{name}", group


def _hosts(subject: Subject) -> Iterator[tuple[str, str, Host]]:
    """Path of the group, name and value of every host of the site."""
    for path, group in _groups(subject):
        for name, host in group.hosts.items():
            yield path, name, host


def _at(group: str, name: str) -> str:
    """A host's path: put together only for those that something is wrong with."""
    return f"{group}.hosts.{name}"


def _host_key(subject: Subject) -> Iterable[Finding]:
    if subject.env.sandbox:
        return
    for group, name, host in _hosts(subject):
        if host.host_key is None:
            where = host.address or name
            message = f"missing; add the host's public key: ssh-keyscan -t ed25519 {where}, compared at its console"
            yield Finding(f"{_at(group, name)}.host_key", message)


def _host_address(subject: Subject) -> Iterable[Finding]:
    if subject.env.sandbox:
        return
    for group, name, host in _hosts(subject):
        if host.address is None:
            yield Finding(f"{_at(group, name)}.address", "missing; add the management address that SSH reaches")


def _outside(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    if site is None:
        return
    first, last = int(site.cidr.network_address), int(site.cidr.broadcast_address)
    for group, name, host in _hosts(subject):
        if host.address is not None and not first <= int(host.address) <= last:
            message = f"got {host.address}, allowed an address in site.cidr {site.cidr}"
            yield Finding(f"{_at(group, name)}.address", message)


_IDENTITIES: dict[str, tuple[str, Callable[[str, Host], object]]] = {
    "": ("name", lambda name, host: name),
    ".serial": ("serial number", lambda name, host: host.serial),
    ".address": ("address and port", lambda name, host: host.address and (int(host.address), host.port)),
    ".host_key": ("host key", lambda name, host: host.host_key),
    ".bmc": ("BMC", lambda name, host: host.bmc),
}
"""What no two hosts may share: the field's path below the host, its noun, and its value."""


def _twice(subject: Subject) -> Iterable[Finding]:
    """One finding for each pair of hosts, which names everything that the two share."""
    hosts = list(_hosts(subject))
    shared: dict[tuple[str, str], list[str]] = {}
    for field, (_, value_of) in _IDENTITIES.items():
        values = [value_of(name, host) for _, name, host in hosts]
        given = [value for value in values if value is not None]
        for one, other in _pairs(values) if len(set(given)) < len(given) else ():
            shared.setdefault((_at(*hosts[one][:2]), _at(*hosts[other][:2])), []).append(field)
    for (path, other), fields in shared.items():
        nouns = ", ".join(_IDENTITIES[field][0] for field in fields)
        where = path + fields[0] if len(fields) == 1 else path
        yield Finding(where, f"has the {nouns} of {other}; list each machine once")


def _pairs(values: Sequence[object]) -> Iterator[tuple[int, int]]:
    """Places of values that stand further in front, too, with the first place."""
    first: dict[object, int] = {}
    for index, value in enumerate(values):
        other = first.setdefault(value, index) if value is not None else index
        if other != index:
            yield index, other


def _gpu_fields(subject: Subject) -> Iterable[Finding]:
    for path, group in _groups(subject):
        if group.kind == "gpu" and group.accelerator is None:
            yield Finding(f"{path}.accelerator", "missing; a group of kind gpu names its GPU model")
        if group.kind == "gpu" and group.gpus_per_host == 0:
            yield Finding(f"{path}.gpus_per_host", "got 0, allowed 1 or more in a group of kind gpu")
        if group.kind == "storage" and (group.accelerator or group.gpus_per_host):
            message = "got storage, but the group names GPUs; make it gpu or remove them"
            yield Finding(f"{path}.kind", message, (remove(f"{path}.accelerator"), remove(f"{path}.gpus_per_host")))


def _max_failures(subject: Subject) -> Iterable[Finding]:
    """Each group counts its own hosts. Where every host of every group may fail, no failure would ever be seen."""
    site = subject.env.site
    hosts = max((len(group.hosts) for _, group in _groups(subject)), default=0)
    if site and site.max_failures >= hosts:
        message = (
            f"got {site.max_failures}, but the largest group has {counted(hosts, 'host')}: all could fail unseen; "
            f"allowed at most {hosts - 1}"
        )
        yield Finding("site.max_failures", message, (put("site.max_failures", hosts - 1),))


def _serving_floor(subject: Subject) -> Iterable[Finding]:
    """A change takes at least one machine out of service."""
    site = subject.env.site
    share = site.rolling.min_serving_share if site else None
    machines = sum(len(group.hosts) for _, group in _groups(subject) if group.kind == "gpu")
    if site and share is not None and machines and spare_machines(machines, site.rolling, None) < 1:
        most = 100 * (machines - 1) // machines / 100
        message = (
            f"got {share:g}, but of {counted(machines, 'GPU machine')} none could ever change; allowed at most {most:g}"
        )
        yield Finding("site.rolling.min_serving_share", message, (put("site.rolling.min_serving_share", most),))


def _maintenance(subject: Subject) -> Iterable[Finding]:
    """What no window can be: unknown to the IANA database, twice a day, or shorter than one machine may take."""
    given = subject.env.site.maintenance if subject.env.site else None
    if given is None:
        return
    path = "site.maintenance"
    if not _known_zone(given.time_zone):
        message = (
            f"got {given.time_zone[:60]}, which is no time zone of the IANA database; take e.g. Europe/Berlin or UTC"
        )
        yield Finding(f"{path}.time_zone", message, (put(f"{path}.time_zone", "UTC"),))
    once = list(dict.fromkeys(given.days))
    if len(once) < len(given.days):
        yield Finding(f"{path}.days", f"got {', '.join(given.days)}; name each day once", (put(f"{path}.days", once),))
    if given.drain_limit_s >= given.hours * 3600:
        most = given.hours * 3600 // 2
        message = (
            f"got {given.drain_limit_s}, but the window is open for {given.hours * 3600} s and has a reboot to hold"
        )
        fix = f"; lower it, e.g. to {most}, or raise hours"
        yield Finding(f"{path}.drain_limit_s", message + fix, (put(f"{path}.drain_limit_s", most),))


def _known_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False
    return True


def _bmc_account(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    for path, name, host in _hosts(subject):
        group = site.groups[path.rpartition(".")[2]] if site else None
        if site and group and host.bmc and not (site.bmc or group.bmc):
            message = f"got {host.bmc}, but there is no account on it; add site.bmc with user and password"
            yield Finding(f"{_at(path, name)}.bmc", message, (remove(f"{_at(path, name)}.bmc"),))


def _bmc_trust(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    accounts = {"site.bmc": site.bmc if site else None}
    accounts |= {f"{path}.bmc": group.bmc for path, group in _groups(subject)}
    for path, account in accounts.items():
        if account and account.insecure and account.ca_file:
            message = "got true beside ca_file, which says whom to trust; remove one of the two"
            yield Finding(f"{path}.insecure", message, (remove(f"{path}.insecure"),))


def _sandbox_hosts(subject: Subject) -> Iterable[Finding]:
    if subject.endpoints is None:
        return
    for group, name, _ in _hosts(subject):
        if name not in subject.endpoints.hosts:
            yield Finding(_at(group, name), "the running sandbox has no such host; run scripts/up, which starts it")


RULES = (
    Rule(
        id="maintenance-window",
        severity="error",
        summary="a time zone that does not exist, a day named twice, or no time for a reboot after draining",
        find=_maintenance,
    ),
    Rule(
        id="bmc-account-missing",
        severity="error",
        summary="a host names its BMC, and there is no account on it",
        find=_bmc_account,
    ),
    Rule(
        id="bmc-trust",
        severity="error",
        summary="BMCs' certificates are both checked and taken unseen",
        find=_bmc_trust,
    ),
    Rule(id="host-key-missing", severity="error", summary="a real host has no planned SSH host key", find=_host_key),
    Rule(id="host-address-missing", severity="error", summary="a real host has no address", find=_host_address),
    Rule(
        id="host-address-outside-site",
        severity="error",
        summary="a host's address is not in the site's network",
        find=_outside,
    ),
    Rule(
        id="host-twice",
        severity="error",
        summary="two hosts share a name, serial number, address, host key or BMC",
        find=_twice,
    ),
    Rule(
        id="gpu-group-fields",
        severity="error",
        summary="a group's kind and its GPU fields disagree",
        find=_gpu_fields,
    ),
    Rule(
        id="max-failures-too-many",
        severity="error",
        summary="max_failures lets every host of every group fail",
        find=_max_failures,
    ),
    Rule(
        id="serving-floor-too-high",
        severity="error",
        summary="the share of machines that must go on serving lets none change",
        find=_serving_floor,
    ),
    Rule(
        id="sandbox-host-missing",
        severity="error",
        summary="a host is listed that the running sandbox has not started",
        find=_sandbox_hosts,
    ),
)
