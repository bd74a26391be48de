"""Where data goes: every way by which it leaves the site, what it carries, and the country that it ends in."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address
from urllib.parse import SplitResult, parse_qs, urlsplit

from fullbore.catalog.countries import REGION_COUNTRY
from fullbore.config.models import Environment, Site
from fullbore.config.sovereignty import Sovereignty
from fullbore.plan.model import DataFlow
from fullbore.plan.recovery import copied_data

SITE = "the site"


def data_flows(env: Environment) -> tuple[DataFlow, ...]:
    """Every way in the order of its path. Without a declared sovereignty no country is known and all is allowed."""
    given = env.sovereignty
    found = sorted({(path, data, to) for path, data, to in _ways(env)})
    return tuple(_flow(env, given, path, data, to) for path, data, to in found)


def _ways(env: Environment) -> Iterator[tuple[str, str, str]]:
    """Path of what makes the way, class of data, and the region, URL or host that it leads to."""
    region = env.cloud.region if env.cloud else ""
    if region:
        yield from _to_the_cloud(env, region)
    for name, data in copied_data(env).items():
        if data.method == "block-sync":
            yield f"recovery.data.{name}.method", name, "mirror"
    if env.state_backend:
        yield "state_backend", "state", env.state_backend
    if env.monitoring and env.monitoring.webhook_url:
        yield "monitoring.webhook_url", "metrics", env.monitoring.webhook_url
    for name, flow in env.sovereignty.flows.items() if env.sovereignty else ():
        for data in flow.carries:
            yield f"sovereignty.flows.{name}.to", data, flow.to


def _to_the_cloud(env: Environment, region: str) -> Iterator[tuple[str, str, str]]:
    if env.storage and env.replication is None:
        yield "storage.bucket", "weights", region
    for name, data in copied_data(env).items():
        if data.method == "datasync" or (data.method == "s3-rtc" and env.replication and env.replication.time_control):
            yield "replication", name, region
            if env.replication and env.replication.time_control:
                yield "replication.time_control.region", name, env.replication.time_control.region
        elif data.method != "block-sync":
            yield f"recovery.data.{name}.method", name, region
    if env.standby:
        yield "standby", "weights", region
        yield "standby", "prompts", region


def _flow(env: Environment, given: Sovereignty | None, path: str, data: str, to: str) -> DataFlow:
    place, country = _place(env, given, to)
    allowed = place == SITE or given is None or _may_go(given, data, place, country)
    return DataFlow(path=path, data=data, to=place, country=country, allowed=allowed)


def _may_go(given: Sovereignty, data: str, place: str, country: str) -> bool:
    rule = {str(name): rule for name, rule in given.classes.items()}.get(data)
    return rule is not None and (place in rule.regions or country in rule.countries)


def may_leave(env: Environment, data: str) -> bool:
    """Whether data of a class may go to any region besides the cloud's own; where nothing is said, it may."""
    given, own = env.sovereignty, env.cloud.region if env.cloud else ""
    if given is None:
        return True
    return any(_may_go(given, data, region, country) for region, country in REGION_COUNTRY.items() if region != own)


def own_buckets(env: Environment) -> tuple[str, ...]:
    """The buckets that nodes of the cloud may reach, where it is said where data may go; empty where it is not."""
    return (env.storage.bucket,) if env.sovereignty and env.storage else ()


def _place(env: Environment, given: Sovereignty | None, to: str) -> tuple[str, str]:
    """The site, a region or a host, and its country; no country where nothing says it."""
    if to in REGION_COUNTRY or (env.cloud and to == env.cloud.region):
        return to, REGION_COUNTRY.get(to, "")
    if to == "mirror":
        return "the second site", (given.mirror_country or "") if given else ""
    parts = _split(to)
    if parts.scheme == "file" or (env.site and inside_site(env.site, to)):
        return SITE, given.country if given else ""
    region = next(iter(parse_qs(parts.query).get("region", [])), "")
    if region in REGION_COUNTRY:
        return region, REGION_COUNTRY[region]
    host = parts.hostname or to
    return host, _country_of(given, host)


def _country_of(given: Sovereignty | None, host: str) -> str:
    return given.places.get(place_of(given, host), "") if given else ""


def place_of(given: Sovereignty, host: str) -> str:
    """The declared place that a host belongs to, by the longest end of its name; nothing where there is none."""
    return max((name for name in given.places if f".{host}".endswith(f".{name}")), key=len, default="")


def inside_site(site: Site, url: str) -> str:
    """The host of a URL, or of its `endpoint`, where it is one of the site's; else nothing."""
    parts = _split(url)
    endpoint = next(iter(parse_qs(parts.query).get("endpoint", [])), "")
    candidates = (parts.hostname or "", _split(f"//{endpoint.rpartition('//')[2]}").hostname or "")
    names = {name for group in site.groups.values() for name in group.hosts}
    for candidate in candidates:
        if candidate.partition(".")[0] in names or f".{site.name}." in f".{candidate}.":
            return candidate
        address = _address(candidate)
        if address is not None and address in site.cidr:
            return candidate
    return ""


def _split(url: str) -> SplitResult:
    """A host name alone counts as one; what is no URL has neither a host nor a query."""
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        _ = parts.hostname
    except ValueError:
        return SplitResult("", "", "", "", "")
    return parts


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None
