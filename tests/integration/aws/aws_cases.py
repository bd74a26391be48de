"""The table behind the row tests: for each type, inputs, a change in place, one that replaces, and drift by hand."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aws_engine import REGION, Object

from fullbore_sandbox.emulator import agents

Map = dict[str, Any]
Client = Callable[[str], Any]

AGENT = f"arn:aws:datasync:{REGION}:123456789012:agent/agent-0a1b2c3d4e5f60718"


def document(action: str = "s3:GetObject") -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "arn:aws:s3:::b/*"}]}
    )


def trust(service: str = "ec2.amazonaws.com") -> str:
    allowed = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})


class World:
    """Objects that others need, made by boto3; a new one for each question, so that cases do not meet."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def name(self, stem: str = "t") -> str:
        return f"{stem}-{secrets.token_hex(4)}"

    def vpc(self) -> str:
        return self.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]

    def subnet(self, vpc: str | None = None, third: int = 1) -> str:
        made = self.client("ec2").create_subnet(VpcId=vpc or self.vpc(), CidrBlock=f"10.0.{third}.0/24")
        return made["Subnet"]["SubnetId"]

    def group(self) -> str:
        name = self.name("sg")
        return self.client("ec2").create_security_group(GroupName=name, Description="d", VpcId=self.vpc())["GroupId"]

    def route_table(self, vpc: str) -> str:
        return self.client("ec2").create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]

    def role(self) -> str:
        name = self.name("role")
        self.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust())
        return name

    def role_arn(self) -> str:
        return self.client("iam").get_role(RoleName=self.role())["Role"]["Arn"]

    def policy(self) -> str:
        made = self.client("iam").create_policy(PolicyName=self.name("policy"), PolicyDocument=document())
        return made["Policy"]["Arn"]

    def versioned(self) -> str:
        """A bucket that keeps every version."""
        name = self.bucket()
        self.client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def topic(self) -> str:
        return self.client("sns").create_topic(Name=self.name("topic"))["TopicArn"]

    def bucket(self, locked: bool = False) -> str:
        name = self.name("bucket")
        self.client("s3").create_bucket(
            Bucket=name,
            CreateBucketConfiguration={"LocationConstraint": REGION},
            ObjectLockEnabledForBucket=locked,
        )
        return name

    def vpn_gateway(self) -> str:
        return self.client("ec2").create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]

    def dx_gateway(self) -> str:
        """A Direct Connect gateway."""
        made = self.client("directconnect").create_direct_connect_gateway(
            directConnectGatewayName=self.name("dx"), amazonSideAsn=64513
        )
        return made["directConnectGateway"]["directConnectGatewayId"]

    def customer_gateway(self) -> str:
        made = self.client("ec2").create_customer_gateway(BgpAsn=65010, IpAddress="203.0.113.1", Type="ipsec.1")
        return made["CustomerGateway"]["CustomerGatewayId"]

    def key(self) -> str:
        return self.client("kms").create_key(Description="k")["KeyMetadata"]["KeyId"]

    def log_group(self) -> str:
        """ARN of a log group."""
        name = self.name("/logs/t")
        self.client("logs").create_log_group(logGroupName=name)
        return f"arn:aws:logs:{REGION}:123456789012:log-group:{name}"

    def cluster(self) -> str:
        name = self.name("eks")
        subnets = {"subnetIds": [self.subnet()]}
        self.client("eks").create_cluster(name=name, roleArn=self.role_arn(), resourcesVpcConfig=subnets)
        return name

    def lustre(self) -> str:
        made = self.client("fsx").create_file_system(
            FileSystemType="LUSTRE", StorageCapacity=1200, SubnetIds=[self.subnet()]
        )
        return made["FileSystem"]["FileSystemId"]

    def shared(self) -> str:
        """An EFS file system."""
        return self.client("efs").create_file_system(CreationToken=self.name("efs"))["FileSystemId"]

    def location(self) -> str:
        made = self.client("datasync").create_location_s3(
            S3BucketArn=f"arn:aws:s3:::{self.bucket()}",
            Subdirectory="/w",
            S3Config={"BucketAccessRoleArn": self.role_arn()},
        )
        return made["LocationArn"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One type. `drift` changes the object behind the provider's back; `drifted` is the path that must then show."""

    type: str
    inputs: Callable[[World], Map]
    drift: Callable[[Client, Object], object]
    drifted: str
    """Path and kind, e.g. "tags.team update"."""
    change: Mapping[str, Any] | Callable[[World], Map] = field(default_factory=dict)
    """What changes in place; from the world where it needs another object."""
    replace: Callable[[World], Map] = lambda world: {}
    unreadable: frozenset[str] = frozenset()
    """Inputs that an import cannot know."""

    def changed(self, world: World) -> Map:
        return self.change(world) if callable(self.change) else dict(self.change)

    def __str__(self) -> str:
        return self.type.rpartition(":")[2]


def _untag(client: Client, made: Object) -> object:
    return client("ec2").delete_tags(Resources=[made.id], Tags=[{"Key": "team"}])


def _iam_untag(kind: str, parameter: str) -> Callable[[Client, Object], object]:
    def drift(client: Client, made: Object) -> object:
        return getattr(client("iam"), f"untag_{kind}")(**{parameter: made.id}, TagKeys=["team"])

    return drift


def _datasync_untag(client: Client, made: Object) -> object:
    return client("datasync").untag_resource(ResourceArn=made.id, Keys=["team"])


def _modify_rule(client: Client, made: Object) -> object:
    rule = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "CidrIpv4": "10.0.0.0/8"}
    return client("ec2").modify_security_group_rules(
        GroupId=made.inputs["securityGroupId"],
        SecurityGroupRules=[{"SecurityGroupRuleId": made.id, "SecurityGroupRule": rule}],
    )


def _scale(client: Client, made: Object) -> object:
    cluster, _, name = made.id.partition(":")
    scaling = {"minSize": 0, "maxSize": 9, "desiredSize": 0}
    return client("eks").update_nodegroup_config(clusterName=cluster, nodegroupName=name, scalingConfig=scaling)


def _open_up(client: Client, made: Object) -> object:
    config = client("eks").describe_cluster(name=made.id)["cluster"]["resourcesVpcConfig"]
    wanted = {"subnetIds": config["subnetIds"], "endpointPrivateAccess": False}
    return client("eks").update_cluster_config(name=made.id, resourcesVpcConfig=wanted)


def _new_template_version(client: Client, made: Object) -> object:
    return client("ec2").create_launch_template_version(
        LaunchTemplateId=made.id, LaunchTemplateData={"InstanceType": "t3.nano"}
    )


def _new_policy_version(client: Client, made: Object) -> object:
    return client("iam").create_policy_version(PolicyArn=made.id, PolicyDocument=document("s3:*"), SetAsDefault=True)


def _two_subnets(world: World) -> list[str]:
    vpc = world.vpc()
    return [world.subnet(vpc, 1), world.subnet(vpc, 2)]


def _association(world: World) -> Map:
    vpc = world.vpc()
    return {"routeTableId": world.route_table(vpc), "subnetId": world.subnet(vpc)}


def _gateway_endpoint(world: World) -> Map:
    vpc = world.vpc()
    return {
        "vpcId": vpc,
        "serviceName": f"com.amazonaws.{REGION}.s3",
        "vpcEndpointType": "Gateway",
        "routeTableIds": [world.route_table(vpc)],
        "tags": {"team": "a"},
    }


def _rule(world: World) -> Map:
    return {
        "securityGroupId": world.group(),
        "ipProtocol": "tcp",
        "fromPort": 443,
        "toPort": 443,
        "cidrIpv4": "10.0.0.0/8",
        "description": "https",
        "tags": {"team": "a"},
    }


def _template(world: World) -> Map:
    return {
        "name": world.name("lt"),
        "instanceType": "p5.48xlarge",
        "updateDefaultVersion": True,
        "blockDeviceMappings": [
            {"deviceName": "/dev/xvda", "ebs": {"volumeSize": 100, "volumeType": "gp3", "encrypted": "true"}}
        ],
        "networkInterfaces": [
            {"networkCardIndex": 0, "deviceIndex": 0, "interfaceType": "interface", "securityGroups": [world.group()]},
            {"networkCardIndex": 1, "deviceIndex": 1, "interfaceType": "efa-only", "deleteOnTermination": "true"},
        ],
        "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
        "tagSpecifications": [{"resourceType": "instance", "tags": {"team": "a"}}],
        "tags": {"team": "a"},
    }


def _node_group(world: World) -> Map:
    cluster = world.cluster()
    subnets = world.client("eks").describe_cluster(name=cluster)["cluster"]["resourcesVpcConfig"]["subnetIds"]
    return {
        "clusterName": cluster,
        "nodeGroupName": world.name("ng"),
        "nodeRoleArn": world.role_arn(),
        "subnetIds": subnets,
        "scalingConfig": {"minSize": 0, "maxSize": 2, "desiredSize": 0},
        "amiType": "AL2023_x86_64_NVIDIA",
        "capacityType": "ON_DEMAND",
        "updateConfig": {"maxUnavailable": 1},
        "labels": {"gpu": "h100"},
        "taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}],
        "tags": {"team": "a"},
    }


def _task(world: World) -> Map:
    return {
        "name": world.name("task"),
        "sourceLocationArn": world.location(),
        "destinationLocationArn": world.location(),
        "schedule": {"scheduleExpression": "cron(0 * * * ? *)"},
        "options": {"verifyMode": "ONLY_FILES_TRANSFERRED", "bytesPerSecond": 1048576},
        "tags": {"team": "a"},
    }


def _reschedule(client: Client, made: Object) -> object:
    return client("datasync").update_task(TaskArn=made.id, Schedule={"ScheduleExpression": "cron(0 5 * * ? *)"})


def _take_another_role(client: Client, made: Object) -> object:
    cluster, _, association = made.id.partition(",")
    role = made.inputs["roleArn"] + "-other"
    return client("eks").update_pod_identity_association(clusterName=cluster, associationId=association, roleArn=role)


def key_policy(action: str = "kms:*") -> str:
    root = {"AWS": "arn:aws:iam::123456789012:root"}
    allowed = [
        {"Sid": "Root", "Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"},
        {"Sid": "Use", "Effect": "Allow", "Principal": root, "Action": action, "Resource": "*"},
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": allowed})


def _alarm(world: World) -> Map:
    return {
        "name": world.name("alarm"),
        "alarmDescription": "d",
        "namespace": "AWS/Events",
        "metricName": "TriggeredRules",
        "dimensions": {"RuleName": "r"},
        "statistic": "Sum",
        "comparisonOperator": "LessThanThreshold",
        "evaluationPeriods": 2,
        "period": 3600,
        "threshold": 1,
        "treatMissingData": "breaching",
        "tags": {"team": "a"},
    }


def _alarm_call(name: str, threshold: float) -> Map:
    return {
        "AlarmName": name,
        "AlarmDescription": "d",
        "Namespace": "AWS/Events",
        "MetricName": "TriggeredRules",
        "Dimensions": [{"Name": "RuleName", "Value": "r"}],
        "Statistic": "Sum",
        "ComparisonOperator": "LessThanThreshold",
        "EvaluationPeriods": 2,
        "Period": 3600,
        "Threshold": threshold,
        "TreatMissingData": "breaching",
    }


def _replication(**rule: object) -> Map:
    minutes = {"minutes": 15}
    destination = {
        "bucket": "arn:aws:s3:::t-destination",
        "metrics": {"status": "Enabled", "eventThreshold": minutes},
        "replicationTime": {"status": "Enabled", "time": minutes},
        "encryptionConfiguration": {"replicaKmsKeyId": f"arn:aws:kms:{REGION}:123456789012:key/k"},
    }
    return {
        "id": "weights",
        "priority": 1,
        "status": "Enabled",
        "filter": {"prefix": "weights/"},
        "deleteMarkerReplication": {"status": "Enabled"},
        "sourceSelectionCriteria": {"sseKmsEncryptedObjects": {"status": "Enabled"}},
        "destination": destination,
        **rule,
    }


def _stop_replicating(client: Client, made: Object) -> object:
    held = client("s3").get_bucket_replication(Bucket=made.id)["ReplicationConfiguration"]
    rules = [{**rule, "Status": "Disabled"} for rule in held["Rules"]]
    return client("s3").put_bucket_replication(Bucket=made.id, ReplicationConfiguration={**held, "Rules": rules})


def _dx_untag(client: Client, made: Object) -> object:
    return client("directconnect").untag_resource(resourceArn=made.outputs["arn"], tagKeys=["team"])


def _allow_more(client: Client, made: Object) -> object:
    return client("directconnect").update_direct_connect_gateway_association(
        associationId=made.id, addAllowedPrefixesToDirectConnectGateway=[{"cidr": "10.9.0.0/16"}]
    )


def _fsx_untag(client: Client, made: Object) -> object:
    return client("fsx").untag_resource(ResourceARN=made.outputs["arn"], TagKeys=["team"])


def _file_policy(action: str = "elasticfilesystem:ClientMount") -> str:
    allowed = {"Sid": "Mount", "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})


def _another_hour(client: Client, made: Object) -> object:
    target = made.inputs["target"]
    return client("scheduler").update_schedule(
        Name=made.inputs["name"],
        ScheduleExpression="cron(0 5 * * ? *)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": target["arn"],
            "RoleArn": target["roleArn"],
            "Input": target["input"],
            "RetryPolicy": {"MaximumRetryAttempts": 3},
        },
    )


CASES = (
    Case(
        type="aws:ec2/vpc:Vpc",
        inputs=lambda w: {"cidrBlock": "10.9.0.0/16", "enableDnsHostnames": True, "tags": {"team": "a", "x": "1"}},
        drift=lambda c, o: c("ec2").modify_vpc_attribute(VpcId=o.id, EnableDnsHostnames={"Value": False}),
        drifted="enableDnsHostnames update",
        change={"enableDnsHostnames": False, "tags": {"team": "b"}},
        replace=lambda w: {"cidrBlock": "10.8.0.0/16"},
    ),
    Case(
        type="aws:ec2/subnet:Subnet",
        inputs=lambda w: {
            "vpcId": w.vpc(),
            "cidrBlock": "10.0.3.0/24",
            "availabilityZone": f"{REGION}a",
            "tags": {"team": "a"},
        },
        drift=_untag,
        drifted="tags.team add",
        change={"mapPublicIpOnLaunch": True},
        replace=lambda w: {"cidrBlock": "10.0.4.0/24"},
    ),
    Case(
        type="aws:ec2/routeTable:RouteTable",
        inputs=lambda w: {"vpcId": w.vpc(), "tags": {"team": "a"}},
        drift=_untag,
        drifted="tags.team add",
        change={"tags": {"team": "b"}},
        replace=lambda w: {"vpcId": w.vpc()},
    ),
    Case(
        type="aws:ec2/routeTableAssociation:RouteTableAssociation",
        inputs=_association,
        drift=lambda c, o: c("ec2").disassociate_route_table(AssociationId=o.id),
        drifted="",
        replace=_association,
    ),
    Case(
        type="aws:ec2/vpcEndpoint:VpcEndpoint",
        inputs=_gateway_endpoint,
        drift=lambda c, o: c("ec2").modify_vpc_endpoint(
            VpcEndpointId=o.id, RemoveRouteTableIds=o.inputs["routeTableIds"]
        ),
        drifted="routeTableIds update",
        change={"tags": {"team": "b"}},
        replace=lambda w: {"vpcId": w.vpc()},
    ),
    Case(
        type="aws:ec2/securityGroup:SecurityGroup",
        inputs=lambda w: {"name": w.name("sg"), "description": "d", "vpcId": w.vpc(), "tags": {"team": "a"}},
        drift=_untag,
        drifted="tags.team add",
        change={"tags": {"team": "b", "more": "1"}},
        replace=lambda w: {"description": "another"},
    ),
    Case(
        type="aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        inputs=_rule,
        drift=_modify_rule,
        drifted="fromPort update",
        change={"toPort": 444, "description": "more"},
        replace=lambda w: {"securityGroupId": w.group()},
    ),
    Case(
        type="aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        inputs=_rule,
        drift=_modify_rule,
        drifted="toPort update",
        change={"cidrIpv4": "10.1.0.0/16"},
        replace=lambda w: {"securityGroupId": w.group()},
    ),
    Case(
        type="aws:ec2/launchTemplate:LaunchTemplate",
        inputs=_template,
        drift=_new_template_version,
        drifted="instanceType update",
        change={"instanceType": "p4d.24xlarge", "tags": {"team": "b"}},
        replace=lambda w: {"name": w.name("lt")},
        unreadable=frozenset({"updateDefaultVersion"}),
    ),
    Case(
        type="aws:ec2/placementGroup:PlacementGroup",
        inputs=lambda w: {"name": w.name("pg"), "strategy": "cluster", "tags": {"team": "a"}},
        drift=lambda c, o: c("ec2").delete_tags(Resources=[o.outputs["placementGroupId"]], Tags=[{"Key": "team"}]),
        drifted="tags.team add",
        change={"tags": {"team": "b"}},
        replace=lambda w: {"strategy": "spread"},
    ),
    Case(
        type="aws:eks/cluster:Cluster",
        inputs=lambda w: {
            "name": w.name("eks"),
            "roleArn": w.role_arn(),
            "version": "1.33",
            "vpcConfig": {
                "subnetIds": _two_subnets(w),
                "endpointPrivateAccess": True,
                "publicAccessCidrs": ["203.0.113.0/24"],
            },
            "accessConfig": {"authenticationMode": "API"},
            "enabledClusterLogTypes": ["api", "audit"],
            "tags": {"team": "a"},
        },
        drift=_open_up,
        drifted="vpcConfig.endpointPrivateAccess update",
        change={"enabledClusterLogTypes": ["api"], "tags": {"team": "b"}},
        replace=lambda w: {"roleArn": w.role_arn()},
        unreadable=frozenset({"accessConfig"}),
    ),
    Case(
        type="aws:eks/nodeGroup:NodeGroup",
        inputs=_node_group,
        drift=_scale,
        drifted="scalingConfig.maxSize update",
        change={
            "labels": {"gpu": "h200", "pool": "x"},
            "scalingConfig": {"minSize": 1, "maxSize": 3, "desiredSize": 1},
            "taints": [{"key": "other", "effect": "NO_EXECUTE"}],
        },
        replace=lambda w: {"capacityType": "SPOT"},
    ),
    Case(
        type="aws:iam/role:Role",
        inputs=lambda w: {
            "name": w.name("role"),
            "assumeRolePolicy": trust(),
            "description": "d",
            "tags": {"team": "a"},
        },
        drift=lambda c, o: c("iam").update_assume_role_policy(RoleName=o.id, PolicyDocument=trust("s3.amazonaws.com")),
        drifted="assumeRolePolicy update",
        change={"description": "e", "maxSessionDuration": 7200, "assumeRolePolicy": trust("eks.amazonaws.com")},
        replace=lambda w: {"path": "/other/"},
    ),
    Case(
        type="aws:iam/rolePolicy:RolePolicy",
        inputs=lambda w: {"role": w.role(), "name": "inline", "policy": document()},
        drift=lambda c, o: c("iam").put_role_policy(
            RoleName=o.inputs["role"], PolicyName="inline", PolicyDocument=document("s3:*")
        ),
        drifted="policy update",
        change={"policy": document("s3:PutObject")},
        replace=lambda w: {"role": w.role()},
    ),
    Case(
        type="aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        inputs=lambda w: {"role": w.role(), "policyArn": "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"},
        drift=lambda c, o: c("iam").detach_role_policy(RoleName=o.inputs["role"], PolicyArn=o.inputs["policyArn"]),
        drifted="",
        replace=lambda w: {"policyArn": w.policy()},
    ),
    Case(
        type="aws:iam/policy:Policy",
        inputs=lambda w: {"name": w.name("policy"), "policy": document(), "tags": {"team": "a"}},
        drift=_new_policy_version,
        drifted="policy update",
        change={"policy": document("s3:PutObject"), "tags": {"team": "b"}},
        replace=lambda w: {"description": "another"},
    ),
    Case(
        type="aws:iam/instanceProfile:InstanceProfile",
        inputs=lambda w: {"name": w.name("profile"), "role": w.role(), "tags": {"team": "a"}},
        drift=_iam_untag("instance_profile", "InstanceProfileName"),
        drifted="tags.team add",
        change={"tags": {"team": "b"}},
        replace=lambda w: {"path": "/other/"},
    ),
    Case(
        type="aws:s3/bucket:Bucket",
        inputs=lambda w: {"bucket": w.name("bucket"), "tags": {"team": "a"}},
        drift=lambda c, o: c("s3").put_bucket_tagging(
            Bucket=o.id, Tagging={"TagSet": [{"Key": "team", "Value": "mallory"}]}
        ),
        drifted="tags.team update",
        change={"tags": {"team": "b", "more": "1"}},
        replace=lambda w: {"bucket": w.name("bucket")},
    ),
    Case(
        type="aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
        inputs=lambda w: {
            "bucket": w.bucket(locked=True),
            "objectLockEnabled": "Enabled",
            "rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 30}},
        },
        drift=lambda c, o: c("s3").put_object_lock_configuration(
            Bucket=o.id,
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
            },
        ),
        drifted="rule.defaultRetention.days update",
        change={"rule": {"defaultRetention": {"mode": "COMPLIANCE", "days": 7}}},
        replace=lambda w: {"bucket": w.bucket(locked=True)},
    ),
    Case(
        type="aws:s3/bucketVersioning:BucketVersioning",
        inputs=lambda w: {"bucket": w.bucket(), "versioningConfiguration": {"status": "Enabled"}},
        drift=lambda c, o: c("s3").put_bucket_versioning(Bucket=o.id, VersioningConfiguration={"Status": "Suspended"}),
        drifted="versioningConfiguration.status update",
        change={"versioningConfiguration": {"status": "Suspended"}},
        replace=lambda w: {"bucket": w.bucket()},
    ),
    Case(
        type="aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        inputs=lambda w: {
            "bucket": w.bucket(),
            "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}, "bucketKeyEnabled": True}],
        },
        drift=lambda c, o: c("s3").put_bucket_encryption(
            Bucket=o.id,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
        ),
        drifted="rules update",
        change={"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
        replace=lambda w: {"bucket": w.bucket()},
    ),
    Case(
        type="aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        inputs=lambda w: {"bucket": w.bucket(), "blockPublicAcls": True, "blockPublicPolicy": True},
        drift=lambda c, o: c("s3").put_public_access_block(
            Bucket=o.id, PublicAccessBlockConfiguration={"BlockPublicAcls": False, "BlockPublicPolicy": True}
        ),
        drifted="blockPublicAcls update",
        change={"ignorePublicAcls": True},
        replace=lambda w: {"bucket": w.bucket()},
    ),
    Case(
        type="aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        inputs=lambda w: {
            "bucket": w.bucket(),
            "rules": [
                {
                    "id": "old",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "noncurrentVersionExpiration": {"noncurrentDays": 30},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
                }
            ],
        },
        drift=lambda c, o: c("s3").put_bucket_lifecycle_configuration(
            Bucket=o.id,
            LifecycleConfiguration={
                "Rules": [
                    {
                        "ID": "old",
                        "Status": "Enabled",
                        "Filter": {"Prefix": ""},
                        "NoncurrentVersionExpiration": {"NoncurrentDays": 3},
                    }
                ]
            },
        ),
        drifted="rules update",
        change={
            "rules": [
                {
                    "id": "new",
                    "status": "Disabled",
                    "filter": {"and": {"prefix": "a/", "tags": {"k": "v"}}},
                    "expiration": {"days": 9},
                }
            ]
        },
        replace=lambda w: {"bucket": w.bucket()},
    ),
    Case(
        type="aws:s3/bucketPolicy:BucketPolicy",
        inputs=lambda w: {"bucket": w.bucket(), "policy": document()},
        drift=lambda c, o: c("s3").put_bucket_policy(Bucket=o.id, Policy=document("s3:*")),
        drifted="policy update",
        change={"policy": document("s3:PutObject")},
        replace=lambda w: {"bucket": w.bucket()},
    ),
    Case(
        type="aws:datasync/locationSmb:LocationSmb",
        inputs=lambda w: {
            "serverHostname": "nas.example",
            "subdirectory": "/weights",
            "user": "u",
            "password": "p",
            "agentArns": [AGENT],
            "tags": {"team": "a"},
        },
        drift=lambda c, o: c("datasync").update_location_smb(LocationArn=o.id, User="mallory"),
        drifted="user update",
        change={"subdirectory": "/other", "password": "q"},
        replace=lambda w: {"serverHostname": "other.example"},
        unreadable=frozenset({"password"}),
    ),
    Case(
        type="aws:datasync/nfsLocation:NfsLocation",
        inputs=lambda w: {
            "serverHostname": "nas.example",
            "subdirectory": "/weights",
            "onPremConfig": {"agentArns": [AGENT]},
            "mountOptions": {"version": "NFS4_1"},
            "tags": {"team": "a"},
        },
        drift=lambda c, o: c("datasync").update_location_nfs(LocationArn=o.id, Subdirectory="/mallory"),
        drifted="subdirectory update",
        change={"subdirectory": "/other", "mountOptions": {"version": "AUTOMATIC"}},
        replace=lambda w: {"serverHostname": "other.example"},
    ),
    Case(
        type="aws:datasync/locationObjectStorage:LocationObjectStorage",
        inputs=lambda w: {
            "serverHostname": "store.example",
            "serverProtocol": "HTTPS",
            "serverPort": 9000,
            "bucketName": "weights",
            "subdirectory": "/r1",
            "accessKey": "k",
            "secretKey": "s",
            "agentArns": [AGENT],
            "tags": {"team": "a"},
        },
        drift=lambda c, o: c("datasync").update_location_object_storage(LocationArn=o.id, AccessKey="mallory"),
        drifted="accessKey update",
        change={"subdirectory": "/other", "secretKey": "t", "serverPort": 443},
        replace=lambda w: {"bucketName": "other"},
        unreadable=frozenset({"secretKey"}),
    ),
    Case(
        type="aws:datasync/locationHdfs:LocationHdfs",
        inputs=lambda w: {
            "nameNodes": [{"hostname": "node.example", "port": 8020}],
            "authenticationType": "SIMPLE",
            "simpleUser": "u",
            "subdirectory": "/weights",
            "agentArns": [AGENT],
            "tags": {"team": "a"},
        },
        drift=lambda c, o: c("datasync").update_location_hdfs(LocationArn=o.id, SimpleUser="mallory"),
        drifted="simpleUser update",
        change={"nameNodes": [{"hostname": "other.example", "port": 8020}], "tags": {"team": "b"}},
    ),
    Case(
        type="aws:datasync/s3Location:S3Location",
        inputs=lambda w: {
            "s3BucketArn": f"arn:aws:s3:::{w.bucket()}",
            "subdirectory": "/weights",
            "s3Config": {"bucketAccessRoleArn": w.role_arn()},
            "tags": {"team": "a"},
        },
        drift=_datasync_untag,
        drifted="tags.team add",
        change={"tags": {"team": "b"}},
        replace=lambda w: {"subdirectory": "/other"},
    ),
    Case(
        type="aws:datasync/task:Task",
        inputs=_task,
        drift=_reschedule,
        drifted="schedule.scheduleExpression update",
        change={
            "options": {"verifyMode": "NONE"},
            "excludes": {"filterType": "SIMPLE_PATTERN", "value": "*.tmp"},
            "tags": {"team": "b"},
        },
        replace=lambda w: {"sourceLocationArn": w.location()},
    ),
    Case(
        type="aws:eks/addon:Addon",
        inputs=lambda w: {
            "clusterName": w.cluster(),
            "addonName": "eks-pod-identity-agent",
            "addonVersion": "v1.3.9-eksbuild.3",
            "tags": {"team": "a"},
        },
        drift=lambda c, o: c("eks").update_addon(
            clusterName=o.inputs["clusterName"], addonName=o.inputs["addonName"], addonVersion="v1.0.0-eksbuild.1"
        ),
        drifted="addonVersion update",
        change={"addonVersion": "v1.3.10-eksbuild.1", "tags": {"team": "b"}},
        replace=lambda w: {"clusterName": w.cluster()},
    ),
    Case(
        type="aws:eks/podIdentityAssociation:PodIdentityAssociation",
        inputs=lambda w: {
            "clusterName": w.cluster(),
            "namespace": "fullbore",
            "serviceAccount": "standby",
            "roleArn": w.role_arn(),
            "tags": {"team": "a"},
        },
        drift=_take_another_role,
        drifted="roleArn update",
        change=lambda w: {"roleArn": w.role_arn(), "tags": {"team": "b"}},
        replace=lambda w: {"serviceAccount": "other"},
    ),
    Case(
        type="aws:kms/key:Key",
        inputs=lambda w: {
            "description": "d",
            "enableKeyRotation": True,
            "deletionWindowInDays": 7,
            "policy": key_policy(),
            "tags": {"team": "a"},
        },
        drift=lambda c, o: c("kms").disable_key_rotation(KeyId=o.id),
        drifted="enableKeyRotation update",
        change={"description": "e", "policy": key_policy("kms:Decrypt"), "tags": {"team": "b"}},
        replace=lambda w: {"multiRegion": True},
        unreadable=frozenset({"deletionWindowInDays"}),
    ),
    Case(
        type="aws:kms/alias:Alias",
        inputs=lambda w: {"name": w.name("alias/t"), "targetKeyId": w.key()},
        drift=lambda c, o: c("kms").delete_alias(AliasName=o.id),
        drifted="",
        change=lambda w: {"targetKeyId": w.key()},
        replace=lambda w: {"name": w.name("alias/t")},
    ),
    Case(
        type="aws:cloudwatch/logGroup:LogGroup",
        inputs=lambda w: {"name": w.name("/logs/t"), "retentionInDays": 30, "tags": {"team": "a"}},
        drift=lambda c, o: c("logs").put_retention_policy(logGroupName=o.id, retentionInDays=1),
        drifted="retentionInDays update",
        change={"retentionInDays": 90, "tags": {"team": "b"}},
        replace=lambda w: {"name": w.name("/logs/t")},
    ),
    Case(
        type="aws:ec2/flowLog:FlowLog",
        inputs=lambda w: {
            "vpcId": w.vpc(),
            "trafficType": "ALL",
            "logDestinationType": "cloud-watch-logs",
            "logDestination": w.log_group(),
            "iamRoleArn": w.role_arn(),
            "maxAggregationInterval": 60,
            "tags": {"team": "a"},
        },
        drift=_untag,
        drifted="tags.team add",
        change={"tags": {"team": "b"}},
        replace=lambda w: {"trafficType": "REJECT"},
    ),
    Case(
        type="aws:ec2/customerGateway:CustomerGateway",
        inputs=lambda w: {
            "bgpAsn": "65010",
            "ipAddress": "203.0.113.1",
            "type": "ipsec.1",
            "tags": {"team": "a"},
        },
        drift=_untag,
        drifted="tags.team add",
        change={"tags": {"team": "b"}},
        replace=lambda w: {"ipAddress": "203.0.113.2"},
    ),
    Case(
        type="aws:ec2/vpnGateway:VpnGateway",
        inputs=lambda w: {"vpcId": w.vpc(), "amazonSideAsn": "64512", "tags": {"team": "a"}},
        drift=lambda c, o: c("ec2").detach_vpn_gateway(VpnGatewayId=o.id, VpcId=o.inputs["vpcId"]),
        drifted="vpcId add",
        change=lambda w: {"vpcId": w.vpc(), "tags": {"team": "b"}},
        replace=lambda w: {"amazonSideAsn": "64513"},
    ),
    Case(
        type="aws:ec2/vpnGatewayRoutePropagation:VpnGatewayRoutePropagation",
        inputs=lambda w: {"vpnGatewayId": w.vpn_gateway(), "routeTableId": w.route_table(w.vpc())},
        drift=lambda c, o: c("ec2").disable_vgw_route_propagation(
            GatewayId=o.inputs["vpnGatewayId"], RouteTableId=o.inputs["routeTableId"]
        ),
        drifted="",
        replace=lambda w: {"routeTableId": w.route_table(w.vpc())},
    ),
    Case(
        type="aws:ec2/vpnConnection:VpnConnection",
        inputs=lambda w: {
            "customerGatewayId": w.customer_gateway(),
            "vpnGatewayId": w.vpn_gateway(),
            "type": "ipsec.1",
            "staticRoutesOnly": False,
            "tags": {"team": "a"},
        },
        drift=_untag,
        drifted="tags.team add",
        change={"tags": {"team": "b"}},
        replace=lambda w: {"vpnGatewayId": w.vpn_gateway()},
        unreadable=frozenset({"staticRoutesOnly"}),
    ),
    Case(
        type="aws:cloudwatch/eventRule:EventRule",
        inputs=lambda w: {
            "name": w.name("rule"),
            "description": "d",
            "eventPattern": json.dumps({"source": ["aws.datasync"]}),
            "tags": {"team": "a"},
        },
        drift=lambda c, o: c("events").disable_rule(Name=o.id),
        drifted="state delete",
        change={"eventPattern": json.dumps({"source": ["aws.s3"]}), "tags": {"team": "b"}},
        replace=lambda w: {"name": w.name("rule")},
    ),
    Case(
        type="aws:cloudwatch/metricAlarm:MetricAlarm",
        inputs=_alarm,
        drift=lambda c, o: c("cloudwatch").put_metric_alarm(**_alarm_call(o.id, threshold=9)),
        drifted="threshold update",
        change={"threshold": 2, "evaluationPeriods": 3, "tags": {"team": "b"}},
        replace=lambda w: {"name": w.name("alarm")},
    ),
    Case(
        type="aws:scheduler/schedule:Schedule",
        inputs=lambda w: {
            "name": w.name("schedule"),
            "scheduleExpression": "cron(0 8 * * ? *)",
            "flexibleTimeWindow": {"mode": "OFF"},
            "target": {
                "arn": "arn:aws:scheduler:::aws-sdk:datasync:updateTask",
                "roleArn": w.role_arn(),
                "input": json.dumps({"TaskArn": "t"}),
                "retryPolicy": {"maximumRetryAttempts": 3},
            },
        },
        drift=_another_hour,
        drifted="scheduleExpression update",
        change={"scheduleExpression": "cron(0 9 * * ? *)"},
        replace=lambda w: {"name": w.name("schedule")},
    ),
    Case(
        type="aws:fsx/lustreFileSystem:LustreFileSystem",
        inputs=lambda w: {
            "subnetIds": w.subnet(),
            "securityGroupIds": [w.group()],
            "storageCapacity": 2400,
            "storageType": "SSD",
            "deploymentType": "PERSISTENT_2",
            "perUnitStorageThroughput": 250,
            "fileSystemTypeVersion": "2.15",
            "metadataConfiguration": {"mode": "AUTOMATIC"},
            "tags": {"team": "a"},
        },
        drift=lambda c, o: c("fsx").update_file_system(
            FileSystemId=o.id, LustreConfiguration={"PerUnitStorageThroughput": 125}
        ),
        drifted="perUnitStorageThroughput update",
        change={"storageCapacity": 4800, "perUnitStorageThroughput": 500, "tags": {"team": "b"}},
        replace=lambda w: {"subnetIds": w.subnet(), "deploymentType": "SCRATCH_2"},
        unreadable=frozenset({"securityGroupIds"}),
    ),
    Case(
        type="aws:fsx/dataRepositoryAssociation:DataRepositoryAssociation",
        inputs=lambda w: {
            "fileSystemId": w.lustre(),
            "fileSystemPath": "/weights",
            "dataRepositoryPath": f"s3://{w.bucket()}/weights/",
            "batchImportMetaDataOnCreate": True,
            "s3": {"autoImportPolicy": {"events": ["NEW", "CHANGED"]}},
            "tags": {"team": "a"},
        },
        drift=_fsx_untag,
        drifted="tags.team add",
        change={"s3": {"autoImportPolicy": {"events": ["NEW", "CHANGED", "DELETED"]}}, "tags": {"team": "b"}},
        replace=lambda w: {"fileSystemPath": "/other"},
    ),
    Case(
        type="aws:efs/fileSystem:FileSystem",
        inputs=lambda w: {
            "encrypted": True,
            "throughputMode": "elastic",
            "lifecyclePolicies": [{"transitionToIa": "AFTER_30_DAYS"}],
            "tags": {"team": "a"},
        },
        drift=lambda c, o: c("efs").put_lifecycle_configuration(
            FileSystemId=o.id, LifecyclePolicies=[{"TransitionToIA": "AFTER_7_DAYS"}]
        ),
        drifted="lifecyclePolicies update",
        change={
            "throughputMode": "bursting",
            "lifecyclePolicies": [{"transitionToIa": "AFTER_60_DAYS"}],
            "tags": {"team": "b"},
        },
        replace=lambda w: {"encrypted": False},
    ),
    Case(
        type="aws:efs/mountTarget:MountTarget",
        inputs=lambda w: {"fileSystemId": w.shared(), "subnetId": w.subnet(), "securityGroups": [w.group()]},
        drift=lambda c, o: c("efs").modify_mount_target_security_groups(
            MountTargetId=o.id, SecurityGroups=["sg-0a1b2c3d4e5f60718"]
        ),
        drifted="securityGroups update",
        change=lambda w: {"securityGroups": [w.group()]},
        replace=lambda w: {"subnetId": w.subnet()},
    ),
    Case(
        type="aws:efs/fileSystemPolicy:FileSystemPolicy",
        inputs=lambda w: {"fileSystemId": w.shared(), "policy": _file_policy()},
        drift=lambda c, o: c("efs").put_file_system_policy(
            FileSystemId=o.id, Policy=_file_policy("elasticfilesystem:ClientWrite")
        ),
        drifted="policy update",
        change={"policy": _file_policy("elasticfilesystem:ClientRootAccess")},
        replace=lambda w: {"fileSystemId": w.shared()},
    ),
    Case(
        type="aws:s3/bucketReplicationConfig:BucketReplicationConfig",
        inputs=lambda w: {"bucket": w.versioned(), "role": w.role_arn(), "rules": [_replication()]},
        drift=_stop_replicating,
        drifted="rules update",
        change={"rules": [_replication(deleteMarkerReplication={"status": "Disabled"})]},
        replace=lambda w: {"bucket": w.versioned()},
    ),
    Case(
        type="aws:s3/bucketNotification:BucketNotification",
        inputs=lambda w: {
            "bucket": w.bucket(),
            "topics": [{"id": "late", "topicArn": w.topic(), "events": ["s3:Replication:OperationMissedThreshold"]}],
        },
        drift=lambda c, o: c("s3").put_bucket_notification_configuration(Bucket=o.id, NotificationConfiguration={}),
        drifted="",
        change=lambda w: {
            "topics": [{"id": "late", "topicArn": w.topic(), "events": ["s3:Replication:OperationFailedReplication"]}]
        },
        replace=lambda w: {"bucket": w.bucket()},
    ),
    Case(
        type="aws:datasync/agent:Agent",
        inputs=lambda w: {
            "activationKey": agents.issue(),
            "name": w.name("agent"),
            "vpcEndpointId": "vpce-0a1b2c3d4e5f60718",
            "subnetArns": [f"arn:aws:ec2:{REGION}:123456789012:subnet/subnet-0a1b2c3d4e5f60718"],
            "securityGroupArns": [f"arn:aws:ec2:{REGION}:123456789012:security-group/sg-0a1b2c3d4e5f60718"],
            "tags": {"team": "a"},
        },
        drift=lambda c, o: c("datasync").update_agent(AgentArn=o.id, Name="other"),
        drifted="name update",
        change={"name": "renamed", "tags": {"team": "b"}},
        replace=lambda w: {"activationKey": agents.issue(), "vpcEndpointId": "vpce-0b1b2c3d4e5f60718"},
        unreadable=frozenset({"activationKey"}),
    ),
    Case(
        type="aws:datasync/efsLocation:EfsLocation",
        inputs=lambda w: {
            "efsFileSystemArn": f"arn:aws:elasticfilesystem:{REGION}:123456789012:file-system/{w.shared()}",
            "ec2Config": {
                "securityGroupArns": [f"arn:aws:ec2:{REGION}:123456789012:security-group/{w.group()}"],
                "subnetArn": f"arn:aws:ec2:{REGION}:123456789012:subnet/{w.subnet()}",
            },
            "inTransitEncryption": "TLS1_2",
            "subdirectory": "/weights",
            "tags": {"team": "a"},
        },
        drift=_datasync_untag,
        drifted="tags.team add",
        change={"tags": {"team": "b"}},
        replace=lambda w: {"subdirectory": "/other"},
    ),
    Case(
        type="aws:datasync/locationFsxLustre:LocationFsxLustre",
        inputs=lambda w: {
            "fsxFilesystemArn": f"arn:aws:fsx:{REGION}:123456789012:file-system/{w.lustre()}",
            "securityGroupArns": [f"arn:aws:ec2:{REGION}:123456789012:security-group/{w.group()}"],
            "subdirectory": "/weights",
            "tags": {"team": "a"},
        },
        drift=_datasync_untag,
        drifted="tags.team add",
        change={"tags": {"team": "b"}},
        replace=lambda w: {"subdirectory": "/other"},
    ),
    Case(
        type="aws:directconnect/gateway:Gateway",
        inputs=lambda w: {"name": w.name("dx"), "amazonSideAsn": "64513", "tags": {"team": "a"}},
        drift=_dx_untag,
        drifted="tags.team add",
        change={"name": "renamed", "tags": {"team": "b"}},
        replace=lambda w: {"amazonSideAsn": "64514"},
    ),
    Case(
        type="aws:directconnect/gatewayAssociation:GatewayAssociation",
        inputs=lambda w: {
            "dxGatewayId": w.dx_gateway(),
            "associatedGatewayId": w.vpn_gateway(),
            "allowedPrefixes": ["10.0.0.0/16"],
        },
        drift=_allow_more,
        drifted="allowedPrefixes update",
        change={"allowedPrefixes": ["10.1.0.0/16"]},
        replace=lambda w: {"associatedGatewayId": w.vpn_gateway()},
    ),
    Case(
        type="aws:directconnect/privateVirtualInterface:PrivateVirtualInterface",
        inputs=lambda w: {
            "name": w.name("dx"),
            "connectionId": "dxcon-fg0a1b2c",
            "dxGatewayId": w.dx_gateway(),
            "vlan": 101,
            "addressFamily": "ipv4",
            "bgpAsn": 65010,
            "mtu": 9001,
            "tags": {"team": "a"},
        },
        drift=lambda c, o: c("directconnect").update_virtual_interface_attributes(virtualInterfaceId=o.id, mtu=1500),
        drifted="mtu update",
        change={"mtu": 1500, "tags": {"team": "b"}},
        replace=lambda w: {"vlan": 102},
    ),
)
