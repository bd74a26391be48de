"""The whole stack on one machine, from nothing to nothing, with the real engine.

The tests of this module run in order and share one sandbox: each is a step of one life.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
import pytest
from kubernetes import client, config

from checkout import Checkout, wait_for

SYSCTL = "net.ipv4.tcp_ecn"
FIRST: Counter[str] = Counter()
"""What the first `up` made in the emulated cloud."""


def kube(checkout: Checkout, cluster: str = "site") -> client.ApiClient:
    return config.new_client_from_config(checkout.endpoints["clusters"][cluster]["kubeconfig"])


def aws(checkout: Checkout, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=checkout.endpoints["aws"]["endpoint_url"],
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def left_in_memory(checkout: Checkout) -> list[str]:
    """Folders below /dev/shm that speak of this checkout."""
    argv = ["grep", "-rlF", str(checkout.root), *map(str, Path("/dev/shm").glob("fullbore-*")), "/dev/null"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()


def sysctl(checkout: Checkout, host: str, value: str | None = None) -> str:
    """The running value of the kernel setting on a host, after setting it by hand where a value is given."""
    change = f"sysctl -qw {SYSCTL}={value} && " if value else ""
    return checkout.ssh(host, f"{change}sysctl -n {SYSCTL}")


def ready_pods(checkout: Checkout, selector: str, cluster: str = "site") -> list[Any]:
    pods = client.CoreV1Api(kube(checkout, cluster)).list_namespaced_pod("fullbore", label_selector=selector).items
    return [pod for pod in pods if pod.status and is_ready(pod.status.conditions or [])]


def is_ready(conditions: list[Any]) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in conditions)


def census(checkout: Checkout) -> Counter[str]:
    """How many of each thing the emulated cloud holds; what a killed run must not make twice."""
    ec2 = aws(checkout, "ec2")
    vpcs = [vpc for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc.get("IsDefault")]
    ours = [{"Name": "vpc-id", "Values": [vpc["VpcId"] for vpc in vpcs]}] if vpcs else []
    return Counter(
        vpcs=len(vpcs),
        subnets=len(ec2.describe_subnets(Filters=ours)["Subnets"]) if ours else 0,
        launch_templates=len(ec2.describe_launch_templates()["LaunchTemplates"]),
        buckets=len(aws(checkout, "s3").list_buckets()["Buckets"]),
        clusters=len(aws(checkout, "eks").list_clusters()["clusters"]),
        roles=len(aws(checkout, "iam").list_roles()["Roles"]),
        tasks=len(aws(checkout, "datasync").list_tasks()["Tasks"]),
        locations=len(aws(checkout, "datasync").list_locations()["Locations"]),
    )


def summary(output: str) -> dict[str, int]:
    """The engine's closing lines, e.g. {"unchanged": 40}."""
    tail = output.rsplit("Resources:", 1)[-1]
    return {
        what: int(number)
        for number, what in re.findall(r"(\d+) (created|updated|replaced|deleted|unchanged|changes)", tail)
    }


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("replicas: 2", "replica: 2", "serving.replica"),
        ("memory_gib: 1024", "memory_gib: 1TB", "site.groups.gpu.memory_gib"),
        ("cidr: 10.64.0.0/16", "cidr: 10.200.0.0/20", "cidr"),
        ("SBX-GPU-0002", "SBX-GPU-0001", "serial"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(checkout: Checkout, old: str, new: str, path: str) -> None:
    file = checkout.root / "stacks" / "Pulumi.local.yaml"
    good = file.read_text()
    assert old in good
    file.write_text(good.replace(old, new, 1))
    try:
        refused(checkout, path)
    finally:
        file.write_text(good)


def test_a_wrong_passphrase_is_one_clear_message(checkout: Checkout) -> None:
    refused(checkout, "encryptionsalt", {"PULUMI_CONFIG_PASSPHRASE": "not-the-passphrase"})


def refused(checkout: Checkout, path: str, extra: Mapping[str, str] = MappingProxyType({})) -> None:
    """`scripts/up` exits 2, names the field, shows no traceback and makes nothing."""
    done = checkout.run("scripts/up", check=False, env=extra)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert path in said
    assert "Traceback" not in said
    assert not checkout.state.exists()


def test_one_command_brings_everything_up(checkout: Checkout) -> None:
    done = checkout.run("scripts/up", timeout=3600)
    FIRST.update(census(checkout))
    outputs = checkout.outputs_cached()
    assert outputs["gatewayUrl"] in done.stdout, "the closing table says where the gateway is"
    assert re.fullmatch(r".+/fullbore/runtime@sha256:[0-9a-f]{64}", outputs["imageRef"])
    assert outputs["estimatedCost"] > 0
    status = checkout.run("git", "status", "--porcelain", "--untracked-files=no").stdout
    assert not [line for line in status.splitlines() if not line.startswith("A ")], (
        f"up changed tracked files: {status}"
    )


def test_hosts_hold_their_settings(checkout: Checkout) -> None:
    for host in ("gpu-01", "gpu-02", "nvme-01"):
        assert sysctl(checkout, host) == "1"
        assert "memlock" in checkout.ssh(host, "cat /etc/security/limits.d/90-fullbore.conf")
        assert checkout.ssh(host, "systemctl is-enabled fullbore-fabric.service") == "enabled"
        assert checkout.ssh(host, "systemctl is-active fullbore-agent.service") == "active"
    assert "NCCL_IB_HCA" in checkout.ssh("gpu-01", "cat /etc/nccl.conf")


def test_cloud_exists_on_the_emulated_account(checkout: Checkout) -> None:
    found = census(checkout)
    assert found["vpcs"] == found["clusters"] == found["tasks"] == 1
    assert found["subnets"] == 2
    assert found["locations"] == 2
    s3 = aws(checkout, "s3")
    bucket = s3.list_buckets()["Buckets"][0]["Name"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    eks = aws(checkout, "eks")
    name = eks.list_clusters()["clusters"][0]
    group = eks.list_nodegroups(clusterName=name)["nodegroups"][0]
    assert eks.describe_nodegroup(clusterName=name, nodegroupName=group)["nodegroup"]["launchTemplate"]["id"]


def test_every_ready_pod_is_a_running_container_of_the_image(checkout: Checkout) -> None:
    pods = ready_pods(checkout, "app.kubernetes.io/instance=serving")
    assert len(pods) == 2
    digest = checkout.outputs_cached()["imageRef"].split("@")[1]
    for pod in pods:
        assert pod.spec.scheduler_name == "volcano"
        assert pod.spec.containers[0].image.endswith(digest)
        running = checkout.containers(f"label=fullbore.pod-uid={pod.metadata.uid}")
        assert running, f"no running container behind {pod.metadata.name}"
        inspected = json.loads(checkout.podman("inspect", running[0]["Id"]))[0]
        assert inspected["ImageDigest"] == digest
        assert pod.status.pod_ip in json.dumps(inspected["NetworkSettings"])


def test_the_gateway_answers_a_chat_completion(checkout: Checkout) -> None:
    first = wait_for("a chat completion", lambda: (a := checkout.chat()).status == 200 and a, 30)
    assert first.body["object"] == "chat.completion"
    assert first.body["usage"]["completion_tokens"] == 8
    assert first.headers["x-fullbore-pool"] == "serving"
    assert checkout.chat().body["choices"][0]["message"] == first.body["choices"][0]["message"]
    assert checkout.chat(max_tokens="eight").status == 400


def test_a_second_up_changes_nothing_and_says_so(checkout: Checkout) -> None:
    done = checkout.pulumi("up", "--yes", "--non-interactive")
    assert set(summary(done.stdout)) == {"unchanged"}, done.stdout
    again = checkout.run("scripts/up")
    assert set(summary(again.stdout)) == {"unchanged"}, again.stdout


def test_drift_is_shown_by_name_and_value_and_repaired(checkout: Checkout) -> None:
    sysctl(checkout, "gpu-01", "2")
    s3 = aws(checkout, "s3")
    bucket = s3.list_buckets()["Buckets"][0]["Name"]
    tags = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [tag for tag in tags if tag["Key"] != "environment"]})
    apps = client.AppsV1Api(kube(checkout))
    apps.patch_namespaced_deployment_scale("serving", "fullbore", {"spec": {"replicas": 1}})

    shown = checkout.pulumi("preview", "--refresh", "--diff", "--non-interactive").stdout
    assert re.search(rf"{re.escape(SYSCTL)}.*\"2\" => \"1\"", shown), shown
    assert re.search(r"- environment: +\"local\"", shown), shown
    assert re.search(r"replicas.*(1 => 2|2 => 1)", shown), shown

    checkout.run("scripts/up")
    assert sysctl(checkout, "gpu-01") == "1"
    assert {tag["Key"] for tag in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]} == {tag["Key"] for tag in tags}
    assert apps.read_namespaced_deployment("serving", "fullbore").spec.replicas == 2
    assert len(ready_pods(checkout, "app.kubernetes.io/instance=serving")) == 2


def test_endpoints_follow_the_pods_and_fall_back_to_the_standby(checkout: Checkout) -> None:
    def pool_is(name: str) -> bool:
        answer = checkout.chat()
        return answer.status == 200 and answer.headers["x-fullbore-pool"] == name

    apps = client.AppsV1Api(kube(checkout))
    apps.patch_namespaced_deployment_scale("serving", "fullbore", {"spec": {"replicas": 0}})
    wait_for("the standby to answer", lambda: pool_is("standby"))
    apps.patch_namespaced_deployment_scale("serving", "fullbore", {"spec": {"replicas": 2}})
    wait_for("the site to answer again", lambda: pool_is("serving"))


def test_a_stopped_agent_raises_an_alert_that_reaches_alertmanager(checkout: Checkout) -> None:
    where = checkout.endpoints["alertmanager"]
    url = f"http://{where['address']}:{where['port']}/api/v2/alerts"

    def firing() -> list[str]:
        alerts = checkout.http(url).body
        return [a["labels"]["host"] for a in alerts if a["labels"]["alertname"] == "FullboreHostAgentDown"]

    assert firing() == []
    checkout.ssh("gpu-02", "systemctl stop fullbore-agent.service")
    try:
        wait_for("the alert", lambda: firing() == ["gpu-02"])
    finally:
        checkout.ssh("gpu-02", "systemctl start fullbore-agent.service")


def test_playbook_without_pulumi_finds_nothing_to_do(checkout: Checkout) -> None:
    done = checkout.run(
        ".venv/bin/ansible-playbook",
        "-i",
        "ansible/inventory.py",
        "ansible/site.yml",
        "--limit",
        "gpu",
        env={"FULLBORE_ENV": "local", "PYTHONPATH": str(checkout.root / "components")},
    )
    recap = re.findall(r"(gpu-0\d)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=0", done.stdout)
    assert sorted(recap) == [("gpu-01", "0"), ("gpu-02", "0")], done.stdout


def test_secrets_are_nowhere_in_clear(checkout: Checkout) -> None:
    secret = checkout.run(
        "scripts/pulumi", "config", "get", "--stack", "local", "--path", "fullbore:env.replication.password"
    ).stdout.strip()
    assert len(secret) > 8
    found = subprocess.run(["grep", "-rlF", secret, str(checkout.state)], capture_output=True, text=True, check=False)
    assert found.stdout == ""


def test_destroy_leaves_an_empty_account_and_cluster(checkout: Checkout) -> None:
    checkout.pulumi("destroy", "--yes", "--non-interactive")
    assert checkout.resources() == []
    left = census(checkout)
    assert +left == {}, left
    for cluster in ("site", "cloud"):
        namespaces: list[Any] = client.CoreV1Api(kube(checkout, cluster)).list_namespace().items
        assert "fullbore" not in [each.metadata.name for each in namespaces]
    assert checkout.containers("label=fullbore.pod-uid") == []


def test_an_unreachable_host_is_named_and_the_rest_comes_up(checkout: Checkout) -> None:
    lost = f"fullbore-{checkout.endpoints['id']}-host-gpu-02"
    checkout.podman("pause", lost)
    try:
        done = checkout.pulumi("up", "--yes", "--skip-preview", "--non-interactive")
    finally:
        checkout.podman("unpause", lost)
    assert "warning: 1 of 2 hosts failed (maxFailures is 1)" in done.stdout
    assert "warning: gpu-02: unreachable" in done.stdout
    hosts = checkout.outputs()["hosts"]
    assert {host for host, each in hosts.items() if each["failed"]} == {"gpu-02"}
    wait_for("a chat completion", lambda: checkout.chat().status == 200, 30)

    checkout.run("scripts/up")
    assert {host for host, each in checkout.outputs()["hosts"].items() if each["failed"]} == set()


@pytest.mark.parametrize(
    ("moment", "count"),
    [(" created", 4), ("HostGroup site-gpu creating", 1), ("Deployment serving-deployment creating", 1)],
    ids=["early", "while hosts converge", "late"],
)
def test_a_killed_up_is_completed_by_the_next(checkout: Checkout, moment: str, count: int) -> None:
    """kill -9 of the engine the `count`th time that it says `moment`, starting from an empty stack."""
    checkout.pulumi("destroy", "--yes", "--non-interactive")
    process = subprocess.Popen(
        ["scripts/up"],
        cwd=checkout.root,
        env=checkout.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        if sum(moment in each for each in seen) == count:
            os.kill(engine_of(checkout), signal.SIGKILL)
            break
    rest = process.stdout.read()
    assert process.wait(60) != 0, "".join(seen) + rest
    done = checkout.run("scripts/up")
    assert census(checkout) == FIRST, done.stdout + done.stderr
    assert len(ready_pods(checkout, "app.kubernetes.io/instance=serving")) == 2


def engine_of(checkout: Checkout) -> int:
    """The pid of this checkout's running `pulumi up`."""
    home = f"PULUMI_HOME={checkout.state / 'home'}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            argv = (entry / "cmdline").read_bytes().split(b"\0")
            environ = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if Path(argv[0].decode()).name == "pulumi" and b"up" in argv and home in environ:
            return int(entry.name)
    raise AssertionError("no pulumi up runs in this checkout")


def test_down_leaves_nothing(checkout: Checkout) -> None:
    sandbox = checkout.endpoints["id"]
    checkout.run("scripts/down")
    assert not checkout.state.exists()
    assert [path.name for path in checkout.temporary.iterdir()] == []
    assert left_in_memory(checkout) == []
    assert str(checkout.state) not in Path("/proc/mounts").read_text()
    assert sandbox not in checkout.run("podman", "ps", "-a", "--format", "{{.Names}}").stdout
    assert sandbox not in checkout.run("podman", "network", "ls", "--format", "{{.Name}}").stdout
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(checkout.state).encode() in text:
                left.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    assert left == []
