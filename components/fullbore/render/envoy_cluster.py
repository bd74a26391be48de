"""Envoy's cluster of model servers: the site's pool at priority 0, the standby's at priority 1."""

from __future__ import annotations

from dataclasses import dataclass

from fullbore.catalog.replication import HEALTH_INTERVAL_S, HEALTH_TIMEOUT_S, UNHEALTHY_THRESHOLD
from fullbore.render.envoy_types import DNS_CLUSTER, HTTP_OPTIONS, Json, address, extension, seconds

CLUSTER = "model"
BUFFER_BYTES = 1 << 20
"""A request is kept for a retry while it fits; the runtime takes no larger body either."""
CONNECT_TIMEOUT_S = 1.0
IDLE_UPSTREAM_S = 30.0
"""Under the runtime's 75 s, so that the runtime never closes a connection that a request is just put on."""
DNS_REFRESH_S = 2.0
OVERPROVISIONING_PERCENT = 200


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """A pool of model servers behind one DNS name; every address of the name is a replica."""

    host: str
    port: int


def model_cluster(site: Upstream, standby: Upstream | None) -> Json:
    """Both pools, the standby one priority below the site.

    The site keeps every request while at least half of its replicas are healthy (overprovisioning 200 %: each replica
    is taken to stand in for two). Below half, what the healthy ones do not cover goes to the standby in proportion, and
    all of it when none is left. Envoy's default of 140 % would send 30 % of the requests to the other site while one
    replica of two restarts. The panic threshold is 0: in panic Envoy would spread requests over replicas that it knows
    to be dead, instead of using the standby.
    """
    pools = [locality(site, "site", 0)] + ([locality(standby, "standby", 1)] if standby else [])
    return {
        "name": CLUSTER,
        "cluster_type": extension("envoy.clusters.dns", DNS_CLUSTER, dns()),
        "connect_timeout": seconds(CONNECT_TIMEOUT_S),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "lb_policy": "LEAST_REQUEST",
        # Envoy would gather what health checks find for a second before its workers act on it.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"},
        "health_checks": [health_check()],
        "outlier_detection": outlier_detection(),
        "circuit_breakers": {"thresholds": [thresholds()]},
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 30, "keepalive_interval": 5}
        },
        "typed_extension_protocol_options": {HTTP_OPTIONS: upstream_http_options()},
        "load_assignment": {
            "cluster_name": CLUSTER,
            "policy": {"overprovisioning_factor": OVERPROVISIONING_PERCENT},
            "endpoints": pools,
        },
    }


def dns() -> Json:
    """Every address of the name is a replica (strict DNS).

    Replicas come and go as pods do: the name is asked again soon, whatever its time to live says. A replica that leaves
    DNS keeps its place while it passes health checks, so a hiccup of the name server empties no pool.
    """
    return {
        "dns_refresh_rate": seconds(DNS_REFRESH_S),
        "dns_failure_refresh_rate": {"base_interval": "1s", "max_interval": seconds(DNS_REFRESH_S)},
        "dns_lookup_family": "V4_PREFERRED",
    }


def locality(pool: Upstream, zone: str, priority: int) -> Json:
    """`zone` names the pool in Envoy's statistics."""
    endpoint: Json = {"endpoint": {"address": address(pool.host, pool.port)}}
    return {"locality": {"zone": zone}, "priority": priority, "lb_endpoints": [endpoint]}


def health_check() -> Json:
    """Asked each second, with or without traffic; one good answer brings a replica back."""
    return {
        "timeout": seconds(HEALTH_TIMEOUT_S),
        "interval": seconds(HEALTH_INTERVAL_S),
        "no_traffic_interval": seconds(HEALTH_INTERVAL_S),
        "no_traffic_healthy_interval": seconds(HEALTH_INTERVAL_S),
        # An answer that is not 200 counts at once (a draining pod); this is for silence, e.g. a busy machine.
        "unhealthy_threshold": UNHEALTHY_THRESHOLD,
        "healthy_threshold": 1,
        "http_health_check": {"path": "/health"},
    }


def outlier_detection() -> Json:
    """Ejects at once what fails between two health checks; a good health check brings it back.

    Envoy's defaults (sweep 10 s, ejection 30 s, at most 10 % ejected) are for large pools without active checks.
    """
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 2,
        "enforcing_consecutive_local_origin_failure": 100,
        "consecutive_gateway_failure": 3,
        "enforcing_consecutive_gateway_failure": 100,
        "consecutive_5xx": 5,
        "enforcing_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": "5s",
        "max_ejection_time": "60s",
        "max_ejection_percent": 100,
    }


def thresholds() -> Json:
    return {
        "max_connections": 8192,
        "max_pending_requests": 1024,
        "max_requests": 8192,
        # Retries are at most a fifth of what is in flight, so that a failing pool is not asked to death.
        "retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 16},
        "track_remaining": True,
    }


def upstream_http_options() -> Json:
    return {
        "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
        "common_http_protocol_options": {"idle_timeout": seconds(IDLE_UPSTREAM_S)},
        "explicit_http_config": {"http_protocol_options": {}},
    }
