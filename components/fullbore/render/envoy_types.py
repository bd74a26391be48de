"""Envoy's v3 message types, and the few shapes that every part of its configuration is made of."""

from __future__ import annotations

from collections.abc import Mapping

Json = dict[str, object]

EXTENSIONS = "envoy.extensions"
PREVIOUS_HOSTS = f"{EXTENSIONS}.retry.host.previous_hosts.v3.PreviousHostsPredicate"
PREVIOUS_PRIORITIES = f"{EXTENSIONS}.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
DNS_CLUSTER = f"{EXTENSIONS}.clusters.dns.v3.DnsCluster"
HTTP_OPTIONS = f"{EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions"
FIXED_HEAP = f"{EXTENSIONS}.resource_monitors.fixed_heap.v3.FixedHeapConfig"
MAX_CONNECTIONS = f"{EXTENSIONS}.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
CONNECTION_MANAGER = f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager"
HEALTH = f"{EXTENSIONS}.filters.http.health_check.v3.HealthCheck"
ROUTER = f"{EXTENSIONS}.filters.http.router.v3.Router"
STDOUT_LOG = f"{EXTENSIONS}.access_loggers.stream.v3.StdoutAccessLog"


def extension(name: str, kind: str, config: Mapping[str, object] | None = None) -> Json:
    """An extension by name, configured by a message of a type."""
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/{kind}", **(config or {})}}


def address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def seconds(value: float) -> str:
    """A protobuf duration in its JSON form."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"
