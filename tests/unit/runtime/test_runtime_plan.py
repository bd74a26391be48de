"""What the planner writes and the launcher reads: the same fields, and each that is checked is checked."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from tune_cases import facts_of

from fullbore.config import load_file, parse
from fullbore.plan import make_plan
from fullbore.plan.hosts import document_text
from fullbore_runtime.document import Document
from fullbore_runtime.document import parse as parse_document
from fullbore_runtime.facts import Facts
from fullbore_runtime.tune import tune

ROOT = Path(__file__).parents[3]
NAMES = {"version", "kind", "name", "environment", "checksum"}
"""What the document is, and of what."""
HCAS = [f"mlx5_{index}" for index in range(8)]
HOST = {
    "serial": "EX-0001",
    "address": "192.0.2.1",
    "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB",
}
MANIFEST = "1" * 64
"""Of the weights in the facts."""


def environment(serving: Mapping[str, Any] = {}, group: Mapping[str, Any] = {}, **parts: Any) -> dict[str, Any]:
    """Eight H100 and as many HCAs a host, as in the facts of the case h100.tp-8."""
    gpu = {"kind": "gpu", "rack": "r01", "accelerator": "h100", "gpus_per_host": 8, "hcas": HCAS, **group}
    groups = {"gpu": {**gpu, "hosts": {"gpu-01": HOST}}}
    return {
        "name": "example",
        "site": {
            "name": "hall",
            "cidr": "192.0.2.0/24",
            "fabric": "infiniband",
            "runtimes": {"ucx": {}, "nvshmem": {}},
            "groups": groups,
        },
        "serving": {"model": "llama-3.1-70b", "precision": "bf16", "tensor_parallel": 8, **serving},
        **parts,
    }


def told(env: dict[str, Any]) -> Document:
    """What the launcher reads of an environment's plan, through the file's text."""
    pool = make_plan(parse(env)).serving
    assert pool
    return parse_document(json.loads(document_text(pool.document)))


def refused(env: dict[str, Any], facts: Facts | None = None) -> list[str]:
    return list(tune(facts or facts_of("h100.tp-8"), told(env)).refusals)


@pytest.mark.parametrize("stack", ["local", "staging", "prod"])
def test_every_field_that_is_written_is_one_that_the_launcher_reads(stack: str) -> None:
    plan = make_plan(load_file(ROOT / f"stacks/Pulumi.{stack}.yaml"))
    known = {field.name for field in fields(Document)}
    pools = [pool for pool in (plan.serving, plan.standby and plan.standby.serving) if pool]
    assert pools
    for pool in pools:
        assert set(pool.document) <= known | NAMES
        assert parse_document(json.loads(document_text(pool.document))).model == pool.model


def test_a_replica_is_told_gpus_driver_fabric_and_where_its_monitor_serves() -> None:
    document = told(environment())
    assert (document.accelerator, document.engine, document.cuda) == ("h100", "vllm", "13.0.2")
    assert document.driver == "580.65.06", "the oldest that CUDA 13 allows, not the locked one"
    assert document.monitor_port == 8001
    assert (document.fabric.kind, document.fabric.hcas) == ("infiniband", tuple(HCAS))
    assert document.fabric.environment["ucx"]["UCX_NET_DEVICES"] == ",".join(f"{hca}:1" for hca in HCAS)
    assert "NVSHMEM_HCA_PE_MAPPING" in document.fabric.environment["nvshmem"]


def test_a_pod_of_some_of_the_gpus_is_told_no_list_that_counts_from_the_hosts_first() -> None:
    environments = told(environment({"tensor_parallel": 4})).fabric.environment
    assert environments["ucx"]
    assert not any("PE_MAPPING" in name for lines in environments.values() for name in lines)


def test_groups_that_differ_leave_their_devices_and_gpus_to_the_node() -> None:
    env = environment()
    other = {**env["site"]["groups"]["gpu"], "accelerator": "h200", "hcas": HCAS[:4]}
    other["hosts"] = {"gpu-02": {**HOST, "serial": "EX-0002", "address": "192.0.2.2"}}
    env["site"]["groups"]["more"] = other
    document = told(env)
    assert document.accelerator is None
    assert (document.fabric.kind, document.fabric.hcas) == ("infiniband", ())


def test_the_cpu_profile_is_told_nothing_of_gpus() -> None:
    plan = make_plan(load_file(ROOT / "stacks/Pulumi.local.yaml"))
    assert plan.serving
    document = parse_document(plan.serving.document)
    assert (document.accelerator, document.driver, document.cuda, document.monitor_port) == (None, None, None, None)
    assert plan.serving.monitor_port is None


def test_the_planned_machine_starts_the_planned_replica() -> None:
    assert refused(environment({"weights_sha256": MANIFEST})) == []


def test_the_memory_monitor_serves_where_prometheus_asks() -> None:
    pool = make_plan(parse(environment())).serving
    assert pool
    (monitor,) = (s for s in tune(facts_of("h100.tp-8"), told(environment())).settings if "monitor" in s.name)
    assert f"--port={pool.monitor_port}" in monitor.values


@pytest.mark.parametrize(
    ("serving", "parts", "reason"),
    [
        ({"weights_sha256": "2" * 64}, {}, "weights_sha256: the plan says 2222"),
        ({"engine": "sglang"}, {}, "engine: the plan says sglang, but it is not installed in this image"),
        ({}, {"versions": {"cuda": "12.8.1"}}, "cuda: the plan says 12.8.1, but torch of this image is built for 13.0"),
    ],
)
def test_another_image_or_other_weights_are_refused(
    serving: dict[str, Any], parts: dict[str, Any], reason: str
) -> None:
    assert any(line.startswith(reason) for line in refused(environment(serving, **parts)))


def test_another_gpu_is_refused() -> None:
    assert any("but the plan says h200" in line for line in refused(environment(group={"accelerator": "h200"})))


def test_a_driver_is_refused_only_below_the_oldest_that_the_lock_allows() -> None:
    facts = facts_of("h100.tp-8")
    assert facts.driver

    def with_driver(version: str) -> list[str]:
        assert facts.driver
        return refused(environment(), replace(facts, driver=dataclasses.replace(facts.driver, version=version)))

    assert with_driver("580.65.06") == []
    assert with_driver("580.65.05") == [
        "driver: got 580.65.05, but the plan needs 580.65.06 or newer; update the driver"
    ]
