"""Roles: one a job, and keys that turn over."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_program import ACCOUNT, Made, environment, made

from fullbore.config import parse
from fullbore.plan import make_plan

SERVED: dict[str, Any] = {
    "storage": {"bucket": "example-weights"},
    "sandbox": {},
    "image": {"repository": "fullbore/runtime", "profile": "cpu"},
    "cluster": {"namespace": "models"},
    "serving": {"model": "deepseek-r1-distill-qwen-7b", "precision": "bf16", "context_tokens": 4096},
    "standby": {"rpo_s": 7200, "rto_s": 300},
}
GROUPS = {"gpu": {"instance_type": "p5.48xlarge", "max_nodes": 1}}


def attached(found: Made, role: str) -> set[str]:
    grants = found.of("RolePolicyAttachment").values()
    return {each["policyArn"].rpartition("/")[2] for each in grants if each["role"] == f"example-cloud-{role}"}


def test_without_pod_identity_the_node_has_the_network_plugins_policy() -> None:
    found = made(environment())
    assert "AmazonEKS_CNI_Policy" in attached(found, "node")
    assert found.of("Addon") == found.of("PodIdentityAssociation") == {}


def test_with_it_the_plugin_has_a_role_of_its_own_and_the_node_does_without() -> None:
    found = made(environment({"pod_identity": True}))
    assert attached(found, "node") == {"AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"}
    assert attached(found, "network-plugin") == {"AmazonEKS_CNI_Policy"}
    (association,) = found.of("PodIdentityAssociation").values()
    assert (association["namespace"], association["serviceAccount"]) == ("kube-system", "aws-node")
    assert found.one("Addon")["addonName"] == "eks-pod-identity-agent"
    (trust,) = json.loads(found.one("Role", "cloud-network-plugin")["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert trust["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    tags = {"namespace": "kube-system", "service-account": "aws-node"}
    assert trust["Condition"]["StringEquals"] == {f"aws:RequestTag/kubernetes-{k}": v for k, v in tags.items()}


def test_the_standbys_pods_may_read_the_weights_and_nothing_else() -> None:
    plan = make_plan(parse(environment({"pod_identity": True, "node_groups": GROUPS}, **SERVED)))
    assert plan.cloud
    assert plan.standby
    (job,) = [job for job in plan.cloud.jobs if job.reads_bucket]
    assert (job.namespace, job.reads_bucket) == ("models", "example-weights")
    assert plan.standby.serving.service_account == job.service_account
    assert job.managed_policy is None


def test_the_standbys_pods_have_no_role_where_pods_have_none() -> None:
    plan = make_plan(parse(environment({"node_groups": GROUPS}, **SERVED)))
    assert plan.standby
    assert plan.standby.serving.service_account is None


@pytest.mark.parametrize(
    ("api_from", "public", "ranges"),
    [(None, True, None), (["203.0.113.0/24"], True, ["203.0.113.0/24"]), ([], False, None)],
)
def test_the_api_is_reached_from_where_the_environment_says(
    api_from: list[str] | None, public: bool, ranges: list[str] | None
) -> None:
    config = made(environment({} if api_from is None else {"api_from": api_from})).one("Cluster")["vpcConfig"]
    assert (config["endpointPublicAccess"], config.get("publicAccessCidrs")) == (public, ranges)
    assert config["endpointPrivateAccess"] is True


def test_secrets_of_the_cluster_have_a_key_that_turns_over_and_that_its_role_may_use() -> None:
    found = made(environment({"own_key": True}))
    assert found.one("Cluster")["encryptionConfig"] == {
        "provider": {"keyArn": "arn:aws:mock:::cloud-secrets"},
        "resources": ["secrets"],
    }
    key = found.one("Key", "cloud-secrets")
    assert key["enableKeyRotation"] is True
    (administration,) = json.loads(key["policy"])["Statement"]
    assert administration["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    (use,) = json.loads(found.one("RolePolicy", "cloud-secrets-key")["policy"])["Statement"]
    assert use["Resource"] == ["arn:aws:mock:::cloud-secrets"]
    assert found.one("Alias")["name"] == "alias/example-cloud-secrets"
