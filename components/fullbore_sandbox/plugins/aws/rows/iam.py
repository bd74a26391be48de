"""IAM roles, policies and instance profiles. Their names are their identity, except a policy's, which is its ARN."""

from __future__ import annotations

from collections.abc import Callable, Set

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import as_text, pick, tag_list, tag_map
from fullbore_sandbox.plugins.aws.row import Map, Row, Tagging, new_tags

NO_CALL = "IAM API reference: no Update call takes it"


def _tagging(kind: str, parameter: str) -> Tagging:
    def set_tags(api: Api, key: str, tags: dict[str, str]) -> None:
        getattr(api.iam, f"tag_{kind}")(**{parameter: key}, Tags=tag_list(tags))

    def unset_tags(api: Api, key: str, keys: list[str]) -> None:
        getattr(api.iam, f"untag_{kind}")(**{parameter: key}, TagKeys=keys)

    return Tagging(key=lambda ident, outputs: ident, set=set_tags, unset=unset_tags)


def _named(call: str, parameter: str, answer: str, ident: str) -> Callable[[Api, str], str | None]:
    """A `find` by name: raises the API's own error where there is no such name."""

    def find(api: Api, token: str) -> str | None:
        return getattr(api.iam, call)(**{parameter: token})[answer][ident]

    return find


# Roles

_ROLE = {
    "name": "RoleName",
    "path": "Path",
    "description": "Description",
    "maxSessionDuration": "MaxSessionDuration",
    "permissionsBoundary": "PermissionsBoundary",
}


def _create_role(api: Api, inputs: Map, token: str) -> str:
    trust = as_text(inputs["assumeRolePolicy"])
    answer = api.iam.create_role(**pick(inputs, _ROLE), AssumeRolePolicyDocument=trust, Tags=new_tags(inputs, token))
    return answer["Role"]["RoleName"]


def _read_role(api: Api, ident: str, known: Map) -> Map | None:
    role = api.iam.get_role(RoleName=ident)["Role"]
    names = {api_name: name for name, api_name in _ROLE.items() if name != "permissionsBoundary"}
    boundary = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    return {
        "arn": role["Arn"],
        "uniqueId": role["RoleId"],
        "createDate": role["CreateDate"].isoformat(),
        "assumeRolePolicy": as_text(role["AssumeRolePolicyDocument"]),
        "tags": tag_map(role.get("Tags")),
        **pick(role, names),
        **({"permissionsBoundary": boundary} if boundary else {}),
    }


def _update_role(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    if "assumeRolePolicy" in changed:
        api.iam.update_assume_role_policy(RoleName=ident, PolicyDocument=as_text(inputs["assumeRolePolicy"]))
    if changed & {"description", "maxSessionDuration"}:
        settings = pick(inputs, {"maxSessionDuration": "MaxSessionDuration"})
        api.iam.update_role(RoleName=ident, Description=inputs.get("description", ""), **settings)
    if "permissionsBoundary" in changed:
        boundary = inputs.get("permissionsBoundary")
        if boundary:
            api.iam.put_role_permissions_boundary(RoleName=ident, PermissionsBoundary=boundary)
        else:
            api.iam.delete_role_permissions_boundary(RoleName=ident)


ROLE = Row(
    type="aws:iam/role:Role",
    inputs={"assumeRolePolicy", "tags", *_ROLE},
    token=lambda inputs: inputs["name"],
    create=_create_role,
    read=_read_role,
    update=_update_role,
    delete=lambda api, ident, known: api.iam.delete_role(RoleName=ident),
    find=_named("get_role", "RoleName", "Role", "RoleName"),
    tagging=_tagging("role", "RoleName"),
    name="name",
    replace={"name": NO_CALL, "path": NO_CALL},
    unique={"name"},
    defaults={"path": "/", "maxSessionDuration": 3600},
    absent={"inlinePolicies", "managedPolicyArns", "namePrefix"},
)

# Inline policies: the id is ROLE:NAME, as in terraform-provider-aws


def _put_role_policy(api: Api, inputs: Map, token: str) -> str:
    api.iam.put_role_policy(
        RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=as_text(inputs["policy"])
    )
    return f"{inputs['role']}:{inputs['name']}"


def _update_role_policy(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    _put_role_policy(api, inputs, "")


def _read_role_policy(api: Api, ident: str, known: Map) -> Map | None:
    role, _, name = ident.partition(":")
    found = api.iam.get_role_policy(RoleName=role, PolicyName=name)
    return {"role": role, "name": name, "policy": as_text(found["PolicyDocument"])}


def _delete_role_policy(api: Api, ident: str, known: Map) -> None:
    role, _, name = ident.partition(":")
    api.iam.delete_role_policy(RoleName=role, PolicyName=name)


def _find_role_policy(api: Api, token: str) -> str | None:
    return token if _read_role_policy(api, token, {}) else None


ROLE_POLICY = Row(
    type="aws:iam/rolePolicy:RolePolicy",
    inputs={"role", "name", "policy"},
    token=lambda inputs: f"{inputs['role']}:{inputs['name']}",
    create=_put_role_policy,
    read=_read_role_policy,
    update=_update_role_policy,
    delete=_delete_role_policy,
    find=_find_role_policy,
    name="name",
    replace={"role": NO_CALL, "name": NO_CALL},
    unique={"role", "name"},
    absent={"namePrefix"},
)

# Attachments: the id is ROLE/ARN, as terraform-provider-aws imports them


def _attach(api: Api, inputs: Map, token: str) -> str:
    api.iam.attach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])
    return token


def _read_attachment(api: Api, ident: str, known: Map) -> Map | None:
    role, _, arn = ident.partition("/")
    attached = api.iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    return {"role": role, "policyArn": arn} if any(p["PolicyArn"] == arn for p in attached) else None


def _detach(api: Api, ident: str, known: Map) -> None:
    role, _, arn = ident.partition("/")
    api.iam.detach_role_policy(RoleName=role, PolicyArn=arn)


ROLE_POLICY_ATTACHMENT = Row(
    type="aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    inputs={"role", "policyArn"},
    token=lambda inputs: f"{inputs['role']}/{inputs['policyArn']}",
    create=_attach,
    read=_read_attachment,
    delete=_detach,
    find=lambda api, token: token if _read_attachment(api, token, {}) else None,
    replace={"role": NO_CALL, "policyArn": NO_CALL},
    unique={"role", "policyArn"},
)

# Managed policies

POLICY_VERSIONS = 5
"""Versions that IAM keeps of a policy (IAM quotas)."""


def _create_policy(api: Api, inputs: Map, token: str) -> str:
    given = pick(inputs, {"name": "PolicyName", "path": "Path", "description": "Description"})
    answer = api.iam.create_policy(**given, PolicyDocument=as_text(inputs["policy"]), Tags=new_tags(inputs, token))
    return answer["Policy"]["Arn"]


def _read_policy(api: Api, ident: str, known: Map) -> Map | None:
    policy = api.iam.get_policy(PolicyArn=ident)["Policy"]
    version = api.iam.get_policy_version(PolicyArn=ident, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
    return {
        "arn": ident,
        "policy": as_text(version["Document"]),
        "policyId": policy["PolicyId"],
        "attachmentCount": policy.get("AttachmentCount", 0),
        "tags": tag_map(policy.get("Tags")),
        **pick(policy, {"PolicyName": "name", "Path": "path", "Description": "description"}),
    }


def _update_policy(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    versions = api.iam.list_policy_versions(PolicyArn=ident)["Versions"]
    old = sorted((v for v in versions if not v["IsDefaultVersion"]), key=lambda v: int(v["VersionId"][1:]))
    if len(versions) >= POLICY_VERSIONS:
        api.iam.delete_policy_version(PolicyArn=ident, VersionId=old[0]["VersionId"])
    api.iam.create_policy_version(PolicyArn=ident, PolicyDocument=as_text(inputs["policy"]), SetAsDefault=True)


def _delete_policy(api: Api, ident: str, known: Map) -> None:
    for version in api.iam.list_policy_versions(PolicyArn=ident)["Versions"]:
        if not version["IsDefaultVersion"]:
            api.iam.delete_policy_version(PolicyArn=ident, VersionId=version["VersionId"])
    api.iam.delete_policy(PolicyArn=ident)


def _find_policy(api: Api, token: str) -> str | None:
    policies = api.iam.list_policies(Scope="Local")["Policies"]
    return next((p["Arn"] for p in policies if p["PolicyName"] == token), None)


POLICY = Row(
    type="aws:iam/policy:Policy",
    inputs={"name", "path", "description", "policy", "tags"},
    token=lambda inputs: inputs["name"],
    create=_create_policy,
    read=_read_policy,
    update=_update_policy,
    delete=_delete_policy,
    find=_find_policy,
    tagging=_tagging("policy", "PolicyArn"),
    name="name",
    replace={"name": NO_CALL, "path": NO_CALL, "description": NO_CALL},
    unique={"name"},
    defaults={"path": "/"},
    absent={"namePrefix"},
)

# Instance profiles


def _create_profile(api: Api, inputs: Map, token: str) -> str:
    given = pick(inputs, {"name": "InstanceProfileName", "path": "Path"})
    answer = api.iam.create_instance_profile(**given, Tags=new_tags(inputs, token))
    return answer["InstanceProfile"]["InstanceProfileName"]


def _set_profile_role(api: Api, ident: str, inputs: Map, changed: Set[str] = frozenset()) -> None:
    roles = api.iam.get_instance_profile(InstanceProfileName=ident)["InstanceProfile"]["Roles"]
    have, want = {role["RoleName"] for role in roles}, {inputs["role"]} if inputs.get("role") else set()
    for role in have - want:
        api.iam.remove_role_from_instance_profile(InstanceProfileName=ident, RoleName=role)
    for role in want - have:
        api.iam.add_role_to_instance_profile(InstanceProfileName=ident, RoleName=role)


def _read_profile(api: Api, ident: str, known: Map) -> Map | None:
    profile = api.iam.get_instance_profile(InstanceProfileName=ident)["InstanceProfile"]
    roles = [role["RoleName"] for role in profile["Roles"]]
    return {
        "arn": profile["Arn"],
        "uniqueId": profile["InstanceProfileId"],
        "createDate": profile["CreateDate"].isoformat(),
        "tags": tag_map(profile.get("Tags")),
        **pick(profile, {"InstanceProfileName": "name", "Path": "path"}),
        **({"role": roles[0]} if roles else {}),
    }


def _delete_profile(api: Api, ident: str, known: Map) -> None:
    _set_profile_role(api, ident, {})
    api.iam.delete_instance_profile(InstanceProfileName=ident)


INSTANCE_PROFILE = Row(
    type="aws:iam/instanceProfile:InstanceProfile",
    inputs={"name", "path", "role", "tags"},
    token=lambda inputs: inputs["name"],
    create=_create_profile,
    finish=_set_profile_role,
    read=_read_profile,
    update=_set_profile_role,
    delete=_delete_profile,
    find=_named("get_instance_profile", "InstanceProfileName", "InstanceProfile", "InstanceProfileName"),
    tagging=_tagging("instance_profile", "InstanceProfileName"),
    name="name",
    replace={"name": NO_CALL, "path": NO_CALL},
    unique={"name"},
    defaults={"path": "/"},
    absent={"namePrefix"},
)

ROWS = (ROLE, ROLE_POLICY, ROLE_POLICY_ATTACHMENT, POLICY, INSTANCE_PROFILE)
