"""What was measured, as Prometheus reads it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fullbore.lag.measure import Client, LagError, measure
from fullbore.plan.model import LagPlan

EVERY_S = 60.0
"""Between two measurements: a minute in an RPO of an hour, and 1,440 requests a day and task."""
log = logging.getLogger(__name__)


def utc_now() -> datetime:
    return datetime.now(UTC)


class LagCollector(Collector):
    """The lag grows between two measurements, and while there is none: nothing that fails makes it look smaller."""

    def __init__(self, plan: LagPlan, client: Client, now: Callable[[], datetime] = utc_now) -> None:
        self.plan, self.client, self.now = plan, client, now
        self.newest: datetime | None = None
        self.measured = False
        self._known: dict[str, datetime] = {}

    def update(self) -> None:
        """Measure once; what cannot be measured is said, and the newest copy that was seen stays."""
        try:
            self.newest = measure(self.plan, self.client, self.now(), self._known)
            self.measured = True
        except (LagError, BotoCoreError, ClientError) as error:
            log.warning("%s", error)
            self.measured = False

    def keep_measuring(self, stop: threading.Event) -> None:
        while not stop.wait(EVERY_S):
            self.update()

    def collect(self) -> Iterator[Metric]:
        labels = {"environment": self.plan.environment, "method": self.plan.method}

        def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
            family = GaugeMetricFamily(f"fullbore_replication_{name}", text, labels=list(labels))
            family.add_metric(list(labels.values()), value)
            return family

        yield gauge("measured", "1 where the last measurement succeeded", float(self.measured))
        if self.plan.rpo_s is not None:
            yield gauge("rpo_seconds", "data that may be lost, in seconds of time", self.plan.rpo_s)
        if self.newest is not None:
            age = max((self.now() - self.newest).total_seconds(), 0.0)
            yield gauge("lag_seconds", "age of the newest whole copy", age)
