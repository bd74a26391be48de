"""The lag of replication as it is measured: how old the newest whole copy of the weights is.

    python -m fullbore.lag ENV [--once] [--address 0.0.0.0] [--port 9751]

It asks AWS with the caller's own credentials and serves Prometheus; `monitoring.lag_exporter` has it scraped, and the
alerts compare what it says with the standby's RPO.
"""

from fullbore.lag.exporter import LagCollector
from fullbore.lag.measure import LagError, measure

__all__ = ["LagCollector", "LagError", "measure"]
