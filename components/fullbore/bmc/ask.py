"""Asking many BMCs at once, and where their addresses and passwords come from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from typing import Final

from fullbore.bmc.client import connect
from fullbore.bmc.inventory import read
from fullbore.bmc.model import Access, BmcError, Inventory
from fullbore.config.bmc import ADDRESS_PATTERN
from fullbore.config.models import Site
from fullbore.config.paths import clip
from fullbore.problems import refusal

AT_ONCE: Final = 32
"""BMCs that are asked at the same time; each of them gets one request after the other."""
MOST_ADDRESSES: Final = 4096
PASSWORD: Final = "FULLBORE_BMC_PASSWORD"
"""Variable with the password, where the environment holds none or it cannot be opened."""

Secret = Callable[[tuple[str, ...]], "str | None"]
"""The encrypted value of a field in clear; None where nothing at hand opens it."""
Answers = dict[str, Inventory | BmcError]


def access_to(site: Site, group_name: str, address: str, secret: Secret, environ: Mapping[str, str]) -> Access:
    """The account on a BMC of the group. Raises ConfigError where there is none, or no password of it."""
    group = site.groups.get(group_name)
    own = group.bmc if group else None
    field = ("site", "groups", group_name, "bmc") if own else ("site", "bmc")
    account, path = own or site.bmc, ".".join(field)
    if account is None:
        raise refusal(path, "bmc-account-missing", "missing; add the user and the password of the BMCs")
    password = environ.get(PASSWORD) or (secret((*field, "password")) if account.password is not None else None)
    if not password:
        message = _no_password(f"{path}.password", encrypted=account.password is not None)
        raise refusal(f"{path}.password", "bmc-password", message)
    return Access(
        address=address, user=account.user, password=password, ca_file=account.ca_file, insecure=account.insecure
    )


def _no_password(path: str, *, encrypted: bool) -> str:
    if not encrypted:
        return f"missing; export {PASSWORD}, or set it with pulumi config set --secret --path 'fullbore:env.{path}'"
    return (
        "no passphrase at hand opens it; export PULUMI_CONFIG_PASSPHRASE, or "
        f"{PASSWORD}=$(pulumi config get --path 'fullbore:env.{path}')"
    )


def ask(accesses: Mapping[str, Access], done: Callable[[str], None]) -> Answers:
    """The inventory of each machine, or why there is none, in the order given. `done` hears each name as it ends."""
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        running = {pool.submit(_ask, access): name for name, access in accesses.items()}
        found: Answers = {}
        for future in as_completed(running):
            found[running[future]] = future.result()
            done(running[future])
    return {name: found[name] for name in accesses}


def _ask(access: Access) -> Inventory | BmcError:
    try:
        with connect(access) as bmc:
            return read(bmc.address, bmc.root, bmc.get)
    except BmcError as error:
        return error


def addresses(written: str) -> tuple[str, ...]:
    """`192.0.2.10-192.0.2.20`, `192.0.2.0/24`, names and addresses, with commas between. Raises ConfigError."""
    found: list[str] = []
    for part in filter(None, map(str.strip, written.split(","))):
        found += _addresses(part)
        if len(found) > MOST_ADDRESSES:
            raise refusal("--range", "bmc-range", f"got more than {MOST_ADDRESSES} addresses; give fewer at a time")
    if not found:
        raise refusal("--range", "bmc-range", "got no address; give e.g. 192.0.2.10-192.0.2.20 or 192.0.2.0/28")
    return tuple(dict.fromkeys(found))


def _addresses(part: str) -> list[str]:
    first, _, last = (end.strip() for end in part.partition("-"))
    try:
        if "/" in part:
            network = IPv4Network(part)
            return [str(address) for address in islice(network.hosts(), MOST_ADDRESSES + 1)]
        if _is_address(first) and last:
            start, end = int(IPv4Address(first)), int(IPv4Address(last))
            return [str(IPv4Address(number)) for number in range(start, min(end, start + MOST_ADDRESSES) + 1)]
    except ValueError as error:
        raise refusal("--range", "bmc-range", f"got {clip(part)}: {error}; give e.g. 192.0.2.0/28") from error
    if not re.fullmatch(ADDRESS_PATTERN, part):
        raise refusal("--range", "bmc-range", f"got {clip(part)}, allowed addresses, ranges and names of BMCs")
    return [part]


def _is_address(written: str) -> bool:
    try:
        IPv4Address(written)
    except ValueError:  # a name may have hyphens
        return False
    return True
