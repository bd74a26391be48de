"""The table of regions, against the one that AWS publishes with its SDK."""

import botocore.session

from fullbore.catalog.regions import PARTITIONS


def test_the_regions_are_those_of_the_sdk() -> None:
    published = botocore.session.get_session().get_data("endpoints")["partitions"]
    assert {row["partition"]: tuple(sorted(row["regions"])) for row in published} == PARTITIONS
