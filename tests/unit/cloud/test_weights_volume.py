"""The weights that pods of the cloud mount: which file system, by which driver, and that nobody writes there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_program import Made, environment, made

from fullbore.config import parse
from fullbore.plan import make_plan
from fullbore.plan.model import WeightsPlan

AGENT = "arn:aws:datasync:eu-central-1:111122223333:agent/agent-0c0c0c0c0c0c0c0c0"
NFS = {"source": "nfs", "server": "192.0.2.1", "agent_arns": [AGENT]}
SHARED = {"storage": {"shared": {}}, "replication": {**NFS, "destination": "shared"}}
LUSTRE: dict[str, Any] = {"storage": {"lustre": {"size_gib": 2400, "folder": "models/deep"}}}
BOTH = {"storage": {**LUSTRE["storage"], "shared": {}}}


def served(**parts: Any) -> dict[str, Any]:
    """A standby in the cloud's cluster."""
    given = {**parts, "storage": {"bucket": "example-weights", **parts.get("storage", {})}}
    return environment(
        {
            "kubeconfig": "/etc/cloud",
            "node_groups": {"gpu": {"instance_type": "p5.48xlarge", "min_nodes": 1, "max_nodes": 1}},
        },
        **{
            "image": {
                "registry": "r.example",
                "repository": "runtime",
                "profile": "cuda",
                "digest": "sha256:" + "1" * 64,
            },
            "cluster": {"kubeconfig": "/etc/site", "namespace": "models"},
            "serving": {"model": "deepseek-r1-distill-qwen-7b", "precision": "bf16", "context_tokens": 4096},
            "standby": {"rpo_s": 7200, "rto_s": 300},
            "replication": NFS,
            **given,
        },
    )


def planned(**parts: Any) -> WeightsPlan | None:
    plan = make_plan(parse(served(**parts)))
    assert plan.standby
    assert plan.cloud
    weights = plan.standby.serving.weights
    assert plan.cloud.volumes == (weights.kind if weights else None)
    assert plan.serving is None or plan.serving.weights is None
    return weights


@pytest.mark.parametrize(
    ("parts", "kind", "folder"),
    [
        (LUSTRE, "lustre", "models/deep"),
        ({**LUSTRE, "replication": {**NFS, "destination": "lustre"}}, "lustre", "weights"),
        (SHARED, "shared", "weights"),
        (BOTH, "lustre", "models/deep"),
        ({**BOTH, "replication": SHARED["replication"]}, "shared", "weights"),
    ],
)
def test_pods_read_what_replication_writes_and_else_what_loads_from_the_bucket(
    parts: dict[str, Any], kind: str, folder: str
) -> None:
    weights = planned(**parts)
    assert weights
    assert (weights.kind, weights.folder) == (kind, folder)


@pytest.mark.parametrize("parts", [{}, {"storage": {"shared": {}}}, {**LUSTRE, "sandbox": {}}])
def test_pods_mount_nothing_where_there_is_nothing_to_read(parts: dict[str, Any]) -> None:
    """EFS that nobody writes to holds no weights, and a sandbox has no drivers."""
    assert planned(**parts) is None


def kubernetes(found: Made, kind: str) -> dict[str, Any]:
    return found.one(kind, "standby-weights")["spec"]


@pytest.mark.parametrize(
    ("parts", "addon", "driver", "handle", "options", "size"),
    [
        (LUSTRE, "aws-fsx-csi-driver", "fsx.csi.aws.com", "storage-lustre-id", ["relatime", "flock"], "2400Gi"),
        (SHARED, "aws-efs-csi-driver", "efs.csi.aws.com", "storage-shared-id", None, "1Gi"),
    ],
)
def test_the_volume_is_the_file_system_that_is_made_and_its_driver_is_an_addon(
    parts: dict[str, Any], addon: str, driver: str, handle: str, options: list[str] | None, size: str
) -> None:
    found = made(served(**parts))
    assert found.one("Addon", "cloud-volumes")["addonName"] == addon
    volume = kubernetes(found, "PersistentVolume")
    csi = volume["csi"]
    assert (csi["driver"], csi["volumeHandle"], csi["readOnly"]) == (driver, handle, True)
    assert (volume.get("mountOptions"), volume["capacity"]) == (options, {"storage": size})
    assert (volume["persistentVolumeReclaimPolicy"], volume["accessModes"]) == ("Retain", ["ReadWriteMany"])


def test_lustre_is_found_by_the_names_that_fsx_gives_it() -> None:
    attributes = kubernetes(made(served(**LUSTRE)), "PersistentVolume")["csi"]["volumeAttributes"]
    assert attributes == {"dnsname": "storage-lustre.fsx", "mountname": "storage-lustre-mount"}


def test_only_the_claim_of_the_pods_takes_the_volume_and_that_claim_no_other() -> None:
    found = made(served(**LUSTRE))
    taken = kubernetes(found, "PersistentVolume")["claimRef"]
    claim = found.one("PersistentVolumeClaim", "standby-weights")
    assert (taken["namespace"], taken["name"]) == (claim["metadata"]["namespace"], claim["metadata"]["name"])
    name = found.one("PersistentVolume", "standby-weights")["metadata"]["name"]
    assert name == claim["spec"]["volumeName"] == "example-weights-storage-lustre-id"
    assert claim["spec"]["storageClassName"] == ""
    pod = found.one("Deployment", "standby-serving-deployment")["spec"]["template"]["spec"]
    (mounted,) = [each["persistentVolumeClaim"] for each in pod["volumes"] if each["name"] == "weights"]
    assert mounted == {"claimName": claim["metadata"]["name"], "readOnly": True}


def test_a_file_system_may_grow_without_another_claim() -> None:
    """Which would wait for the pods that mount it."""
    small, large = (made(served(storage={"lustre": {"size_gib": size}})) for size in (2400, 4800))
    claims = [found.one("PersistentVolumeClaim", "standby-weights") for found in (small, large)]
    assert claims[0] == claims[1]
    volumes = [kubernetes(found, "PersistentVolume") for found in (small, large)]
    assert [each.pop("capacity")["storage"] for each in volumes] == ["2400Gi", "4800Gi"]
    assert volumes[0] == volumes[1]


def test_pods_read_the_folder_where_the_launcher_looks_and_write_nothing() -> None:
    pod = made(served(**LUSTRE)).one("Deployment", "standby-serving-deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "weights"]
    assert (mount["subPath"], mount["readOnly"]) == ("models/deep", True)
    env = {each["name"]: each.get("value") for each in container["env"]}
    assert env["FULLBORE_MODEL_DIRECTORY"] == mount["mountPath"]


def test_the_sites_pods_mount_nothing_of_the_cloud() -> None:
    pod = made(served(**LUSTRE)).one("Deployment", "serving-deployment")["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["volumes"]] == ["plan", "tmp"]


def test_the_drivers_controller_may_stand_on_gpu_nodes() -> None:
    found = made(served(**LUSTRE))
    (tolerated,) = json.loads(found.one("Addon", "cloud-volumes")["configurationValues"])["controller"]["tolerations"]
    (taint,) = found.one("NodeGroup")["taints"]
    assert (tolerated["key"], tolerated["effect"]) == (taint["key"], "NoSchedule")
    assert taint["effect"] == "NO_SCHEDULE"


@pytest.mark.parametrize(
    ("parts", "ports"), [(LUSTRE, {(988, 988), (1018, 1023)}), (SHARED, {(2049, 2049)})], ids=["lustre", "shared"]
)
def test_the_file_system_lets_in_the_group_that_every_node_is_in(
    parts: dict[str, Any], ports: set[tuple[int, int]]
) -> None:
    found = made(served(**parts))
    carried = found.one("LaunchTemplate")["networkInterfaces"][0]["securityGroups"]
    opened = {
        (rule["fromPort"], rule["toPort"])
        for rule in found.of("SecurityGroupIngressRule").values()
        if rule.get("referencedSecurityGroupId") in carried and rule["securityGroupId"].startswith("storage-")
    }
    assert "sg-cluster" in carried
    assert opened == ports
