"""Copying weights from the site's store to the cloud with DataSync."""

from fullbore.replication.component import Replication, ReplicationResources

__all__ = ["Replication", "ReplicationResources"]
