"""Envoy's configuration: what listens, what is routed where, and what happens under overload."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from fullbore.render.envoy_cluster import BUFFER_BYTES, CLUSTER, Upstream, model_cluster
from fullbore.render.envoy_types import (
    CONNECTION_MANAGER,
    FIXED_HEAP,
    HEALTH,
    MAX_CONNECTIONS,
    PREVIOUS_HOSTS,
    PREVIOUS_PRIORITIES,
    ROUTER,
    STDOUT_LOG,
    Json,
    address,
    extension,
    seconds,
)

HTTP_PORT = 8080
"""Where the gateway listens inside its pod; the node's port is the plan's."""
STATS_PORT = 9902
"""Readiness and metrics. The admin interface itself, which can stop the process, stays on loopback."""
STATS_PATH = "/stats/prometheus"
ADMIN_PORT = 9901
SITE_ATTEMPTS = 3
"""A request is tried so often in one pool before the other is asked."""
MAX_HEAP_BYTES = 512 << 20
MAX_DOWNSTREAM_CONNECTIONS = 10_000


def envoy_text(*, site: Upstream, standby: Upstream | None, timeout_s: float) -> str:
    """The configuration file; `timeout_s` bounds a whole answer, streamed ones included."""
    return yaml.safe_dump(envoy_config(site=site, standby=standby, timeout_s=timeout_s), sort_keys=False)


def envoy_config(*, site: Upstream, standby: Upstream | None, timeout_s: float) -> Json:
    """Envoy's bootstrap document."""
    return {
        "node": {"id": "gateway", "cluster": "fullbore", "locality": {"zone": "gateway"}},
        "admin": {"address": address("127.0.0.1", ADMIN_PORT)},
        "overload_manager": overload_manager(),
        "static_resources": {
            "listeners": [http_listener(timeout_s), stats_listener()],
            "clusters": [model_cluster(site, standby), admin_cluster()],
        },
    }


def http_listener(timeout_s: float) -> Json:
    """What clients reach: /v1 goes to the models, /health is the gateway's own."""
    manager: Json = {
        **manager_base("gateway"),
        "access_log": [access_log()],
        # Addresses and request ids of clients are not trusted: this is the edge.
        "use_remote_address": True,
        "always_set_request_id_in_response": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": {
            "idle_timeout": "300s",
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 64 << 10,
            "initial_connection_window_size": BUFFER_BYTES,
        },
        # A client has this long to send its headers and its whole request; the answer has the route's timeout.
        "request_headers_timeout": "10s",
        "request_timeout": "60s",
        "stream_idle_timeout": seconds(timeout_s),
        "local_reply_config": {"body_format": openai_error_format()},
        "http_filters": [health_filter("/health"), router()],
        "route_config": {"name": "models", "virtual_hosts": [virtual_host([v1_route(timeout_s), not_found()])]},
    }
    return listener("gateway", "0.0.0.0", HTTP_PORT, manager)


def v1_route(timeout_s: float) -> Json:
    return {
        "match": {"prefix": "/v1/"},
        "route": {"cluster": CLUSTER, "timeout": seconds(timeout_s), "retry_policy": retry_policy()},
    }


def retry_policy() -> Json:
    """Another replica, then the other pool, as long as no byte of an answer has come.

    A completion changes nothing on the server, so a request whose replica died before it answered can be asked again.
    Envoy never retries once the head of an answer was sent on. 429 is the client's to wait for, not ours to multiply.
    """
    return {
        "retry_on": "connect-failure,refused-stream,reset,gateway-error",
        "num_retries": 5,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        "retry_host_predicate": [extension("envoy.retry_host_predicates.previous_hosts", PREVIOUS_HOSTS)],
        # The one that just failed has the fewest requests, so the balancer likes it: insist on another.
        "host_selection_retry_max_attempts": 20,
        "retry_priority": extension(
            "envoy.retry_priorities.previous_priorities", PREVIOUS_PRIORITIES, {"update_frequency": SITE_ATTEMPTS}
        ),
    }


def not_found() -> Json:
    return {
        "match": {"prefix": "/"},
        "direct_response": {"status": 404, "body": {"inline_string": "no such path; the API is under /v1/"}},
    }


def stats_listener() -> Json:
    """Two paths of the admin interface for the kubelet and Prometheus, and nothing else of it."""
    routes: list[Json] = [
        {"match": {"path": path}, "route": {"cluster": "admin", "timeout": "5s"}} for path in ("/ready", STATS_PATH)
    ]
    manager: Json = {
        **manager_base("stats"),
        "http_filters": [router()],
        "route_config": {"name": "stats", "virtual_hosts": [virtual_host(routes)]},
    }
    return listener("stats", "0.0.0.0", STATS_PORT, manager)


def admin_cluster() -> Json:
    endpoint: Json = {"endpoint": {"address": address("127.0.0.1", ADMIN_PORT)}}
    return {
        "name": "admin",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "admin", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def overload_manager() -> Json:
    """Refuse work before memory runs out: idle memory is returned at 90 %, new requests are refused at 95 %."""
    heap = "envoy.resource_monitors.fixed_heap"
    connections = "envoy.resource_monitors.global_downstream_max_connections"
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            extension(heap, FIXED_HEAP, {"max_heap_size_bytes": MAX_HEAP_BYTES}),
            extension(connections, MAX_CONNECTIONS, {"max_active_downstream_connections": MAX_DOWNSTREAM_CONNECTIONS}),
        ],
        "actions": [
            {"name": f"envoy.overload_actions.{action}", "triggers": [{"name": heap, "threshold": {"value": value}}]}
            for action, value in (("shrink_heap", 0.9), ("stop_accepting_requests", 0.95))
        ],
    }


def listener(name: str, host: str, port: int, manager: Mapping[str, object]) -> Json:
    network = extension("envoy.filters.network.http_connection_manager", CONNECTION_MANAGER, manager)
    return {
        "name": name,
        "address": address(host, port),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "filter_chains": [{"filters": [network]}],
    }


def manager_base(prefix: str) -> Json:
    return {"stat_prefix": prefix, "codec_type": "AUTO"}


def virtual_host(routes: list[Json]) -> Json:
    return {"name": "all", "domains": ["*"], "routes": routes}


def health_filter(path: str) -> Json:
    """Answers for Envoy itself: 200 while it serves, 503 once it was told to drain."""
    match = {"name": ":path", "string_match": {"exact": path}}
    return extension("envoy.filters.http.health_check", HEALTH, {"pass_through_mode": False, "headers": [match]})


def router() -> Json:
    return extension("envoy.filters.http.router", ROUTER)


def access_log() -> Json:
    """One line of JSON for each request on standard output."""
    fields = {
        "time": "%START_TIME%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ:PATH)%",
        "status": "%RESPONSE_CODE%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "flags": "%RESPONSE_FLAGS%",
        "duration_ms": "%DURATION%",
        "bytes_received": "%BYTES_RECEIVED%",
        "bytes_sent": "%BYTES_SENT%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "upstream": "%UPSTREAM_HOST%",
        "pool": "%RESP(X-FULLBORE-POOL)%",
        "pod": "%RESP(X-FULLBORE-POD)%",
    }
    return extension("envoy.access_loggers.stdout", STDOUT_LOG, {"log_format": {"json_format": fields}})


def openai_error_format() -> Json:
    """What Envoy itself answers (no healthy replica, timeout), in the form that OpenAI's clients parse."""
    error = {"message": "%LOCAL_REPLY_BODY%", "type": "gateway_error", "param": None, "code": "%RESPONSE_CODE_DETAILS%"}
    return {"json_format": {"error": error}}
