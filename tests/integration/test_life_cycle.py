"""The whole stack on one machine, from nothing to nothing, with the real engine.

The tests of this module run in order and share one sandbox: each is a step of one life.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from kubernetes import client

import kills
from checkout import Checkout, summary
from fullbore_agent.settings import NCCL_FILE, SYSCTL_FILE
from fullbore_sandbox.rootfs import SYSROOT
from waiting import wait_for

SYSCTL = "net.ipv4.tcp_ecn"
SECOND = "            gpu-02: { serial: SBX-GPU-0002 }"
"""The line of the second GPU host in stacks/Pulumi.local.yaml."""
UNIT = "/etc/systemd/system/fullbore-numa.service"
FIRST: Counter[str] = Counter()
"""What the first `up` made in the emulated cloud."""


def left_in_memory(checkout: Checkout) -> list[str]:
    """Folders below /dev/shm that speak of this checkout."""
    argv = ["grep", "-rlF", str(checkout.root), *map(str, Path("/dev/shm").glob("fullbore-*")), "/dev/null"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()


def sysctl(checkout: Checkout, host: str, value: str | None = None) -> str:
    """The running value of the kernel setting on a host, after setting it by hand where a value is given."""
    change = f"sysctl -qw {SYSCTL}={value} && " if value else ""
    return checkout.ssh(host, f"{change}sysctl -n {SYSCTL}")


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("replicas: 2", "replica: 2", "serving.replica"),
        ("memory_gib: 1024", "memory_gib: 1TB", "site.groups.gpu.memory_gib"),
        ("cidr: 10.64.0.0/16", "cidr: 10.200.0.0/20", "cloud.cidr"),
        ("SBX-GPU-0002", "SBX-GPU-0001", "site.groups.gpu.hosts.gpu-02.serial"),
        ("secure: v1:SZUr", "secure: v1:AZUr", "replication.password"),
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
    # The field's path begins the problem, and is no part of another one's path or message.
    assert re.search(rf"^error +{re.escape(path)}: ", said, re.MULTILINE), said
    assert "Traceback" not in said
    assert not checkout.state.exists()


def test_one_command_brings_everything_up(checkout: Checkout) -> None:
    done = checkout.run("scripts/up", timeout=3600)
    FIRST.update(checkout.census())
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
        assert checkout.ssh(host, "systemctl is-enabled fullbore-numa.service") == "enabled"
        governors = checkout.ssh(host, f"cat {SYSROOT}/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")
        assert set(governors.split()) == {"performance"}
    for host in ("gpu-01", "gpu-02"):
        assert "NCCL_IB_HCA" in checkout.ssh(host, "cat /etc/nccl.conf")
        kubelet = json.loads(checkout.ssh(host, "cat /etc/fullbore/kubelet.yaml"))
        assert kubelet["topologyManagerPolicy"] == "single-numa-node"
        assert kubelet["reservedSystemCPUs"]


def test_cloud_exists_on_the_emulated_account(checkout: Checkout) -> None:
    found = checkout.census()
    assert found["vpcs"] == found["clusters"] == found["tasks"] == 1
    assert found["subnets"] == 2
    assert found["locations"] == 2
    s3 = checkout.aws("s3")
    bucket = s3.list_buckets()["Buckets"][0]["Name"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    eks = checkout.aws("eks")
    name = eks.list_clusters()["clusters"][0]
    group = eks.list_nodegroups(clusterName=name)["nodegroups"][0]
    nodes = eks.describe_nodegroup(clusterName=name, nodegroupName=group)["nodegroup"]
    assert nodes["launchTemplate"]["id"]
    cluster = eks.describe_cluster(name=name)["cluster"]
    assert_role(checkout, cluster["roleArn"], "eks.amazonaws.com", "AmazonEKSClusterPolicy")
    assert_role(checkout, nodes["nodeRole"], "ec2.amazonaws.com", "AmazonEKSWorkerNodePolicy")


def assert_role(checkout: Checkout, arn: str, service: str, policy: str) -> None:
    """The role exists, is for the service, and has the policy."""
    iam, name = checkout.aws("iam"), arn.rpartition("/")[2]
    role = iam.get_role(RoleName=name)["Role"]
    assert role["Arn"] == arn
    assert [each["Principal"] for each in role["AssumeRolePolicyDocument"]["Statement"]] == [{"Service": service}]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert policy in {each["PolicyName"] for each in attached}


def test_every_ready_pod_is_a_running_container_of_the_image(checkout: Checkout) -> None:
    pods = checkout.ready_pods()
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


def test_the_cluster_has_its_queue_and_priorities(checkout: Checkout) -> None:
    api = checkout.kube()
    volcano: Any = client.CustomObjectsApi(api)
    queues = volcano.list_cluster_custom_object("scheduling.volcano.sh", "v1beta1", "queues")
    states = {each["metadata"]["name"]: each["status"]["state"] for each in queues["items"]}
    group = checkout.ready_pods()[0].metadata.annotations["scheduling.k8s.io/group-name"]
    found = volcano.get_namespaced_custom_object("scheduling.volcano.sh", "v1beta1", "fullbore", "podgroups", group)
    assert states[found["spec"]["queue"]] == "Open"
    assert found["spec"]["queue"] != "default"
    listed: list[Any] = client.SchedulingV1Api(api).list_priority_class().items
    classes = {each.metadata.name: each.value for each in listed}
    assert classes[checkout.ready_pods()[0].spec.priority_class_name] == checkout.ready_pods()[0].spec.priority > 0


def test_prometheus_scrapes_every_host_and_has_its_rules(checkout: Checkout) -> None:
    where = checkout.endpoints["prometheus"]
    url = f"http://{where['address']}:{where['port']}/api/v1"

    def up() -> set[str]:
        found = checkout.http(f"{url}/query?query=up").body["data"]["result"]
        return {each["metric"].get("host", "") for each in found if each["value"][1] == "1"} - {""}

    wait_for("every host to be scraped", lambda: up() == {"gpu-01", "gpu-02", "nvme-01"})
    groups = checkout.http(f"{url}/rules").body["data"]["groups"]
    rules = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert rules["FullboreHostAgentDown"] == "ok"
    assert set(rules.values()) == {"ok"}


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
    checkout.ssh("gpu-01", f"echo NCCL_IB_DISABLE=1 >> {NCCL_FILE}; echo '# by hand' >> {UNIT}")
    s3 = checkout.aws("s3")
    bucket = s3.list_buckets()["Buckets"][0]["Name"]
    tags = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [tag for tag in tags if tag["Key"] != "environment"]})
    apps = client.AppsV1Api(checkout.kube())
    apps.patch_namespaced_deployment_scale("serving", "fullbore", {"spec": {"replicas": 1}})

    shown = checkout.pulumi("preview", "--refresh", "--diff", "--non-interactive").stdout
    assert re.search(rf"{re.escape(SYSCTL)}.*\"2\" => \"1\"", shown), shown
    assert re.search(r"extra\.nccl.*\"NCCL_IB_DISABLE=1\" => \"none\"", shown), shown
    assert f"file.{UNIT}" in shown
    assert re.search(r"- environment: +\"local\"", shown), shown
    assert re.search(r"replicas.*(1 => 2|2 => 1)", shown), shown

    checkout.run("scripts/up")
    assert sysctl(checkout, "gpu-01") == "1"
    assert checkout.ssh("gpu-01", f"grep -c -e NCCL_IB_DISABLE -e 'by hand' {NCCL_FILE} {UNIT} || true").split() == [
        f"{NCCL_FILE}:0",
        f"{UNIT}:0",
    ]
    assert {tag["Key"] for tag in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]} == {tag["Key"] for tag in tags}
    assert apps.read_namespaced_deployment("serving", "fullbore").spec.replicas == 2
    assert len(checkout.ready_pods()) == 2


def test_endpoints_follow_the_pods_and_fall_back_to_the_standby(checkout: Checkout) -> None:
    def pool_is(name: str) -> bool:
        answer = checkout.chat()
        return answer.status == 200 and answer.headers["x-fullbore-pool"] == name

    apps = client.AppsV1Api(checkout.kube())
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

    wait_for("no alert", lambda: firing() == [])  # a host that was starved for seconds has one for a moment
    checkout.ssh("gpu-02", "systemctl stop fullbore-agent.service")
    try:
        wait_for("the alert", lambda: firing() == ["gpu-02"])
    finally:
        checkout.ssh("gpu-02", "systemctl start fullbore-agent.service")


def test_playbook_without_pulumi_repairs_a_host_and_then_finds_nothing_to_do(checkout: Checkout) -> None:
    sysctl(checkout, "gpu-01", "2")
    changed = played(checkout)
    assert changed["gpu-01"] > 0
    assert changed["gpu-02"] == 0
    assert sysctl(checkout, "gpu-01") == "1"
    assert played(checkout) == {"gpu-01": 0, "gpu-02": 0}


def played(checkout: Checkout) -> dict[str, int]:
    """How many tasks of the playbook changed something on each GPU host."""
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
    return {host: int(changed) for host, changed in recap}


def test_secrets_are_nowhere_in_clear(checkout: Checkout) -> None:
    """Neither in a file of the sandbox, nor in memory that is shared, nor in an argument of what an update starts."""
    secret = checkout.run(
        "scripts/pulumi", "config", "get", "--stack", "local", "--path", "fullbore:env.replication.password"
    ).stdout.strip()
    assert len(secret) > 8
    with command_lines() as seen:
        checkout.pulumi("up", "--refresh", "--yes", "--skip-preview", "--non-interactive")
    for program in ("fullbore_sandbox.plugins.aws", "fullbore.provider", "ansible-playbook"):
        assert any(program in line for line in seen), f"{program} was not looked at"
    assert [line for line in seen if secret in line] == []
    read, found = files_with(secret, [checkout.state, checkout.temporary, Path("/dev/shm")])
    assert read > 100
    assert found == []


def files_with(text: str, folders: Sequence[Path]) -> tuple[int, list[Path]]:
    """How many files below `folders` were read, and those that hold `text`. One that goes away meanwhile is passed
    over; one that cannot be read for another reason is an error."""
    read, found = 0, list[Path]()
    for file in (Path(top, name) for each in folders for top, _, names in os.walk(each) for name in names):
        with suppress(FileNotFoundError):
            if file.is_file() and not file.is_symlink():
                read, found = read + 1, found + [file] * (text.encode() in file.read_bytes())
    return read, found


@contextmanager
def command_lines() -> Iterator[set[str]]:
    """The command lines of all processes that are met meanwhile, twenty times a second."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    watch = threading.Thread(target=look)
    watch.start()
    try:
        yield seen
    finally:
        done.set()
        watch.join()


def test_destroy_leaves_an_empty_account_and_cluster(checkout: Checkout) -> None:
    said = checkout.pulumi("destroy", "--yes", "--non-interactive").stdout
    for plugin, called in (("aws", "AWS"), ("kubernetes", "Kubernetes")):
        used = (checkout.state / "sandbox" / "plugins" / f"pulumi-resource-{plugin}").resolve()
        if used.is_relative_to(checkout.root):  # the stand-in, not the official one
            assert f"SIMULATED: {called}" in said
    assert checkout.resources() == []
    left = checkout.census()
    assert +left == {}, left
    for cluster in ("site", "cloud"):
        namespaces: list[Any] = client.CoreV1Api(checkout.kube(cluster)).list_namespace().items
        assert "fullbore" not in [each.metadata.name for each in namespaces]
    assert checkout.containers("label=fullbore.pod-uid") == []


def test_unreachable_hosts_are_named_and_the_rest_comes_up(checkout: Checkout) -> None:
    """One of two GPU hosts, and the only storage host: max_failures allows one of each group."""
    lost = [f"fullbore-{checkout.endpoints['id']}-host-{host}" for host in ("gpu-02", "nvme-01")]
    checkout.podman("pause", *lost)
    try:
        done = checkout.run("scripts/up")
    finally:
        checkout.podman("unpause", *lost)
    assert "warning: 1 of 2 hosts failed (maxFailures is 1)" in done.stdout
    assert "warning: 1 of 1 hosts failed (maxFailures is 1)" in done.stdout
    for host in ("gpu-02", "nvme-01"):
        assert f"warning: {host}: unreachable" in done.stdout
        assert re.search(rf"host {host} .*│ +silent|host {host} .*│ +no SSH", done.stdout), done.stdout
    hosts = checkout.outputs()["hosts"]
    assert {host for host, each in hosts.items() if each["failed"]} == {"gpu-02", "nvme-01"}
    wait_for("a chat completion", lambda: checkout.chat().status == 200, 30)

    checkout.run("scripts/up")
    assert {host for host, each in checkout.outputs()["hosts"].items() if each["failed"]} == set()


def test_a_host_and_a_setting_are_added_and_taken_away_again(checkout: Checkout) -> None:
    file = checkout.root / "stacks" / "Pulumi.local.yaml"
    good = file.read_text()
    added = good.replace(SECOND, f"{SECOND}\n{SECOND.replace('2', '3')}")
    file.write_text(added.replace("    site:\n", "    site:\n      sysctl: { net.ipv4.tcp_mtu_probing: 1 }\n"))
    try:
        checkout.run("scripts/up")
        assert sysctl(checkout, "gpu-03") == "1"
        assert checkout.outputs()["hosts"]["gpu-03"]["failed"] is None
        assert "tcp_mtu_probing = 1" in checkout.ssh("gpu-01", f"cat {SYSCTL_FILE}")
    finally:
        file.write_text(good)
    checkout.run("scripts/up")
    assert "gpu-03" not in checkout.outputs()["hosts"]
    assert "tcp_mtu_probing" not in checkout.ssh("gpu-01", f"cat {SYSCTL_FILE}")
    assert not [each for each in checkout.containers() if "host-gpu-03" in str(each["Names"])]


def test_a_change_stops_where_too_few_hosts_would_go_on_serving(checkout: Checkout) -> None:
    """Two replicas need one of two hosts. With one lost, the other is not touched; the next `up` finishes both."""
    play = checkout.root / "ansible" / "site.yml"
    play.write_text(f"{play.read_text()}# Another content: every role runs again.\n")
    sysctl(checkout, "gpu-01", "2")
    lost = [f"fullbore-{checkout.endpoints['id']}-host-{host}" for host in ("gpu-01", "gpu-02")]
    checkout.podman("pause", *lost)
    try:
        done = checkout.pulumi("up", "--yes", "--skip-preview", "--non-interactive", check=False)
    finally:
        checkout.podman("unpause", *lost)
    assert done.returncode != 0, done.stdout
    assert "the change stopped; the next up goes on; 1 of 2 hosts failed" in done.stdout
    assert "gpu-01: unreachable" in done.stdout
    assert "gpu-02: not touched: of kind gpu, at most 1 may be out of service, and 1 failed" in done.stdout

    checkout.run("scripts/up")
    assert sysctl(checkout, "gpu-01") == "1"
    assert {host for host, each in checkout.outputs()["hosts"].items() if each["failed"]} == set()


@pytest.mark.parametrize(
    ("moment", "count"),
    [(" created", 4), ("HostGroup site-gpu creating", 1), ("Deployment serving-deployment creating", 1)],
    ids=["early", "while hosts converge", "late"],
)
def test_a_killed_up_is_completed_by_the_next(checkout: Checkout, moment: str, count: int) -> None:
    """kill -9 of the engine the `count`th time that it says `moment`, starting from an empty stack."""
    checkout.pulumi("destroy", "--yes", "--non-interactive")
    killed(checkout, ["scripts/up"], lambda said: said.count(moment) == count)


def test_a_killed_destroy_is_made_up_for(checkout: Checkout) -> None:
    argv = ["scripts/pulumi", "destroy", "--yes", "--skip-preview", "--non-interactive", "--stack", "local"]
    killed(checkout, argv, lambda said: said.count(" deleted") >= 6)


def test_a_killed_refresh_loses_nothing(checkout: Checkout) -> None:
    argv = ["scripts/pulumi", "refresh", "--yes", "--skip-preview", "--non-interactive", "--stack", "local"]
    killed(checkout, argv, lambda said: " refreshing" in said)


def test_a_killed_image_build_is_made_up_for(checkout: Checkout) -> None:
    before = checkout.outputs()["imageRef"]
    kills.change_image(checkout)
    killed(checkout, ["scripts/up"], lambda said: bool(re.search(r"image:Image \S+ updating", said)))
    assert checkout.outputs()["imageRef"] != before


@pytest.mark.parametrize("seed", json.loads(kills.FAILED.read_text()))
def test_a_kill_that_once_was_not_made_up_for(checkout: Checkout, seed: int) -> None:
    kills.carry_out(checkout, kills.kill_of(seed))
    kills.assert_mended(checkout, FIRST)


def killed(checkout: Checkout, argv: Sequence[str], moment: Callable[[str], bool]) -> None:
    said = checkout.kill_engine(argv, moment)
    assert "Resources:" not in said, f"the engine came to its end: {said}"
    kills.assert_mended(checkout, FIRST)


def test_down_leaves_nothing(checkout: Checkout) -> None:
    sandbox = checkout.endpoints["id"]
    checkout.run("scripts/down")
    assert not checkout.state.exists()
    assert [path.name for path in checkout.temporary.iterdir()] == []
    assert left_in_memory(checkout) == []
    assert str(checkout.state) not in Path("/proc/mounts").read_text()
    assert sandbox not in checkout.run("podman", "ps", "-a", "--format", "{{.Names}}").stdout
    assert sandbox not in checkout.run("podman", "network", "ls", "--format", "{{.Name}}").stdout
    images = checkout.run("podman", "images", "-a", "--format", "{{.Names}} {{.Labels}}").stdout
    assert sandbox not in images, images
    left = []
    others = checkout.run("podman", "ps", "--quiet").stdout.strip()  # which the same name server may serve
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
                text = command + (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(checkout.state).encode() in text and not (others and b"aardvark-dns" in text):
                left.append(command.replace(b"\0", b" ").decode())
    assert left == []
