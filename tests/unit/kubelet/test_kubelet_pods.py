"""The reconciler: what a pod's containers and status become as things happen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cluster_fakes import World, config_map, recorded_pod, service


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, recorded_pod())


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_bound_pod_runs_and_is_ready_only_when_its_probe_says_so(world: World) -> None:
    assert world.status["phase"] == "Running"
    assert world.status["podIP"] == "10.200.7.128"
    assert world.condition("Ready")["status"] == "False"
    world.probe("c1", "readiness", True)
    assert world.condition("Ready")["status"] == "True"
    assert world.status["containerStatuses"][0]["containerID"] == "podman://c1"
    assert world.status["containerStatuses"][0]["imageID"].partition("@")[2].startswith("sha256:")
    world.probe("c1", "readiness", False, "HTTP probe failed with statuscode: 503")
    assert world.condition("Ready")["status"] == "False"
    assert (
        "Unhealthy",
        "server: readiness probe failed: HTTP probe failed with statuscode: 503",
    ) in world.server.events


def test_a_pod_that_is_not_bound_is_left_alone(tmp_path: Path) -> None:
    pod = recorded_pod()
    del pod["spec"]["nodeName"]
    world = World(tmp_path, pod)
    assert world.engine.ran == []
    assert world.server.statuses == []


def test_a_killed_container_is_not_ready_and_starts_again_with_the_same_address(world: World) -> None:
    world.probe("c1", "readiness", True)
    world.server.statuses.clear()
    world.end("c1", 137)
    first, last = world.server.statuses[0], world.server.statuses[-1]
    assert first["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
    assert first["containerStatuses"][0]["ready"] is False
    assert last["containerStatuses"][0]["state"]["running"]
    assert last["containerStatuses"][0]["restartCount"] == 1
    assert last["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
    assert [n.address for _, n, _ in world.engine.ran] == ["10.200.7.128", "10.200.7.128"]
    assert world.condition("Ready")["status"] == "False"


def test_a_container_that_keeps_failing_backs_off_and_says_what_it_wrote(world: World) -> None:
    world.engine.logs = "no GPU found"
    world.end("c1", 1)
    world.end("c2", 1)
    waiting = world.status["containerStatuses"][0]["state"]["waiting"]
    assert waiting["reason"] == "CrashLoopBackOff"
    assert "no GPU found" in waiting["message"]
    world.later(9)
    assert len(world.engine.ran) == 2
    world.later(2)
    assert len(world.engine.ran) == 3
    world.end("c3", 1)
    world.later(19)
    assert len(world.engine.ran) == 3
    world.later(2)
    assert len(world.engine.ran) == 4


def test_an_image_that_cannot_be_pulled_is_said_and_tried_again(tmp_path: Path) -> None:
    pod = recorded_pod()
    world = World(tmp_path, pod)
    image = pod["spec"]["containers"][0]["image"]
    known = world.engine.images.pop(image)
    world.end("c1", 1)
    waiting = world.status["containerStatuses"][0]["state"]["waiting"]
    assert waiting["reason"] in ("ErrImagePull", "ImagePullBackOff")
    assert "connection refused" in waiting["message"]
    world.engine.images[image] = known
    world.later(31)
    assert world.status["containerStatuses"][0]["state"]["running"]


def test_a_missing_config_map_is_named_and_its_arrival_starts_the_pod(tmp_path: Path) -> None:
    pod = recorded_pod()
    pod["spec"]["containers"][0]["env"].append(
        {"name": "LATE", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "a"}}}
    )
    world = World(tmp_path, pod)
    waiting = world.status["containerStatuses"][0]["state"]["waiting"]
    assert waiting == {"reason": "CreateContainerConfigError", "message": 'configmap "late" not found'}
    world.change(world.maps, config_map("late", a="1"))
    assert world.status["containerStatuses"][0]["state"]["running"]


def test_what_the_runner_does_not_do_is_refused_by_name(tmp_path: Path) -> None:
    world = World(tmp_path, recorded_pod(hostNetwork=True, volumes=[{"name": "h", "hostPath": {"path": "/"}}]))
    assert world.engine.ran == []
    assert world.status["reason"] == "Refused"
    assert "spec.hostNetwork" in world.status["message"]
    assert "hostPath" in world.status["message"]


def test_the_engine_refusing_is_said_and_tried_again(tmp_path: Path) -> None:
    world = World(tmp_path, recorded_pod())
    world.engine.broken = "podman run: port is already allocated"
    world.end("c1", 1)
    assert world.status["containerStatuses"][0]["state"]["waiting"]["reason"] == "CreateContainerError"
    world.engine.broken = ""
    world.later(31)
    assert world.status["containerStatuses"][0]["state"]["running"]


def test_a_pod_that_must_not_run_as_root_does_not(tmp_path: Path) -> None:
    world = World(tmp_path, recorded_pod(securityContext={"runAsNonRoot": True}))
    assert world.engine.ran == []
    assert "runAsNonRoot" in world.status["containerStatuses"][0]["state"]["waiting"]["message"]


def test_a_service_made_later_gives_the_running_pod_its_name(world: World) -> None:
    world.change(world.services, service("serving", {"app": "serving"}))
    assert [n.aliases for n in world.engine.renamed] == [("serving.demo.site.internal",)]
    assert world.engine.renamed[0].address == world.status["podIP"]
    world.change(world.services, service("other", {"app": "other"}))
    assert len(world.engine.renamed) == 1


def test_a_service_that_is_there_names_the_pod_from_its_start(tmp_path: Path) -> None:
    world = World(tmp_path, recorded_pod())
    world.change(world.services, service("serving", {"app": "serving"}))
    world.end("c1", 1)
    assert world.engine.ran[-1][1].aliases == ("serving.demo.site.internal",)


def test_a_load_balancer_gets_its_name(world: World) -> None:
    world.change(world.services, service("front", {"app": "serving"}, type="LoadBalancer"))
    path, patch = next(p for p in world.server.patches if "/services/" in p[0])
    assert path == "/api/v1/namespaces/demo/services/front/status"
    assert patch["status"]["loadBalancer"]["ingress"] == [{"hostname": "front.demo.site.internal"}]


def test_a_changed_config_map_reaches_the_files(world: World, tmp_path: Path) -> None:
    mounted = tmp_path / world.pod["metadata"]["uid"] / "settings" / "mode"
    assert mounted.read_text() == "fast"
    world.change(world.maps, config_map("settings", mode="slow"))
    assert mounted.read_text() == "slow"
    assert len(world.engine.ran) == 1


def test_an_unhealthy_container_is_stopped_and_started_again(world: World) -> None:
    world.probe("c1", "liveness", False, "timed out")
    assert world.engine.signals == [("c1", "SIGTERM")]
    world.later(3)
    assert world.engine.signals[-1] == ("c1", "KILL")
    world.end("c1", 137)
    assert world.status["containerStatuses"][0]["restartCount"] == 1


def test_deletion_gives_the_grace_period_then_kills_then_deletes(world: World, tmp_path: Path) -> None:
    uid = world.pod["metadata"]["uid"]
    world.delete_pod(in_seconds(30))
    assert world.engine.signals == [("c1", "SIGTERM")]
    assert world.server.deleted == []
    world.later(31)
    assert world.engine.signals[-1] == ("c1", "KILL")
    world.end("c1", 137)
    [(path, body)] = world.server.deleted
    assert path == "/api/v1/namespaces/demo/pods/serving-0"
    assert body == {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
    assert "c1" in world.engine.removed
    assert not (tmp_path / uid).exists()
    assert len(world.engine.ran) == 1


def test_a_pod_deleted_by_force_leaves_nothing(world: World, tmp_path: Path) -> None:
    pod = world.pod
    world.bound.objects.clear()
    world.pods.pod_changed(pod)
    world.settle()
    assert world.engine.running == {}
    assert list(tmp_path.iterdir()) == []


def test_a_finished_pod_is_not_started_again(tmp_path: Path) -> None:
    world = World(tmp_path, recorded_pod(restartPolicy="Never"))
    world.end("c1", 0)
    assert world.status["phase"] == "Succeeded"
    world.later(1000)
    assert len(world.engine.ran) == 1


def test_init_containers_run_first_and_one_by_one(tmp_path: Path) -> None:
    init = [{"name": n, "image": "127.0.0.1:5000/fullbore/init:1"} for n in ("first", "second")]
    world = World(tmp_path, recorded_pod(initContainers=init))
    assert [s.name for s, _, _ in world.engine.ran] == ["first"]
    assert world.status["phase"] == "Pending"
    world.end("c1", 0)
    world.end("c2", 0)
    assert [s.name for s, _, _ in world.engine.ran] == ["first", "second", "server"]
    assert world.condition("Initialized")["status"] == "True"


def test_a_second_container_joins_the_network_of_the_first(tmp_path: Path) -> None:
    pod = recorded_pod()
    pod["spec"]["containers"].append({"name": "side", "image": "127.0.0.1:5000/fullbore/side:1"})
    world = World(tmp_path, pod)
    assert world.engine.ran[1][1].join == "c1"
    world.end("c1", 1)
    assert [(s.name, n.join) for s, n, _ in world.engine.ran[2:]] == [("server", ""), ("side", "c3")]


def test_a_new_runner_takes_over_what_runs_and_removes_what_nobody_wants(world: World) -> None:
    world.probe("c1", "readiness", True)
    stray = world.engine.running["c1"]
    world.engine.running["stray"] = type(stray)(**{**vars(stray), "id": "stray", "uid": "gone"})
    world.pods = world.runner()
    world.pods.adopt(world.engine.list())
    world.pods.pod_changed(world.pod)
    world.settle()
    assert world.engine.removed.count("stray") == 1
    assert len(world.engine.ran) == 1
    assert world.condition("Ready")["status"] == "True"


def test_a_new_runner_sees_what_ended_meanwhile(world: World) -> None:
    known = world.engine.running["c1"]
    world.engine.running["c1"] = type(known)(**{**vars(known), "running": False, "exit_code": 3})
    world.pods = world.runner()
    world.pods.adopt(world.engine.list())
    world.settle()
    assert world.status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 3
    assert len(world.engine.ran) == 2


def test_nothing_is_written_when_nothing_changed(world: World) -> None:
    world.probe("c1", "readiness", True)
    written = len(world.server.statuses)
    for _ in range(3):
        world.pods.pod_changed(world.pod)
        world.later(1)
    assert len(world.server.statuses) == written
