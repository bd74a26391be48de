"""What was measured, as Prometheus reads it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

from botocore.exceptions import BotoCoreError, ClientError
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fullbore_lag.document import Document
from fullbore_lag.measure import Client, LagError, measure

EVERY_S = 60.0
"""Between two measurements: a minute in an RPO of an hour, and 1,440 requests a day and task."""
log = logging.getLogger(__name__)


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


class LagCollector(Collector):
    """The lag grows between two measurements, and while there is none: nothing that fails makes it look smaller."""

    def __init__(
        self, document: Document, client: Client, now: Callable[[], datetime] = utc_now, every_s: float = EVERY_S
    ) -> None:
        self.document, self.client, self.now, self.every_s = document, client, now, every_s
        self.newest: datetime | None = None
        self.measured = False
        self.measured_at: datetime | None = None
        self._known: dict[str, datetime] = {}

    def update(self) -> None:
        """Measure once; what cannot be measured is said, and the newest copy that was seen stays."""
        try:
            asked = self.now()
            self.newest = measure(self.document, self.client, asked, self._known)
            self.measured, self.measured_at = True, asked
        except (LagError, BotoCoreError, ClientError) as error:
            log.warning("%s", error)
            self.measured = False

    def keep_measuring(self, stop: threading.Event) -> None:
        """At once, and then again and again until it is told to stop."""
        while not stop.is_set():
            self.update()
            stop.wait(self.every_s)

    def collect(self) -> Iterator[Metric]:
        labels = {"environment": self.document.environment, "method": self.document.method}

        def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
            family = GaugeMetricFamily(f"fullbore_replication_{name}", text, labels=list(labels))
            family.add_metric(list(labels.values()), value)
            return family

        yield gauge("measured", "1 where the last measurement succeeded", float(self.measured))
        yield gauge("interval_seconds", "seconds between two measurements", self.every_s)
        if self.measured_at is not None:
            when = self.measured_at.timestamp()
            yield gauge("measured_timestamp_seconds", "when the last measurement that succeeded began", when)
        if self.document.rpo_s is not None:
            yield gauge("rpo_seconds", "data that may be lost, in seconds of time", self.document.rpo_s)
        if self.newest is not None:
            age = max((self.now() - self.newest).total_seconds(), 0.0)
            yield gauge("lag_seconds", "age of the newest whole copy", age)
