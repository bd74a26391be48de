"""The count that the life-cycle tests go by: of an account that is empty, that holds one of each, and emptied again."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import boto3
import pytest
from aws_engine import REGION

from cloud_census import COUNTED, census
from fullbore_sandbox.emulator import agents
from fullbore_sandbox.plugins.aws.rows import ROWS

ACCOUNT = "222222222222"
"""One that no other test has put anything into."""
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]})


ALARM: dict[str, Any] = {
    "AlarmName": "one",
    "Namespace": "AWS/Events",
    "MetricName": "TriggeredRules",
    "Statistic": "Sum",
    "ComparisonOperator": "LessThanThreshold",
    "EvaluationPeriods": 1,
    "Period": 60,
    "Threshold": 1,
}


@pytest.fixture(scope="module")
def aws(endpoint: str) -> Any:
    def connect(service: str) -> Any:
        client = boto3.client(
            service, region_name=REGION, endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
        )
        # moto's own way to name the account (its docs, "Multi-Account support").
        client.meta.events.register("before-call", _in_account)
        return client

    return connect


def _in_account(params: dict[str, Any], **_: object) -> None:
    params["headers"]["x-moto-account-id"] = ACCOUNT


def test_every_type_that_the_stand_in_makes_is_counted() -> None:
    settings = {token for token in ROWS if token.startswith("aws:s3/bucket") and token != "aws:s3/bucket:Bucket"}
    assert set(COUNTED) == set(ROWS) - settings


def test_a_new_account_has_none_of_anything_and_each_thing_counts_until_it_is_gone(aws: Any) -> None:
    empty = census(aws)
    assert set(empty) == set(COUNTED.values())
    assert +empty == {}, empty

    made = make_one_of_each(aws)
    # EKS makes a group of its own for each cluster, with its way out.
    assert census(aws) == Counter(set(empty)) + Counter(security_groups=1, security_group_rules=1)

    remove(aws, made)
    assert +census(aws) == {}


def make_one_of_each(aws: Any) -> dict[str, str]:
    ec2, iam, eks, datasync = (aws(service) for service in ("ec2", "iam", "eks", "datasync"))
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24")["Subnet"]["SubnetId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    association = ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)["AssociationId"]
    # With it comes one rule, the way out.
    group = ec2.create_security_group(GroupName="one", Description="one", VpcId=vpc)["GroupId"]
    service = f"com.amazonaws.{REGION}.s3"
    endpoint = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=service, VpcEndpointType="Gateway")["VpcEndpoint"]
    ec2.create_launch_template(LaunchTemplateName="one", LaunchTemplateData={"InstanceType": "t3.micro"})
    ec2.create_placement_group(GroupName="one", Strategy="cluster")
    role = iam.create_role(RoleName="one", AssumeRolePolicyDocument=POLICY)["Role"]["Arn"]
    iam.put_role_policy(RoleName="one", PolicyName="one", PolicyDocument=POLICY)
    policy = iam.create_policy(PolicyName="one", PolicyDocument=POLICY)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="one", PolicyArn=policy)
    iam.create_instance_profile(InstanceProfileName="one")
    eks.create_cluster(name="one", roleArn=role, resourcesVpcConfig={"subnetIds": [subnet]})
    eks.create_nodegroup(clusterName="one", nodegroupName="one", nodeRole=role, subnets=[subnet])
    aws("s3").create_bucket(Bucket="census-one", CreateBucketConfiguration={"LocationConstraint": REGION})
    role_arn = {"DeliverLogsPermissionArn": role, "LogDestinationType": "cloud-watch-logs"}
    aws("logs").create_log_group(logGroupName="one")
    flow = ec2.create_flow_logs(
        ResourceIds=[vpc], ResourceType="VPC", TrafficType="ALL", LogGroupName="one", **role_arn
    )["FlowLogIds"][0]
    site = ec2.create_customer_gateway(BgpAsn=65010, IpAddress="203.0.113.1", Type="ipsec.1")["CustomerGateway"]
    vpn = ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    tunnels = ec2.create_vpn_connection(CustomerGatewayId=site["CustomerGatewayId"], VpnGatewayId=vpn, Type="ipsec.1")[
        "VpnConnection"
    ]["VpnConnectionId"]
    ec2.enable_vgw_route_propagation(GatewayId=vpn, RouteTableId=table)
    eks.create_addon(clusterName="one", addonName="one")
    pods = eks.create_pod_identity_association(clusterName="one", namespace="one", serviceAccount="one", roleArn=role)[
        "association"
    ]["associationId"]
    key = aws("kms").create_key()["KeyMetadata"]["KeyId"]
    aws("kms").create_alias(AliasName="alias/one", TargetKeyId=key)
    aws("events").put_rule(Name="one", EventPattern="{}")
    aws("cloudwatch").put_metric_alarm(**ALARM)
    aws("scheduler").create_schedule(
        Name="one",
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": "arn:aws:sqs:::one", "RoleArn": role},
    )
    location = datasync.create_location_s3(
        S3BucketArn="arn:aws:s3:::census-one", S3Config={"BucketAccessRoleArn": role}
    )["LocationArn"]
    task = datasync.create_task(SourceLocationArn=location, DestinationLocationArn=location)["TaskArn"]
    files = make_files(aws, subnet, vpn)
    return {
        **files,
        "vpc": vpc,
        "subnet": subnet,
        "table": table,
        "association": association,
        "group": group,
        "endpoint": endpoint["VpcEndpointId"],
        "policy": policy,
        "location": location,
        "task": task,
        "flow": flow,
        "site": site["CustomerGatewayId"],
        "vpn": vpn,
        "tunnels": tunnels,
        "pods": pods,
        "key": key,
    }


def make_files(aws: Any, subnet: str, vpn: str) -> dict[str, str]:
    """File systems, an agent, and a line to the site."""
    efs, fsx, direct = aws("efs"), aws("fsx"), aws("directconnect")
    shared = efs.create_file_system(CreationToken="one")["FileSystemId"]
    efs.put_file_system_policy(FileSystemId=shared, Policy=POLICY)
    lustre = fsx.create_file_system(FileSystemType="LUSTRE", StorageCapacity=1200, SubnetIds=[subnet])["FileSystem"]
    link = fsx.create_data_repository_association(
        FileSystemId=lustre["FileSystemId"], FileSystemPath="/w", DataRepositoryPath="s3://census-one/w/"
    )["Association"]["AssociationId"]
    gateway = direct.create_direct_connect_gateway(directConnectGatewayName="one", amazonSideAsn=64513)
    ident = gateway["directConnectGateway"]["directConnectGatewayId"]
    tied = direct.create_direct_connect_gateway_association(directConnectGatewayId=ident, gatewayId=vpn)
    interface = {"virtualInterfaceName": "one", "vlan": 1, "asn": 65010, "directConnectGatewayId": ident}
    return {
        "shared": shared,
        "target": efs.create_mount_target(FileSystemId=shared, SubnetId=subnet)["MountTargetId"],
        "lustre": lustre["FileSystemId"],
        "link": link,
        "agent": aws("datasync").create_agent(ActivationKey=agents.issue())["AgentArn"],
        "direct": ident,
        "tied": tied["directConnectGatewayAssociation"]["associationId"],
        "line": direct.create_private_virtual_interface(
            connectionId="dxcon-fg0a1b2c", newPrivateVirtualInterface=interface
        )["virtualInterfaceId"],
    }


def remove_files(aws: Any, made: dict[str, str]) -> None:
    efs, fsx, direct = aws("efs"), aws("fsx"), aws("directconnect")
    efs.delete_mount_target(MountTargetId=made["target"])
    efs.delete_file_system(FileSystemId=made["shared"])
    fsx.delete_data_repository_association(AssociationId=made["link"])
    fsx.delete_file_system(FileSystemId=made["lustre"])
    aws("datasync").delete_agent(AgentArn=made["agent"])
    direct.delete_virtual_interface(virtualInterfaceId=made["line"])
    direct.delete_direct_connect_gateway_association(associationId=made["tied"])
    direct.delete_direct_connect_gateway(directConnectGatewayId=made["direct"])


def remove(aws: Any, made: dict[str, str]) -> None:
    ec2, iam, eks, datasync = (aws(service) for service in ("ec2", "iam", "eks", "datasync"))
    remove_files(aws, made)
    datasync.delete_task(TaskArn=made["task"])
    datasync.delete_location(LocationArn=made["location"])
    aws("s3").delete_bucket(Bucket="census-one")
    aws("scheduler").delete_schedule(Name="one")
    aws("cloudwatch").delete_alarms(AlarmNames=["one"])
    aws("events").delete_rule(Name="one")
    aws("kms").delete_alias(AliasName="alias/one")
    aws("kms").schedule_key_deletion(KeyId=made["key"])
    ec2.disable_vgw_route_propagation(GatewayId=made["vpn"], RouteTableId=made["table"])
    ec2.delete_vpn_connection(VpnConnectionId=made["tunnels"])
    ec2.delete_vpn_gateway(VpnGatewayId=made["vpn"])
    ec2.delete_customer_gateway(CustomerGatewayId=made["site"])
    ec2.delete_flow_logs(FlowLogIds=[made["flow"]])
    aws("logs").delete_log_group(logGroupName="one")
    eks.delete_pod_identity_association(clusterName="one", associationId=made["pods"])
    eks.delete_addon(clusterName="one", addonName="one")
    eks.delete_nodegroup(clusterName="one", nodegroupName="one")
    eks.delete_cluster(name="one")
    iam.delete_instance_profile(InstanceProfileName="one")
    iam.detach_role_policy(RoleName="one", PolicyArn=made["policy"])
    iam.delete_policy(PolicyArn=made["policy"])
    iam.delete_role_policy(RoleName="one", PolicyName="one")
    iam.delete_role(RoleName="one")
    ec2.delete_placement_group(GroupName="one")
    ec2.delete_launch_template(LaunchTemplateName="one")
    ec2.delete_vpc_endpoints(VpcEndpointIds=[made["endpoint"]])
    ec2.delete_security_group(GroupId=made["group"])
    ec2.disassociate_route_table(AssociationId=made["association"])
    ec2.delete_route_table(RouteTableId=made["table"])
    ec2.delete_subnet(SubnetId=made["subnet"])
    ec2.delete_vpc(VpcId=made["vpc"])
