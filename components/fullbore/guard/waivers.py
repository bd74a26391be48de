"""Findings that are accepted, each with its reason. A test fails on one that excuses nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Waiver:
    guard: str
    name: str
    """Name of the resource."""
    reason: str


WAIVERS = (
    Waiver(
        guard="eks-endpoint",
        name="cloud-eks",
        reason="an environment without `cloud.api_from`: the site and CI reach the cluster from outside of the VPC;"
        " each call is signed, access entries say who may call, and the audit log who did",
    ),
)
