"""The table: every resource type that the stand-in carries out, by its token."""

from __future__ import annotations

from collections.abc import Mapping

from fullbore_sandbox.plugins.aws.row import Row
from fullbore_sandbox.plugins.aws.rows import (
    compute,
    datasync,
    direct_connect,
    eks,
    eks_access,
    events,
    filesystems,
    iam,
    kms,
    locations,
    logs,
    network,
    s3,
    security,
    vpn,
)

ROWS: Mapping[str, Row] = {
    row.type: row
    for module in (
        *(network, vpn, security, compute, eks, eks_access, iam, kms, logs, events, s3, filesystems),
        *(locations, datasync, direct_connect),
    )
    for row in module.ROWS
}
