"""The VPC: what it lets through, what it lets in, and what it writes down."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_program import ACCOUNT, Made, environment, made

SOVEREIGNTY = {"country": "DE", "classes": {"weights": {"regions": ["eu-central-1"]}}}
STORAGE = {"bucket": "example-weights"}
HOST = {"serial": "EX-0001", "address": "10.20.0.5", "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "B" * 43}
SITE = {
    "name": "hall",
    "cidr": "10.20.0.0/16",
    "fabric": "roce",
    "ssh": {"private_key_file": "/etc/fullbore/ssh/key"},
    "groups": {"store": {"kind": "storage", "rack": "r01", "hosts": {"store-01": HOST}}},
}


def services(found: Made) -> dict[str, dict[str, Any]]:
    """Interface endpoints by service."""
    ends = found.of("VpcEndpoint").values()
    return {
        e["serviceName"].removeprefix("com.amazonaws.eu-central-1."): e
        for e in ends
        if e["vpcEndpointType"] != "Gateway"
    }


def gateway(found: Made) -> dict[str, Any]:
    return found.one("VpcEndpoint", "cloud-endpoint-s3")


def test_each_zone_has_a_private_subnet_and_a_route_to_s3() -> None:
    found = made(environment())
    assert {each["availabilityZone"] for each in found.of("Subnet").values()} == {"eu-central-1a", "eu-central-1b"}
    assert not any(each.get("mapPublicIpOnLaunch") for each in found.of("Subnet").values())
    assert found.one("RouteTable").get("routes") is None, "no route leads out of the VPC"
    assert gateway(found)["routeTableIds"] == ["cloud-private-id"]
    assert len(found.of("RouteTableAssociation")) == 2


@pytest.mark.parametrize(
    ("given", "more"),
    [
        ({}, set[str]()),
        ({"datasync_endpoint": True}, {"datasync"}),
        ({"pod_identity": True}, {"eks-auth"}),
    ],
)
def test_nodes_reach_each_service_by_an_endpoint_in_every_subnet(given: dict[str, Any], more: set[str]) -> None:
    found = services(made(environment(given)))
    assert found.keys() == {"ec2", "ecr.api", "ecr.dkr", "eks", "logs", "sts"} | more
    for each in found.values():
        assert len(each["subnetIds"]) == 2
        assert each["privateDnsEnabled"] is True


def test_the_fabric_group_lets_all_through_within_itself_and_nothing_else() -> None:
    found = made(environment())
    rules = {**found.of("SecurityGroupIngressRule"), **found.of("SecurityGroupEgressRule")}
    mine = {name: rule for name, rule in rules.items() if rule["securityGroupId"] == "cloud-fabric-id"}
    assert mine.keys() == {"cloud-fabric-in", "cloud-fabric-out"}
    for rule in mine.values():
        assert rule["referencedSecurityGroupId"] == "cloud-fabric-id"
        assert rule["ipProtocol"] == "-1"
        assert "cidrIpv4" not in rule


def test_a_vpn_learns_the_sites_routes_by_bgp() -> None:
    found = made(environment({"vpn": {"address": "203.0.113.1", "asn": 65010}}))
    customer, gateway = found.one("CustomerGateway"), found.one("VpnGateway")
    assert (customer["bgpAsn"], customer["ipAddress"]) == ("65010", "203.0.113.1")
    assert (gateway["amazonSideAsn"], gateway["vpcId"]) == ("64512", "cloud-vpc-id")
    connection = found.one("VpnConnection")
    assert connection["staticRoutesOnly"] is False
    assert (connection["customerGatewayId"], connection["vpnGatewayId"]) == ("cloud-site-id", "cloud-vpn-id")
    propagation = found.one("VpnGatewayRoutePropagation")
    assert (propagation["routeTableId"], propagation["vpnGatewayId"]) == ("cloud-private-id", "cloud-vpn-id")
    assert made(environment()).of("VpnGateway") == {}


def site_ports(found: Made, cidr: str) -> set[tuple[int, int]]:
    """Ports of the endpoints that are open to a range."""
    rules = found.of("SecurityGroupIngressRule").values()
    return {(rule["fromPort"], rule["toPort"]) for rule in rules if rule.get("cidrIpv4") == cidr}


@pytest.mark.parametrize(("datasync", "ports"), [(False, {(443, 443)}), (True, {(443, 443), (1024, 1064)})])
def test_over_the_vpn_the_site_reaches_endpoints_and_its_agents_theirs(
    datasync: bool, ports: set[tuple[int, int]]
) -> None:
    vpn = {"vpn": {"address": "203.0.113.1", "asn": 65010}, "datasync_endpoint": datasync}
    found = made(environment(vpn, site=SITE))
    assert site_ports(found, "10.20.0.0/16") == ports
    assert site_ports(found, "10.64.0.0/16") == {(443, 443)}


def test_flow_logs_are_kept_for_the_days_asked_for_and_written_by_a_role_of_their_own() -> None:
    found = made(environment({"flow_logs_days": 30}))
    assert found.one("LogGroup")["retentionInDays"] == 30
    log = found.one("FlowLog")
    assert (log["vpcId"], log["trafficType"]) == ("cloud-vpc-id", "ALL")
    assert log["iamRoleArn"] == "arn:aws:mock:::cloud-flow-logs"
    (trust,) = json.loads(found.one("Role", "cloud-flow-logs")["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_no_flow_logs_where_none_are_asked_for() -> None:
    found = made(environment())
    assert found.of("FlowLog") == found.of("LogGroup") == {}


def test_where_data_is_confined_endpoints_lead_to_own_buckets_and_the_own_account_only() -> None:
    found = made(environment(storage=STORAGE, sovereignty=SOVEREIGNTY))
    policy = json.loads(gateway(found)["policy"])["Statement"]
    reached = {arn for statement in policy for arn in statement["Resource"]}
    layers = "arn:aws:s3:::prod-eu-central-1-starport-layer-bucket/*"
    assert reached == {"arn:aws:s3:::example-weights", "arn:aws:s3:::example-weights/*", layers}
    for each in services(found).values():
        (statement,) = json.loads(each["policy"])["Statement"]
        assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}


def test_endpoints_have_no_policy_where_nothing_says_where_data_may_go() -> None:
    assert not any("policy" in each for each in made(environment(storage=STORAGE)).of("VpcEndpoint").values())


def test_a_line_leads_to_the_gateway_of_the_vpn_which_stands_in_for_it() -> None:
    line = {"connection_id": "dxcon-fg0a1b2c", "vlan": 101}
    found = made(environment({"vpn": {"address": "203.0.113.1", "asn": 65010, "direct_connect": line}}))
    interface = found.one("PrivateVirtualInterface")
    assert (interface["connectionId"], interface["vlan"], interface["bgpAsn"]) == ("dxcon-fg0a1b2c", 101, 65010)
    association = found.one("GatewayAssociation")
    assert (association["dxGatewayId"], association["associatedGatewayId"]) == ("cloud-direct-id", "cloud-vpn-id")
    assert association["allowedPrefixes"] == ["10.64.0.0/16"]
    assert interface["dxGatewayId"] == "cloud-direct-id"
    assert found.one("Gateway")["amazonSideAsn"] == "64513"
    assert found.of("VpnConnection").keys() == {"cloud-vpn"}
