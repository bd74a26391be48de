"""What must survive the site: data, what copies it, and how long the standby takes to serve."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fullbore.config.base import LEAST_RATE, MOST_GIB, MOST_RATE, MOST_SECONDS, DataClass, Number, Strict, Whole

Method = Literal["datasync", "s3-rtc", "block-sync", "continuous", "backup"]


class DataSet(Strict):
    """Data of one class: how much there is, how fast it changes, and what copies it."""

    size_gib: Number | None = Field(
        default=None, gt=0, le=MOST_GIB, description="all of it, GiB; for weights, those of serving.model if left out"
    )
    change_gib_per_hour: Number | None = Field(
        default=None,
        ge=0,
        le=MOST_GIB,
        description="what is new or changed in an hour, GiB; all of it in each run if left out",
    )
    files: Whole | None = Field(default=None, ge=1, description="number of files or objects")
    method: Method = Field(
        default="datasync",
        description="what copies it: the schedule of `replication`, S3 replication with Time Control, synchronous or "
        "continuous block replication (AWS Elastic Disaster Recovery), or full backups into S3; this stack sets up the "
        "first, and the second with replication.time_control",
    )
    every_hours: Number | None = Field(
        default=None,
        gt=0,
        le=87_660,
        description="time between two backups, hours (168 for one a week); with method backup only",
    )
    rpo_s: Whole | None = Field(
        default=None, ge=0, description="data of this class that may be lost, seconds; standby.rpo_s if left out"
    )


class Start(Strict):
    """How a replica starts from nothing: measured times and rates."""

    provision_s: Number = Field(
        ge=0, le=MOST_SECONDS, description="time from the request for a node until it is ready, seconds"
    )
    image_gib: Number = Field(gt=0, le=MOST_GIB, description="size of the runtime image as pulled, GiB")
    image_mib_s: Number = Field(
        ge=LEAST_RATE, le=MOST_RATE, description="rate at which a node pulls and unpacks it, MiB/s"
    )
    weights_mib_s: Number = Field(
        ge=LEAST_RATE, le=MOST_RATE, description="rate at which a replica reads the weights, MiB/s"
    )
    compile_s: Number = Field(
        default=0, ge=0, le=MOST_SECONDS, description="compilation and graph capture, with the cache as it is, seconds"
    )
    warm_up_s: Number = Field(
        default=0, ge=0, le=MOST_SECONDS, description="requests that warm the replica up, seconds"
    )


class Recovery(Strict):
    """Figures that RPO and RTO follow from; one that is not given is left out and named."""

    link_gbps: Number | None = Field(
        default=None, ge=LEAST_RATE, le=MOST_RATE, description="rate from the site to the copy, Gbit/s"
    )
    prepare_s: Number | None = Field(
        default=None,
        ge=0,
        le=MOST_SECONDS,
        description="time in which a DataSync run lists and compares, as measured, seconds",
    )
    verify_mib_s: Number | None = Field(
        default=None,
        ge=LEAST_RATE,
        le=MOST_RATE,
        description="rate at which DataSync reads what it copied again, MiB/s",
    )
    distance_km: Number | None = Field(
        default=None, gt=0, le=20_000, description="length of the fibre to the copy of block-sync, km"
    )
    gateway: Literal["site", "elsewhere"] = Field(
        default="site", description="where the gateway that clients reach stands; one at the site is lost with it"
    )
    switch_s: Number | None = Field(
        default=None,
        ge=0,
        le=MOST_SECONDS,
        description="time until the clients' name points to the standby, seconds; gateway at the site",
    )
    dns_ttl_s: Whole | None = Field(
        default=None,
        ge=0,
        le=int(MOST_SECONDS),
        description="time to live of the clients' name, seconds; gateway at the site",
    )
    replicas: Whole | None = Field(
        default=None, ge=1, description="replicas that must serve again within the RTO; standby.replicas if left out"
    )
    start: Start | None = Field(default=None, description="how replicas start beyond the warm ones")
    data: dict[DataClass, DataSet] = Field(
        default={}, description="what must survive, by class; the weights on `replication` if left out"
    )
