"""Copying weights to the cloud: from the site's store with DataSync, from a bucket of another region by S3 itself."""

from fullbore.replication.component import Replication, ReplicationResources
from fullbore.replication.reader import LagReader
from fullbore.replication.time_control import TimeControl, TimeControlResources

__all__ = ["LagReader", "Replication", "ReplicationResources", "TimeControl", "TimeControlResources"]
