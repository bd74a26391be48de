"""S3: what was given of a bucket's replication is answered whole; moto answers with a part of it."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.s3.exceptions import ReplicationConfigurationNotFoundError
from moto.s3.responses import S3Response

Json = dict[str, Any]


def install() -> None:
    S3Response.get_bucket_replication = _get_replication


def _get_replication(self: S3Response) -> Any:
    self.data["Action"] = "GetBucketReplication"
    held = self.backend.get_bucket_replication(self.bucket_name)
    if not held:
        raise ReplicationConfigurationNotFoundError(bucket_name=self.bucket_name)
    whole = {"Role": held["Role"], "Rules": held["Rule"]}
    return self.serialized(ActionResult({"ReplicationConfiguration": whole}))
