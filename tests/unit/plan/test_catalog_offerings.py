"""The zones and regions of each instance type are those that AWS's API named, as moto keeps its answers."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import moto

from fullbore.catalog.instances import INSTANCES
from fullbore.catalog.offerings import OFFERED, PREFIXES, ZONES, missing_in, zone_offers
from fullbore.catalog.regions import PARTITIONS

ANSWERS = Path(moto.__file__).parent / "ec2/resources/instance_type_offerings"


def answers(kind: str) -> Iterator[tuple[str, str, str]]:
    """Region, instance type and location of each answer of a kind."""
    for path in (ANSWERS / kind).glob("*.json.gz"):
        for row in json.loads(gzip.decompress(path.read_bytes())):
            yield path.name.partition(".")[0], row["InstanceType"], row["Location"]


def test_the_zones_are_what_the_regions_answered() -> None:
    found = list(answers("availability-zone-id"))
    assert {(region, zone.partition("-")[0]) for region, _, zone in found} == set(PREFIXES.items())
    named = {(name, zone) for _, name, zone in found if name in INSTANCES}
    assert named == {(name, zone) for name, zones in ZONES.items() for zone in zones}


def test_the_regions_are_what_the_regions_answered() -> None:
    named = {(name, region) for region, name, _ in answers("region") if name in INSTANCES}
    assert named == {(name, region) for name, regions in OFFERED.items() for region in regions}


def test_what_was_not_asked_is_not_told() -> None:
    assert set(PREFIXES) < set(PARTITIONS["aws"])
    assert zone_offers("p5en.48xlarge", "eun1-az1") is True
    assert zone_offers("p5en.48xlarge", "eun1-az2") is False
    assert zone_offers("p5en.48xlarge", "mxc1-az1") is None
    assert zone_offers("p6e-gb200.36xlarge", "use1-az1") is None
    assert missing_in("p5en.48xlarge", "sa-east-1")
    assert not missing_in("p5en.48xlarge", "eu-north-1")
    assert not missing_in("p5en.48xlarge", "mx-central-1")
    assert not missing_in("p6e-gb200.36xlarge", "sa-east-1")
