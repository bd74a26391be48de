"""What the container runtime's role is given: packages, containerd's files and CDI devices."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from fullbore.catalog.versions.releases import GOOD
from fullbore.config.models import HostGroup, Site
from fullbore.plan.hosts import group_plans
from fullbore.plan.model import GroupPlan

GPU: dict[str, object] = {"kind": "gpu", "rack": "r01", "accelerator": "h100", "gpus_per_host": 8}
STORAGE: dict[str, object] = {"kind": "storage", "rack": "r01"}
IMAGE = "registry.example/pause@sha256:" + "a" * 64


def planned(runtime: dict[str, object] | None, group: dict[str, object] | None = None) -> GroupPlan:
    site = {
        "name": "lab",
        "cidr": "10.0.0.0/8",
        "fabric": "ethernet",
        "container_runtime": runtime,
        "groups": {"gpu": HostGroup.model_validate({**(group or GPU), "hosts": {"h-01": {"serial": "SN1"}}})},
    }
    (plan,) = group_plans(Site.model_validate(site), lock=GOOD, registry="registry.example:5000")
    return plan


def config(runtime: dict[str, object], group: dict[str, object] | None = None) -> dict[str, Any]:
    return tomllib.loads(text(planned(runtime, group), "/etc/containerd/config.toml"))


def text(plan: GroupPlan, path: str) -> str:
    return next(file.text for file in plan.files if file.path == path)


def wants(plan: GroupPlan) -> dict[str, str]:
    return {setting.id: setting.want for setting in plan.settings if setting.role == "container_runtime"}


def test_the_runtime_is_left_alone_where_the_site_does_not_ask_for_it() -> None:
    assert (wants(planned(None)), planned(None).files) == ({}, ())


@pytest.mark.parametrize(
    ("release", "version", "runtime", "images"),
    [
        ("1.7.28", 2, "io.containerd.grpc.v1.cri", "io.containerd.grpc.v1.cri"),
        ("2.0", 3, "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"),
        ("2.1.4", 3, "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"),
    ],
)
def test_the_configuration_has_the_form_that_the_release_reads(
    release: str, version: int, runtime: str, images: str
) -> None:
    made = config({"containerd": release, "pause_image": IMAGE})
    plugins = made["plugins"]
    handlers = plugins[runtime]["containerd"]["runtimes"]
    assert made["version"] == version
    assert handlers["runc"]["options"] == {"SystemdCgroup": True}
    assert handlers["nvidia"]["options"]["BinaryName"] == "/usr/bin/nvidia-container-runtime"
    assert plugins[runtime]["enable_cdi"]
    assert plugins[images]["registry"]["config_path"] == "/etc/containerd/certs.d"
    pause = plugins[images]["sandbox_image"] if version == 2 else plugins[images]["pinned_images"]["sandbox"]
    assert pause == IMAGE


def test_a_machine_without_gpus_gets_neither_the_toolkit_nor_its_handler() -> None:
    plan = planned({"containerd": "2.1", "package": "containerd"}, STORAGE)
    ids = [id for id in wants(plan) if not id.startswith("file.")]
    assert ids == ["package.containerd", "unit.containerd.service"]
    assert "nvidia" not in text(plan, "/etc/containerd/config.toml")


def test_every_gpu_and_every_instance_of_it_is_to_be_named() -> None:
    assert wants(planned({"containerd": "2.1"}))["cdi.nvidia.com/gpu"] == "8"
    assert wants(planned({"containerd": "2.1"}, {**GPU, "mig": ["3g.40gb", "4g.40gb"]}))["cdi.nvidia.com/gpu"] == "16"
    assert wants(planned({"containerd": "2.1"}))["package.libnvidia-container1"] == "1.18.2,hold"


def test_each_registry_has_its_hosts_file_and_that_of_the_image_too() -> None:
    access = {"mirror": "https://mirror.example/v2/k8s", "ca_file": "/etc/ssl/certs/site.pem"}
    plan = planned({"containerd": "2.1", "registries": {"registry.k8s.io": access}})
    mirrored = tomllib.loads(text(plan, "/etc/containerd/certs.d/registry.k8s.io/hosts.toml"))
    assert mirrored == {
        "server": "https://registry.k8s.io",
        "host": {
            "https://mirror.example/v2/k8s": {"capabilities": ["pull", "resolve"], "ca": "/etc/ssl/certs/site.pem"}
        },
    }
    own = tomllib.loads(text(plan, "/etc/containerd/certs.d/registry.example:5000/hosts.toml"))
    assert list(own["host"]) == ["https://registry.example:5000"]
    assert "LimitMEMLOCK=infinity\n" in text(plan, "/etc/systemd/system/containerd.service.d/10-fullbore.conf")
