"""Reading machines through their BMCs: those of the environment, and others."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict

from fullbore.bmc.ask import Secret, access_to, addresses, ask
from fullbore.bmc.compare import planned_hosts
from fullbore.bmc.model import BmcError
from fullbore.config import Environment
from fullbore.config.paths import clip
from fullbore.machines.given import site_of
from fullbore.problems import refusal
from fullbore.report.discover import Discovered, document, rows, section, unlisted
from fullbore.report.terminal import show_sections


def discover(environment: Environment, secret: Secret, *, as_json: bool) -> bool:
    """Read every host that names its BMC. False where one differs or does not answer. Raises ConfigError."""
    site = site_of(environment)
    planned = planned_hosts(site)
    asked = {host.path: host for host in planned if host.host.bmc}
    if not asked:
        raise refusal("site.groups", "bmc-unknown", "no host names its BMC; add bmc to hosts, or look with --range")
    accesses = {
        path: access_to(site, host.group_name, str(host.host.bmc), secret, os.environ) for path, host in asked.items()
    }
    answers = ask(accesses, _progress(len(accesses)))
    found = [Discovered(planned=host, bmc=accesses[path].address, answer=answers[path]) for path, host in asked.items()]
    without = [host.name for host in planned if not host.host.bmc]
    if as_json:
        print(json.dumps(document(environment.name, found, without), indent=2, ensure_ascii=False))
    else:
        show_sections([section(found, without)])
    return all(host.as_planned for host in found)


def find(environment: Environment, written: str, group: str, secret: Secret, *, as_json: bool) -> bool:
    """Rows of hosts for machines that the environment does not list yet. False where a BMC refuses, or none answers.

    An address at which nothing answers is no fault: a range has holes. Raises ConfigError.
    """
    site = site_of(environment)
    if group and group not in site.groups:
        raise refusal("--group", "bmc-unknown", f"got {clip(group)}, allowed {', '.join(sorted(site.groups))}")
    planned = planned_hosts(site)
    listed = {host.host.bmc for host in planned}
    wanted = [address for address in addresses(written) if address not in listed]
    accesses = {address: access_to(site, group, address, secret, os.environ) for address in wanted}
    answers = ask(accesses, _progress(len(accesses)))
    refused = {address: answer for address, answer in answers.items() if isinstance(answer, BmcError)}
    for error in refused.values():
        if not error.silent:
            print(f"fullbore: {error}", file=sys.stderr)
    silent = sum(error.silent for error in refused.values())
    read = {address: answer for address, answer in answers.items() if not isinstance(answer, BmcError)}
    new = unlisted(read, (host.host.serial for host in planned))
    print(f"fullbore: {len(read)} machines, {len(new)} of them new; {silent} addresses are silent", file=sys.stderr)
    if as_json:
        print(json.dumps({address: asdict(machine) for address, machine in new.items()}, indent=2, ensure_ascii=False))
    else:
        print(rows(new), end="")
    return bool(read) and silent == len(refused)


def _progress(total: int) -> Callable[[str], None]:
    """Counts on a terminal what is done, in one line."""
    done = 0

    def tell(name: str) -> None:
        nonlocal done
        done += 1
        if sys.stderr.isatty():
            print(f"\r{done} of {total} BMCs", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return tell
