"""What a control plane is made of: certificates, command lines and nodes."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from fullbore.config.models import Environment
from fullbore_sandbox.clusterfiles import certificates, nodes
from fullbore_sandbox.clusterfiles.processes import PROCESSES, Plane

SITE = {
    "name": "lab",
    "cidr": "10.200.0.0/16",
    "fabric": "roce",
    "groups": {
        "gpu": {
            "kind": "gpu",
            "rack": "r01",
            "accelerator": "h100",
            "gpus_per_host": 8,
            "hosts": {"gpu-01": {"serial": "a"}},
        },
        "storage": {"kind": "storage", "rack": "r02", "hosts": {"nvme-01": {"serial": "b"}}},
    },
}
CLOUD = {
    "region": "eu-central-1",
    "cidr": "10.64.0.0/16",
    "zones": ["a", "b"],
    "node_groups": {"burst": {"instance_type": "p5en.48xlarge", "max_nodes": 2, "capacity": "spot"}},
}


def environment(**more: object) -> Environment:
    return Environment.model_validate({"name": "local", "sandbox": {"gpu_nodes": 3, "standby_nodes": 3}, **more})


def test_site_nodes_stand_for_the_gpu_hosts_and_one_is_for_infrastructure() -> None:
    made = nodes.site_nodes(environment(site=SITE))
    assert [n["metadata"]["name"] for n in made] == ["gpu-01", "gpu-sim-002", "gpu-sim-003", "infra-01"]
    gpu, infra = made[0], made[-1]
    assert gpu["status"]["allocatable"]["nvidia.com/gpu"] == "8"
    assert gpu["spec"]["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    labels = gpu["metadata"]["labels"]
    assert labels["fullbore/rack"] == "r01"
    assert labels["fullbore/accelerator"] == "h100"
    assert labels["topology.kubernetes.io/zone"] == "lab"
    assert infra["spec"] == {}
    assert "nvidia.com/gpu" not in infra["status"]["allocatable"]


def test_cloud_nodes_look_like_those_of_eks() -> None:
    made = nodes.cloud_nodes(environment(cloud=CLOUD))
    labels = [n["metadata"]["labels"] for n in made]
    assert made[0]["metadata"]["name"] == "ip-10-64-0-10.eu-central-1.compute.internal"
    assert [x["topology.kubernetes.io/zone"] for x in labels] == ["eu-central-1a", "eu-central-1b", "eu-central-1a"]
    assert labels[0]["eks.amazonaws.com/nodegroup"] == "burst"
    assert labels[0]["eks.amazonaws.com/capacityType"] == "SPOT"
    assert labels[0]["nvidia.com/gpu.product"] == "NVIDIA-H200"


def test_an_environment_without_a_part_has_no_nodes_of_it() -> None:
    assert [n["metadata"]["name"] for n in nodes.site_nodes(environment())] == ["infra-01"]
    assert nodes.cloud_nodes(environment()) == []


def test_every_accelerator_of_the_catalog_has_a_product_name() -> None:
    from fullbore.catalog.accelerators import ACCELERATORS

    assert set(nodes.PRODUCTS) == set(ACCELERATORS)


def test_certificates_are_made_once_and_private(tmp_path: Path) -> None:
    made = certificates.ensure(tmp_path / "pki", "site")
    before = made.client.certificate.read_bytes()
    assert certificates.ensure(tmp_path / "pki", "site").client.certificate.read_bytes() == before
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "pki").glob("*.key")} == {0o600}
    authority = x509.load_pem_x509_certificate(made.authority.certificate.read_bytes())
    for pair in (made.server, made.client):
        x509.load_pem_x509_certificate(pair.certificate.read_bytes()).verify_directly_issued_by(authority)
        ssl.create_default_context().load_cert_chain(pair.certificate, pair.key)


def test_the_kubeconfig_is_private_and_complete(tmp_path: Path) -> None:
    made = certificates.ensure(tmp_path / "pki", "site")
    path = certificates.kubeconfig(tmp_path / "kubeconfig", "site", "https://127.0.0.1:1", made)
    assert path.stat().st_mode & 0o777 == 0o600
    config = yaml.safe_load(path.read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    assert set(config["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


def plane(folder: Path) -> Plane:
    return Plane(
        name="site",
        folder=folder,
        kubeconfig=folder / "kubeconfig",
        certificates=certificates.Certificates(folder),
        port=lambda process: 20000 + len(process),
    )


@pytest.mark.parametrize("name", list(PROCESSES))
def test_every_process_listens_on_loopback_only(name: str, tmp_path: Path) -> None:
    arguments = PROCESSES[name].arguments(plane(tmp_path))
    flags = ("--listen", "--bind-address", "--server-address", "--healthz-address")
    listening = [a for a in arguments if a.startswith(flags)]
    assert listening
    assert all("127.0.0.1" in a for a in listening)


def test_kwok_leaves_pods_alone(tmp_path: Path) -> None:
    """It is given stages of nodes, and knows no others."""
    given = [a.partition("=")[2] for a in PROCESSES["kwok"].arguments(plane(tmp_path)) if a.startswith("--config=")]
    assert [Path(a).name for a in given] == ["node-initialize.yaml", "node-heartbeat-with-lease.yaml"]
