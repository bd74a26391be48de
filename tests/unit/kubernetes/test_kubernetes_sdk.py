"""What is read from the text of the installed SDK is what importing it says."""

from __future__ import annotations

import inspect

import pulumi_kubernetes as k8s
import pytest

from fullbore_sandbox.plugins.kubernetes import sdk


def imported(arguments: type) -> dict[str, bool]:
    """{wire name: required} of an imported input class."""
    wire = {name: getter.fget._pulumi_name for name, getter in inspect.getmembers(arguments) if _is_property(getter)}
    parameters = list(inspect.signature(arguments.__init__).parameters.values())[1:]
    return {wire[each.name]: each.default is inspect.Parameter.empty for each in parameters}


def _is_property(member: object) -> bool:
    return isinstance(member, property) and hasattr(member.fget, "_pulumi_name")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("apps/v1", "DeploymentSpecArgs"),
        ("core/v1", "PodSpecArgs"),
        ("core/v1", "ContainerArgs"),
        ("core/v1", "ServiceSpecArgs"),
        ("meta/v1", "ObjectMetaArgs"),
        ("apiextensions/v1", "JSONSchemaPropsArgs"),
        ("policy/v1", "PodDisruptionBudgetSpecArgs"),
    ],
)
def test_properties_are_those_of_the_imported_class(module: str, name: str) -> None:
    group, version = module.split("/")
    arguments = getattr(getattr(getattr(k8s, group), version), name)

    read = {each.name: each.required for each in sdk.properties(sdk.Object(module, name)).values()}

    assert read == imported(arguments)


def test_every_class_that_any_resource_reaches_can_be_read() -> None:
    """The whole SDK, so that an upgrade that changes the generator's form fails here and not in an update."""
    seen: set[sdk.Object] = set()
    for module in sdk.package().glob("*/v*"):
        for kind, api in sdk.kinds(f"{module.parent.name}/{module.name}").items():
            found = sdk.resource(api, kind)
            assert found is not None, f"{api}:{kind}"
            _reach(found, seen)
    assert len(seen) > 2000


def _reach(of: sdk.Type, seen: set[sdk.Object]) -> None:
    match of:
        case sdk.Object() if of not in seen:
            seen.add(of)
            for each in sdk.properties(of).values():
                _reach(each.type, seen)
        case sdk.ListOf(inner) | sdk.MapOf(inner):
            _reach(inner, seen)
        case sdk.OneOf(choices):
            for choice in choices:
                _reach(choice, seen)
        case sdk.Scalar() | sdk.Literals() | sdk.Object():
            pass


def test_version_is_the_installed_one() -> None:
    from importlib import metadata

    assert sdk.version() == metadata.version("pulumi_kubernetes")


@pytest.mark.parametrize(
    ("api", "built_in"),
    [
        ("core/v1", True),
        ("apps/v1", True),
        ("apps/v9", True),
        ("networking.k8s.io/v1", True),
        ("scheduling.volcano.sh/v1beta1", False),
        ("gateway.networking.k8s.io/v1", False),
        ("leaderworkerset.x-k8s.io/v1", False),
    ],
)
def test_a_group_is_built_in_when_the_sdk_has_it(api: str, built_in: bool) -> None:
    assert sdk.is_built_in(api) is built_in


def test_a_missing_class_is_named() -> None:
    with pytest.raises(sdk.SdkError, match=r"core/v1: no input class NoSuchArgs"):
        sdk.properties(sdk.Object("core/v1", "NoSuchArgs"))
