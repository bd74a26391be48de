"""Every rule that says what to do: what it says, done, removes what it found. And the rules that cannot say it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proposed_changes import assert_changes_help, findings

from config_mutations import bases, change_of, changed, laid_out
from fullbore.config import ConfigError, parse
from fullbore.config.yaml_text import read_mapping
from fullbore.plan.checks import RULES

FIXTURES = Path(__file__).parents[2] / "fixtures" / "plan"

WITHOUT = {
    "real-field-missing": "an address, a name or a file that only a person knows",
    "image-unpinned": "the digest that CI built",
    "image-unbuildable": "the digest that was built elsewhere",
    "standby-kubeconfig": "a file that is written first",
    "kubeconfig-shared": "the other cluster's file",
    "base-by-tag": "the digest of the image",
    "host-key-missing": "the host's key, compared at its console",
    "host-address-missing": "the host's address",
    "host-address-outside-site": "the host's address",
    "host-twice": "which of the two machines it is",
    "cable-port": "the port of the host that the cable is in",
    "subnet-manager-alone": "a second host",
    "port-guid-twice": "the other port's GUID",
    "subnet-manager-host": "the host that is to run it",
    "partition-member": "the GUIDs of its ports",
    "partition-key": "another key",
    "cable-twice": "the port of the switch that the other cable is in",
    "sandbox-host-missing": "what runs is changed, not what is written",
    "hub-config-unusable": "the model's own file",
    "zones-few": "another zone that the region has",
    "quantised-in-part": "another checkpoint",
    "zone-ids": "what the account's letters stand for",
    "region-partition": "a region that the data may go to",
    "data-leaves": "another place, or leave to let the data go there",
    "price-unknown": "the price",
    "devices-unnamed": "the names of the devices",
    "switch-undescribed": "what the switches hold",
    "refresh-incomplete": "the day of purchase, or the years",
    "architecture-unsupported": "another kind of GPU",
    "capacity-block-unnamed": "the id of what was bought",
    "capacity-block-size": "another block that was bought",
    "replication-incomplete": "credentials, or an agent's ARN",
    "recovery-figure-missing": "figures to be measured",
    "replication-too-slow": "less data, or another way to copy it",
    "datasync-files": "fewer files",
    "mirror-too-far": "a nearer site, or another method",
    "datasync-agents-few": "ARNs of more agents",
    "standby-without-replication": "where the weights are copied from",
    "state-backend": "where the state is to be kept",
    "state-inside-site": "where the state is to be kept",
    "versions-unlisted": "nothing is known of the release",
    "versions-eks-image": "a release of the image that exists",
    "spot-alone": "another group, and what it may cost",
    "vpn-address": "the site's public address",
    "vpn-missing": "the site's public address and number",
    "topic-region": "a topic of the other region",
    "backups-bucket": "the name of another bucket",
    "replication-onto-itself": "the name of the source's bucket",
    "agent-region": "an agent of the cloud's region",
}
"""{rule: what it would take, and the plan cannot know}."""


CASES = sorted(path.name for path in FIXTURES.iterdir())


def proposing(case: str) -> set[str]:
    """Rules that propose a change in a fixture."""
    env = parse(read_mapping(FIXTURES / case / "in.yaml"), FIXTURES / case)
    return {rule for rule, finding in findings(env) if finding.changes}


@pytest.mark.parametrize("rule", sorted({rule.id for rule in RULES} - set(WITHOUT)))
def test_a_rule_proposes_a_change_or_says_what_it_would_take(rule: str) -> None:
    assert any(rule in proposing(case) for case in CASES if case.partition(".")[0] == rule)


def test_only_rules_that_exist_are_excused() -> None:
    assert set(WITHOUT) <= {rule.id for rule in RULES}


@pytest.mark.parametrize("case", CASES)
def test_a_change_that_a_fixture_gets_removes_its_finding_and_brings_none_as_bad(case: str) -> None:
    proposing = assert_changes_help(read_mapping(FIXTURES / case / "in.yaml"), FIXTURES / case, alone=True)
    assert not proposing & set(WITHOUT)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=3))
def test_a_change_that_is_proposed_for_any_environment_removes_its_finding(seeds: list[int]) -> None:
    """Environments that were valid, with one to three things changed at random: by mistake, or on purpose."""
    first = change_of(seeds[0])
    env = changed(bases()[first.base], first)
    for seed in seeds[1:]:
        try:
            env = changed(env, change_of(seed))
        except (AttributeError, IndexError, KeyError, TypeError):
            continue  # a place that this environment does not have
    with laid_out(env) as (values, folder):
        try:
            parse(values, folder)
        except ConfigError:
            return
        assert_changes_help(values, folder)
