"""The rendered configuration in a real Envoy: routing, failover and return, drain, refusals, statistics."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import httpx
import pytest
from gateway_parts import ENVOY, SITE, Load, access_lines, until
from gateway_stage import ELSEWHERE, FIRST, SECOND, THIRD, Stage

from fullbore.render.envoy import STATS_PATH, envoy_text
from fullbore.render.envoy_cluster import Upstream
from fullbore.render.rules import ALERTS

GOOD = (200, "serving")


@pytest.mark.parametrize("standby", [None, Upstream(host="standby.example", port=8000)])
def test_envoy_accepts_the_configuration_and_finds_nothing_deprecated(tmp_path: Path, standby: Upstream | None) -> None:
    file = tmp_path / "envoy.yaml"
    file.write_text(envoy_text(site=Upstream(host="serving.example", port=8000), standby=standby, timeout_s=300))
    argv = [str(ENVOY), "--mode", "validate", "-c", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "OK" in done.stdout + done.stderr
    assert "[warning]" not in done.stderr, done.stderr


def test_a_chat_completion_goes_to_the_site(stage: Stage) -> None:
    response = stage.envoy.ask()
    assert (response.status_code, response.headers["x-fullbore-pool"]) == GOOD
    assert response.json()["choices"][0]["message"]["role"] == "assistant"
    wanted = response.headers["x-request-id"]
    until(lambda: wanted in stage.envoy.access_log.read_text(), "the access log")
    (line,) = [line for line in access_lines(stage.envoy) if line["request_id"] == wanted]
    got = {name: line[name] for name in ("method", "path", "status", "pool", "attempts")}
    assert got == {"method": "POST", "path": "/v1/chat/completions", "status": 200, "pool": "serving", "attempts": 1}


def test_both_replicas_are_asked(stage: Stage) -> None:
    pods = {stage.envoy.ask().headers["x-fullbore-pod"] for _ in range(40)}
    assert pods == {f"serving-{FIRST}", f"serving-{SECOND}"}


def test_a_stream_passes_through_unbuffered(stage: Stage) -> None:
    body = {"model": "m", "prompt": "x", "max_tokens": 300, "stream": True, "temperature": 0}
    with stage.envoy.client.stream("POST", "/v1/completions", json=body) as response:
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: ") for line in lines)
    assert json.loads(lines[-2].removeprefix("data: "))["choices"][0]["finish_reason"]


def test_losing_one_replica_fails_no_request_and_keeps_the_site(stage: Stage) -> None:
    with Load(stage.envoy) as load:
        load.more(30)
        stage.kill(FIRST)
        load.more(60)
        stage.wait_healthy(SECOND, ELSEWHERE)
        load.more(30)
    assert set(load.answers) == {GOOD}


def test_losing_the_site_moves_everything_to_the_standby_and_back(stage: Stage) -> None:
    with Load(stage.envoy) as load:
        load.more(30)
        stage.kill(FIRST, SECOND)
        stage.wait_healthy(ELSEWHERE)
        during = len(load.answers)
        load.more(30)
        assert set(load.answers[during + 5 :]) == {(200, "standby")}
        stage.start(FIRST, SECOND)
        stage.wait_healthy(FIRST, SECOND, ELSEWHERE)
        after = len(load.answers)
        load.more(30)
        assert set(load.answers[after + 5 :]) == {GOOD}
    assert {status for status, _ in load.answers} == {200}, "retries reach the standby before health checks do"


def test_endpoints_follow_the_names(stage: Stage) -> None:
    stage.start(THIRD)
    stage.names.names[SITE] = [SECOND, THIRD]
    until(lambda: THIRD in stage.envoy.healthy(), "the new replica in the pool")
    stage.kill(FIRST)
    until(lambda: FIRST not in stage.envoy.hosts(), "the old replica out of the pool")
    pods = {stage.envoy.ask().headers["x-fullbore-pod"] for _ in range(40)}
    assert pods == {f"serving-{SECOND}", f"serving-{THIRD}"}


def test_a_name_server_s_hiccup_empties_no_pool(stage: Stage) -> None:
    attempts = counter(stage, "envoy_cluster_update_attempt")
    stage.names.names = {}
    until(lambda: counter(stage, "envoy_cluster_update_attempt") >= attempts + 4, "Envoy asked for both names again")
    assert stage.envoy.healthy() == {FIRST, SECOND, ELSEWHERE}
    assert stage.envoy.ask().headers["x-fullbore-pool"] == "serving"


def test_a_draining_replica_loses_no_request(stage: Stage) -> None:
    stage.kill(FIRST)
    stage.start(FIRST, lame_duck_s=3)
    stage.wait_healthy(FIRST, SECOND, ELSEWHERE)
    with Load(stage.envoy) as load:
        load.more(30)
        replica = stage.replicas[FIRST].process
        replica.send_signal(signal.SIGTERM)
        assert replica.wait(30) == 0
        load.more(30)
    assert set(load.answers) == {GOOD}


def test_with_no_replica_left_the_answer_is_an_error_that_clients_parse(stage: Stage) -> None:
    stage.kill(FIRST, SECOND, ELSEWHERE)
    # The worker hears of a health check's outcome a moment after the statistics do.
    until(lambda: stage.envoy.ask().text.count("no healthy upstream") == 1, "Envoy knows that all are gone")
    response = stage.envoy.ask()
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert response.json()["error"]["message"] == "no healthy upstream"


def test_the_client_s_mistakes_are_passed_on_and_not_retried(stage: Stage) -> None:
    retries = counter(stage, "envoy_cluster_upstream_rq_retry")
    response = stage.envoy.ask(temperature=9)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "temperature")
    assert counter(stage, "envoy_cluster_upstream_rq_retry") == retries


def test_the_gateway_has_a_health_of_its_own_and_no_other_path(stage: Stage) -> None:
    assert stage.envoy.client.get("/health").status_code == 200
    response = stage.envoy.client.get("/admin")
    assert (response.status_code, response.json()["error"]["type"]) == (404, "gateway_error")


def test_the_stats_port_gives_nothing_else_of_the_admin_interface(stage: Stage) -> None:
    base = f"http://127.0.0.1:{stage.envoy.stats}"
    for path in ("/quitquitquit", "/config_dump", "/clusters", "/stats/prometheus/../../config_dump"):
        assert httpx.post(f"{base}{path}", trust_env=False).status_code == 404
    assert stage.envoy.process.poll() is None


def test_every_metric_of_the_gateway_s_alerts_exists(stage: Stage) -> None:
    stage.envoy.ask()
    stage.kill(FIRST, SECOND)
    stage.wait_healthy(ELSEWHERE)
    assert stage.envoy.ask().headers["x-fullbore-pool"] == "standby"
    until(lambda: sample_names(stage) >= names_of_alerts(), f"samples of {sorted(names_of_alerts())}", 15)


def names_of_alerts() -> set[str]:
    words = {word.split("{")[0] for alert in ALERTS if alert.job == "gateway" for word in alert.expr.split("(")}
    return {word for word in words if word.startswith("envoy_")}


def sample_names(stage: Stage) -> set[str]:
    return {line.split("{")[0] for line in stats(stage) if not line.startswith("#")}


def stats(stage: Stage) -> list[str]:
    return httpx.get(f"http://127.0.0.1:{stage.envoy.stats}{STATS_PATH}", trust_env=False).text.splitlines()


def counter(stage: Stage, name: str) -> float:
    found = [line for line in stats(stage) if line.startswith(f'{name}{{envoy_cluster_name="model"}}')]
    return float(found[0].split()[-1]) if found else 0
