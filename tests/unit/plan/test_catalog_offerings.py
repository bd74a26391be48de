"""The regions of each instance type are those that AWS's API named, as moto keeps its answers."""

import gzip
import json
from pathlib import Path

import moto
import pytest

from fullbore.catalog.instances import INSTANCES
from fullbore.catalog.offerings import ASKED, OFFERED, missing_in
from fullbore.catalog.regions import PARTITIONS

ANSWERS = Path(moto.__file__).parent / "ec2/resources/instance_type_offerings/region"


@pytest.fixture(scope="module")
def answers() -> dict[str, set[str]]:
    """{region: instance types}."""
    return {
        path.name.partition(".")[0]: {row["InstanceType"] for row in json.loads(gzip.decompress(path.read_bytes()))}
        for path in ANSWERS.glob("*.json.gz")
    }


def test_the_table_is_what_the_regions_answered(answers: dict[str, set[str]]) -> None:
    assert set(ASKED) == set(answers)
    named = {name: tuple(sorted(region for region in answers if name in answers[region])) for name in INSTANCES}
    assert {name: regions for name, regions in named.items() if regions} == OFFERED


def test_what_was_not_asked_is_not_told() -> None:
    assert set(ASKED) < set(PARTITIONS["aws"])
    assert missing_in("p5en.48xlarge", "sa-east-1")
    assert not missing_in("p5en.48xlarge", "eu-north-1")
    assert not missing_in("p5en.48xlarge", "mx-central-1")
    assert not missing_in("p6e-gb200.36xlarge", "sa-east-1")
