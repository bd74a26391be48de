"""Where the cloud's pods read the model from. Pure."""

from __future__ import annotations

from fullbore.config.models import Environment
from fullbore.plan.model import WeightsPlan

COPIED_TO = "weights"
"""The folder that DataSync writes to, of a bucket and of a file system alike."""
LEAST_GIB = 1
"""Said of a file system that grows with what is in it."""


def weights_plan(env: Environment) -> WeightsPlan | None:
    """The file system that replication writes to; else the one that loads from the bucket, where there is one.

    EFS holds no weights where nothing writes them there. A sandbox's pods have the model in their image, and its
    cluster has no drivers of file systems.
    """
    storage, copied = env.storage, env.replication
    if env.sandbox or env.standby is None or env.cloud is None or storage is None:
        return None
    to = copied.destination if copied else "bucket"
    if to == "shared" and storage.shared:
        return WeightsPlan(kind="shared", folder=COPIED_TO, size_gib=LEAST_GIB)
    if storage.lustre is None:
        return None
    folder = COPIED_TO if to == "lustre" else storage.lustre.folder.strip("/")
    return WeightsPlan(kind="lustre", folder=folder, size_gib=storage.lustre.size_gib)
