"""What the plan takes from an environment, and what from a running sandbox."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from fullbore.config import Endpoints, Environment, load_file
from fullbore.plan import make_plan
from fullbore.plan.network import zone_subnet

STACKS = Path(__file__).parents[3] / "stacks"

ENDPOINTS = Endpoints.model_validate(
    {
        "version": 1,
        "id": "ab12cd34",
        "ssh": {"user": "root", "private_key_file": "/run/id"},
        "hosts": {
            name: {"address": f"10.200.7.{number}", "port": 22, "host_key": f"ssh-ed25519 KEY{number}"}
            for number, name in enumerate(("gpu-01", "gpu-02", "nvme-01"), start=11)
        },
        "aws": {"endpoint_url": "http://127.0.0.1:4001"},
        "registry": "127.0.0.1:4002",
        "base_image": "127.0.0.1:4002/fullbore/base@sha256:00",
        "clusters": {
            "site": {"kubeconfig": "/run/site", "host_suffix": "site.internal"},
            "cloud": {"kubeconfig": "/run/cloud", "host_suffix": "cloud.internal"},
        },
        "gateway": {"address": "127.0.0.1", "port": 4003},
        "prometheus": {"address": "127.0.0.1", "port": 4004},
        "alertmanager": {"address": "127.0.0.1", "port": 4005},
    }
)


def environment(name: str) -> Environment:
    return load_file(STACKS / f"Pulumi.{name}.yaml")


def test_the_failures_that_are_allowed_count_in_each_group() -> None:
    plan = make_plan(environment("staging"), None)
    assert plan.site
    assert {group.name: (len(group.hosts), group.max_failures) for group in plan.site.groups} == {
        "gpu": (2, 1),
        "storage": (1, 1),
    }


def test_a_sandbox_gets_what_it_chose() -> None:
    plan = make_plan(environment("local"), ENDPOINTS)
    assert plan.problems == ()
    assert plan.site
    hosts = [host for group in plan.site.groups for host in group.hosts]
    assert [(host.name, host.address, host.host_key) for host in hosts] == [
        ("gpu-01", "10.200.7.11", "ssh-ed25519 KEY11"),
        ("gpu-02", "10.200.7.12", "ssh-ed25519 KEY12"),
        ("nvme-01", "10.200.7.13", "ssh-ed25519 KEY13"),
    ]
    assert plan.site.ssh_private_key_file == "/run/id"
    assert plan.cloud
    assert plan.cloud.endpoint_url == "http://127.0.0.1:4001"
    assert plan.image
    assert (plan.image.registry, plan.image.insecure) == ("127.0.0.1:4002", True)
    assert plan.cluster
    assert plan.cluster.kubeconfig == "/run/site"
    assert plan.standby
    assert (plan.standby.cluster.kubeconfig, plan.standby.cluster.queue) == ("/run/cloud", "")
    assert plan.gateway
    assert (plan.gateway.port, plan.gateway.host_suffix) == (4003, "site.internal")
    assert plan.monitoring
    assert (plan.monitoring.prometheus_port, plan.monitoring.alertmanager_port) == (4004, 4005)
    assert [target.address for target in plan.monitoring.targets] == ["10.200.7.11", "10.200.7.12", "10.200.7.13"]


def test_a_sandbox_that_does_not_run_is_planned_on_loopback() -> None:
    plan = make_plan(environment("local"), None)
    assert plan.problems == ()
    assert plan.site
    assert {host.address for group in plan.site.groups for host in group.hosts} == {"127.0.0.1"}


def test_a_host_that_the_sandbox_has_not_started_is_a_problem() -> None:
    without = ENDPOINTS.model_copy(update={"hosts": {}})
    problems = make_plan(environment("local"), without).problems
    assert {problem.rule for problem in problems} == {"sandbox-host-missing"}
    assert len(problems) == 3


def test_a_real_environment_never_takes_a_sandbox_s_endpoints() -> None:
    assert make_plan(environment("prod"), ENDPOINTS) == make_plan(environment("prod"), None)


@pytest.mark.parametrize("name", ["dev", "local", "prod", "staging"])
def test_the_repository_s_environments_have_no_problem(name: str) -> None:
    assert make_plan(environment(name)).problems == ()


def test_a_real_standby_takes_the_cluster_that_it_names() -> None:
    standby = make_plan(environment("prod")).standby
    assert standby
    assert standby.cluster.kubeconfig == "/etc/fullbore/kubeconfig/prod-cloud.yaml"


def test_only_the_site_s_pods_get_cpus_to_themselves() -> None:
    plan = make_plan(environment("prod"))
    assert plan.serving
    assert plan.standby
    assert (plan.serving.cpus, plan.serving.memory_gib) == (208, 1024)
    assert (plan.standby.serving.cpus, plan.standby.serving.memory_gib) == (None, None)


def test_the_site_s_pods_tolerate_the_taints_that_its_machines_join_with() -> None:
    plan = make_plan(environment("prod"))
    assert plan.serving
    assert plan.standby
    assert plan.serving.taints == {"nvidia.com/gpu": "present:NoSchedule"}
    assert plan.standby.serving.taints == {}


def test_a_zone_s_subnet_does_not_move_when_another_is_added() -> None:
    vpc = IPv4Network("10.64.0.0/16")
    assert [str(zone_subnet(vpc, zone)) for zone in "ac"] == ["10.64.0.0/20", "10.64.32.0/20"]


def test_the_standby_s_cost_is_counted_once() -> None:
    plan = make_plan(environment("prod"))
    assert plan.cost.parts["cloud.node_groups.standby"] == pytest.approx(63.296)
    assert plan.cost.total == pytest.approx(sum(plan.cost.parts.values()))
