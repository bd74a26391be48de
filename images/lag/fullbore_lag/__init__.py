"""The lag of replication as it is measured: how old the newest whole copy of the weights is.

    python -m fullbore_lag DOCUMENT [--once] [--address 0.0.0.0] [--port 9751]

It asks AWS with the caller's own credentials, a pod's by the token of its service account, and serves Prometheus. The
document is `lag` of the plan, which `monitoring.lag` mounts into the pod; alerts compare what is said with the RPO.
"""

from fullbore_lag.document import Document, DocumentError, read_document
from fullbore_lag.exporter import LagCollector
from fullbore_lag.measure import LagError, measure

__all__ = ["Document", "DocumentError", "LagCollector", "LagError", "measure", "read_document"]
