"""Which pods of the cloud have a role, and which one: a role for each job, and no pod without a job has any. Pure."""

from __future__ import annotations

from fullbore.config.models import Cloud, Environment
from fullbore.plan.model import JobPlan, ReaderPlan

STANDBY_ACCOUNT = "standby"
LAG_ACCOUNT = "replication-lag"
NETWORK_PLUGIN = JobPlan(
    name="network-plugin",
    namespace="kube-system",
    service_account="aws-node",
    managed_policy="AmazonEKS_CNI_Policy",
)
"""The VPC network plugin manages interfaces of its node (EKS user guide, "Configure Amazon VPC CNI plugin")."""


def standby_account(env: Environment) -> str | None:
    """The service account of the standby's pods, where they have a role by it."""
    return STANDBY_ACCOUNT if env.standby and env.storage and env.cloud and env.cloud.pod_identity else None


def pod_jobs(env: Environment, cloud: Cloud) -> tuple[JobPlan, ...]:
    """The network plugin, and the standby's pods where there are weights for them to read."""
    if not cloud.pod_identity:
        return ()
    account = standby_account(env)
    if account is None or env.storage is None:
        return (NETWORK_PLUGIN,)
    namespace = env.cluster.namespace if env.cluster else "fullbore"
    reader = JobPlan(
        name="weights-reader", namespace=namespace, service_account=account, reads_bucket=env.storage.bucket
    )
    return (NETWORK_PLUGIN, reader)


def lag_reader(env: Environment) -> ReaderPlan | None:
    """The pod that measures the lag of replication, where one does."""
    if env.monitoring is None or env.monitoring.lag is None or env.cluster is None:
        return None
    return ReaderPlan(
        oidc_provider=env.monitoring.lag.oidc_provider,
        namespace=env.cluster.namespace,
        service_account=LAG_ACCOUNT,
    )
