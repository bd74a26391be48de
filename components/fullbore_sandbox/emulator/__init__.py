"""The emulated AWS: a moto server, with what moto lacks of the APIs that the components use.

moto keeps everything in memory: a server that is started again is an empty account. Added here, in moto's own terms:

- `buckets`: the whole of a replication configuration
- `direct_connect`: gateways, associations and private virtual interfaces
- `ec2`: placement groups; routes that a VPN gateway brings; security group rules that refer to a group
- `eks`: the cluster security group and the VPC that AWS fills in, and updates that keep them
- `eks_parts`: add-ons, Pod Identity associations, new versions of node groups, and tags of what is in a cluster
- `filesystems`: what AWS fills in of FSx for Lustre, its updates and links to S3; updates of EFS
- `datasync`: tags, the schedule and every other value that was given, updates of locations, and executions that
  move bytes (`executions`)
- `agents`: DataSync agents, and their activation by keys that expire
- `locations`: DataSync locations on NFS, in object stores and on HDFS

    python -m fullbore_sandbox.emulator PORT
"""

from __future__ import annotations

import functools

from moto import backends
from moto.core import config, responses, utils

from fullbore_sandbox.emulator import (
    agents,
    buckets,
    datasync,
    direct_connect,
    ec2,
    eks,
    eks_parts,
    filesystems,
    locations,
)


@functools.cache
def install() -> None:
    """Add the missing parts to moto in this process. Doing it twice does no harm."""
    # The policies that AWS maintains exist in every account. Not by moto's environment variable, which the programs
    # that this process starts would inherit.
    config.default_user_config["iam"] = {"load_aws_managed_policies": True}
    for part in (buckets, direct_connect, ec2, eks, eks_parts, filesystems, datasync, agents, locations):
        part.install()
    _look_up_once()


def _look_up_once() -> None:
    """moto lists its modules and the methods of a service anew for each request: 3.5 of 5.7 ms."""
    modules = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: iter(modules)
    setattr(responses, "method_names_from_class", functools.cache(utils.method_names_from_class))  # noqa: B010
