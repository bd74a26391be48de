"""EC2 networks: VPC, subnets, route tables and endpoints."""

from __future__ import annotations

from collections.abc import Set

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import as_text, camel, pick, tag_map
from fullbore_sandbox.plugins.aws.row import Map, Row
from fullbore_sandbox.plugins.aws.rows.ec2 import TAGGING, by_token, first, tags_for

NO_CALL = "EC2 API reference: no Modify call takes it"

_VPC_ATTRIBUTES = {
    "enableDnsSupport": "EnableDnsSupport",
    "enableDnsHostnames": "EnableDnsHostnames",
    "enableNetworkAddressUsageMetrics": "EnableNetworkAddressUsageMetrics",
}


def _create_vpc(api: Api, inputs: Map, token: str) -> str:
    given = pick(inputs, {"cidrBlock": "CidrBlock", "instanceTenancy": "InstanceTenancy"})
    answer = api.ec2.create_vpc(**given, TagSpecifications=tags_for("vpc", inputs, token))
    return answer["Vpc"]["VpcId"]


def _set_vpc_attributes(api: Api, ident: str, inputs: Map, changed: Set[str] = frozenset(_VPC_ATTRIBUTES)) -> None:
    """One attribute a call, as ModifyVpcAttribute demands; one that is no longer given goes back to its default."""
    for name, attribute in _VPC_ATTRIBUTES.items():
        if name in changed:
            value = inputs.get(name, name == "enableDnsSupport")
            api.ec2.modify_vpc_attribute(VpcId=ident, **{attribute: {"Value": value}})


def _read_vpc(api: Api, ident: str, known: Map) -> Map | None:
    vpc = first(api.ec2.describe_vpcs(VpcIds=[ident]), "Vpcs")
    if vpc is None:
        return None
    flags = {
        name: api.ec2.describe_vpc_attribute(VpcId=ident, Attribute=name)[attribute]["Value"]
        for name, attribute in _VPC_ATTRIBUTES.items()
    }
    return {
        "arn": api.arn("ec2", f"vpc/{ident}"),
        "cidrBlock": vpc["CidrBlock"],
        "instanceTenancy": vpc["InstanceTenancy"],
        "dhcpOptionsId": vpc["DhcpOptionsId"],
        "ownerId": vpc["OwnerId"],
        "tags": tag_map(vpc.get("Tags")),
        **flags,
        **_vpc_defaults(api, ident),
    }


def _vpc_defaults(api: Api, ident: str) -> Map:
    """What AWS makes together with a VPC: its main route table, default group and default network ACL."""
    of_vpc = {"Name": "vpc-id", "Values": [ident]}
    main = api.ec2.describe_route_tables(Filters=[of_vpc, {"Name": "association.main", "Values": ["true"]}])
    groups = api.ec2.describe_security_groups(Filters=[of_vpc, {"Name": "group-name", "Values": ["default"]}])
    acls = api.ec2.describe_network_acls(Filters=[of_vpc, {"Name": "default", "Values": ["true"]}])
    table = first(main, "RouteTables") or {}
    found = {
        "mainRouteTableId": table.get("RouteTableId"),
        "defaultRouteTableId": table.get("RouteTableId"),
        "defaultSecurityGroupId": (first(groups, "SecurityGroups") or {}).get("GroupId"),
        "defaultNetworkAclId": (first(acls, "NetworkAcls") or {}).get("NetworkAclId"),
    }
    return {name: value for name, value in found.items() if value}


VPC = Row(
    type="aws:ec2/vpc:Vpc",
    inputs={"cidrBlock", "instanceTenancy", "tags", *_VPC_ATTRIBUTES},
    create=_create_vpc,
    finish=_set_vpc_attributes,
    read=_read_vpc,
    update=_set_vpc_attributes,
    delete=lambda api, ident, known: api.ec2.delete_vpc(VpcId=ident),
    find=by_token("describe_vpcs", "Vpcs", "VpcId"),
    tagging=TAGGING,
    replace={"cidrBlock": NO_CALL, "instanceTenancy": "ModifyVpcTenancy takes only dedicated -> default"},
    defaults={"instanceTenancy": "default", "enableDnsSupport": True},
    absent={"ipv6AssociationId", "ipv6CidrBlock", "ipv6CidrBlockNetworkBorderGroup"},
)


def _create_subnet(api: Api, inputs: Map, token: str) -> str:
    names = {"vpcId": "VpcId", "cidrBlock": "CidrBlock", "availabilityZone": "AvailabilityZone"}
    answer = api.ec2.create_subnet(**pick(inputs, names), TagSpecifications=tags_for("subnet", inputs, token))
    return answer["Subnet"]["SubnetId"]


def _set_subnet_attributes(api: Api, ident: str, inputs: Map, changed: Set[str] = frozenset()) -> None:
    public = inputs.get("mapPublicIpOnLaunch", False)
    if public or "mapPublicIpOnLaunch" in changed:
        api.ec2.modify_subnet_attribute(SubnetId=ident, MapPublicIpOnLaunch={"Value": public})


def _read_subnet(api: Api, ident: str, known: Map) -> Map | None:
    subnet = first(api.ec2.describe_subnets(SubnetIds=[ident]), "Subnets")
    if subnet is None:
        return None
    return {
        "arn": subnet.get("SubnetArn") or api.arn("ec2", f"subnet/{ident}"),
        "tags": tag_map(subnet.get("Tags")),
        **pick(
            subnet,
            {
                "VpcId": "vpcId",
                "CidrBlock": "cidrBlock",
                "AvailabilityZone": "availabilityZone",
                "AvailabilityZoneId": "availabilityZoneId",
                "MapPublicIpOnLaunch": "mapPublicIpOnLaunch",
                "OwnerId": "ownerId",
            },
        ),
    }


SUBNET = Row(
    type="aws:ec2/subnet:Subnet",
    inputs={"vpcId", "cidrBlock", "availabilityZone", "mapPublicIpOnLaunch", "tags"},
    create=_create_subnet,
    finish=_set_subnet_attributes,
    read=_read_subnet,
    update=_set_subnet_attributes,
    delete=lambda api, ident, known: api.ec2.delete_subnet(SubnetId=ident),
    find=by_token("describe_subnets", "Subnets", "SubnetId"),
    tagging=TAGGING,
    replace={"vpcId": NO_CALL, "cidrBlock": NO_CALL, "availabilityZone": NO_CALL},
    unique={"vpcId", "cidrBlock"},
    computed={"availabilityZone"},
    absent={"ipv6CidrBlock", "ipv6CidrBlockAssociationId", "privateDnsHostnameTypeOnLaunch"},
)

_ROUTE_TARGETS = {
    "gatewayId": "GatewayId",
    "natGatewayId": "NatGatewayId",
    "transitGatewayId": "TransitGatewayId",
    "networkInterfaceId": "NetworkInterfaceId",
    "vpcPeeringConnectionId": "VpcPeeringConnectionId",
}


def _create_route_table(api: Api, inputs: Map, token: str) -> str:
    answer = api.ec2.create_route_table(VpcId=inputs["vpcId"], TagSpecifications=tags_for("route-table", inputs, token))
    return answer["RouteTable"]["RouteTableId"]


def _set_routes(api: Api, ident: str, inputs: Map, changed: Set[str] = frozenset()) -> None:
    """Makes the table's routes those of the inputs: what has another target is replaced, what is not named goes."""
    table = api.ec2.describe_route_tables(RouteTableIds=[ident])["RouteTables"][0]
    have = {route["cidrBlock"]: route for route in _routes(table)}
    want = {route["cidrBlock"]: route for route in inputs.get("routes", [])}
    for cidr in have.keys() - want.keys():
        api.ec2.delete_route(RouteTableId=ident, DestinationCidrBlock=cidr)
    for cidr, route in want.items():
        if have.get(cidr) != route:
            call = api.ec2.replace_route if cidr in have else api.ec2.create_route
            call(RouteTableId=ident, DestinationCidrBlock=cidr, **pick(route, _ROUTE_TARGETS))


def _routes(table: Map) -> list[Map]:
    """Routes that were added: the local one and those of gateway endpoints come by themselves."""
    names = {api: ours for ours, api in _ROUTE_TARGETS.items()} | {"DestinationCidrBlock": "cidrBlock"}
    routes = [pick(route, names) for route in table["Routes"] if "DestinationCidrBlock" in route]
    return [r for r in routes if r.get("gatewayId") != "local" and not r.get("gatewayId", "").startswith("vpce-")]


def _read_route_table(api: Api, ident: str, known: Map) -> Map | None:
    table = first(api.ec2.describe_route_tables(RouteTableIds=[ident]), "RouteTables")
    if table is None:
        return None
    return {
        "arn": api.arn("ec2", f"route-table/{ident}"),
        "vpcId": table["VpcId"],
        "ownerId": table["OwnerId"],
        "routes": _routes(table),
        "tags": tag_map(table.get("Tags")),
    }


ROUTE_TABLE = Row(
    type="aws:ec2/routeTable:RouteTable",
    inputs={"vpcId", "routes", "tags"},
    create=_create_route_table,
    finish=_set_routes,
    read=_read_route_table,
    update=_set_routes,
    delete=lambda api, ident, known: api.ec2.delete_route_table(RouteTableId=ident),
    find=by_token("describe_route_tables", "RouteTables", "RouteTableId"),
    tagging=TAGGING,
    replace={"vpcId": NO_CALL},
    absent={"propagatingVgws"},
)


def _associations(api: Api, filters: list[Map]) -> list[Map]:
    tables = api.ec2.describe_route_tables(Filters=filters)["RouteTables"]
    return [a for table in tables for a in table.get("Associations", [])]


def _find_association(api: Api, token: str) -> str | None:
    table, _, subnet = token.partition("/")
    found = _associations(api, [{"Name": "association.route-table-id", "Values": [table]}])
    return next((a["RouteTableAssociationId"] for a in found if a.get("SubnetId") == subnet), None)


def _read_association(api: Api, ident: str, known: Map) -> Map | None:
    found = _associations(api, [{"Name": "association.route-table-association-id", "Values": [ident]}])
    association = next((a for a in found if a["RouteTableAssociationId"] == ident), None)
    return association and pick(association, {"RouteTableId": "routeTableId", "SubnetId": "subnetId"})


ROUTE_TABLE_ASSOCIATION = Row(
    type="aws:ec2/routeTableAssociation:RouteTableAssociation",
    inputs={"routeTableId", "subnetId"},
    token=lambda inputs: f"{inputs['routeTableId']}/{inputs['subnetId']}",
    create=lambda api, inputs, token: api.ec2.associate_route_table(
        RouteTableId=inputs["routeTableId"], SubnetId=inputs["subnetId"]
    )["AssociationId"],
    read=_read_association,
    delete=lambda api, ident, known: api.ec2.disassociate_route_table(AssociationId=ident),
    find=_find_association,
    # ReplaceRouteTableAssociation exists, but it answers with a new id: to Pulumi that is a new object.
    replace={"subnetId": NO_CALL, "routeTableId": "ReplaceRouteTableAssociation gives a new association id"},
    unique={"subnetId"},
)

_ENDPOINT = {
    "vpcId": "VpcId",
    "serviceName": "ServiceName",
    "vpcEndpointType": "VpcEndpointType",
    "routeTableIds": "RouteTableIds",
    "subnetIds": "SubnetIds",
    "securityGroupIds": "SecurityGroupIds",
    "privateDnsEnabled": "PrivateDnsEnabled",
}
_ENDPOINT_LISTS = {"routeTableIds": "RouteTableIds", "subnetIds": "SubnetIds", "securityGroupIds": "SecurityGroupIds"}


def _create_endpoint(api: Api, inputs: Map, token: str) -> str:
    policy = {"PolicyDocument": as_text(inputs["policy"])} if inputs.get("policy") else {}
    specifications = tags_for("vpc-endpoint", inputs, token)
    answer = api.ec2.create_vpc_endpoint(**pick(inputs, _ENDPOINT), **policy, TagSpecifications=specifications)
    return answer["VpcEndpoint"]["VpcEndpointId"]


def _read_endpoint(api: Api, ident: str, known: Map) -> Map | None:
    found = first(api.ec2.describe_vpc_endpoints(VpcEndpointIds=[ident]), "VpcEndpoints")
    if found is None or found.get("State") == "deleted":
        return None
    return {
        "arn": api.arn("ec2", f"vpc-endpoint/{ident}"),
        "policy": found.get("PolicyDocument"),
        "routeTableIds": found.get("RouteTableIds", []),
        "subnetIds": found.get("SubnetIds", []),
        "securityGroupIds": [group["GroupId"] for group in found.get("Groups", [])],
        "networkInterfaceIds": found.get("NetworkInterfaceIds", []),
        "dnsEntries": camel(found.get("DnsEntries", [])),
        "privateDnsEnabled": found.get("PrivateDnsEnabled", False),
        "requesterManaged": found.get("RequesterManaged", False),
        "serviceRegion": api.region,
        "state": found["State"],
        "tags": tag_map(found.get("Tags")),
        **pick(found, {"VpcId": "vpcId", "ServiceName": "serviceName", "VpcEndpointType": "vpcEndpointType"}),
        **pick(found, {"OwnerId": "ownerId"}),
    }


def _find_endpoint(api: Api, token: str) -> str | None:
    """A removed endpoint is listed for a while, as deleted."""
    ident = by_token("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId")(api, token)
    return ident if ident and _read_endpoint(api, ident, {}) else None


def _update_endpoint(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    live = _read_endpoint(api, ident, {}) or {}
    change: Map = {}
    for name, parameter in _ENDPOINT_LISTS.items():
        have, want = set(live.get(name, [])), set(inputs.get(name, []))
        if name in changed and have != want:
            change |= {f"Add{parameter}": sorted(want - have), f"Remove{parameter}": sorted(have - want)}
    if "policy" in changed:
        change |= {"PolicyDocument": as_text(inputs["policy"])} if inputs.get("policy") else {"ResetPolicy": True}
    if "privateDnsEnabled" in changed:
        change["PrivateDnsEnabled"] = inputs.get("privateDnsEnabled", False)
    api.ec2.modify_vpc_endpoint(VpcEndpointId=ident, **{k: v for k, v in change.items() if v != []})


VPC_ENDPOINT = Row(
    type="aws:ec2/vpcEndpoint:VpcEndpoint",
    inputs={*_ENDPOINT, "policy", "tags"},
    create=_create_endpoint,
    read=_read_endpoint,
    update=_update_endpoint,
    delete=lambda api, ident, known: api.ec2.delete_vpc_endpoints(VpcEndpointIds=[ident]),
    find=_find_endpoint,
    tagging=TAGGING,
    replace={"vpcId": NO_CALL, "serviceName": NO_CALL, "vpcEndpointType": NO_CALL},
    computed={"policy", "privateDnsEnabled"},
    defaults={"vpcEndpointType": "Gateway"},
    absent={"cidrBlocks", "dnsOptions", "ipAddressType", "ownerId", "prefixListId", "subnetConfigurations"},
)

ROWS = (VPC, SUBNET, ROUTE_TABLE, ROUTE_TABLE_ASSOCIATION, VPC_ENDPOINT)
