"""From a pod to the container that is run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cluster_fakes import RECORDED, Object, config_map, recorded_pod, secret

from fullbore_sandbox.kubelet import arguments as command
from fullbore_sandbox.kubelet import images, spec
from fullbore_sandbox.kubelet.containers import Network, Owner, observed
from fullbore_sandbox.state import State

OBJECTS = {
    ("configmaps", "settings"): config_map("settings", mode="fast"),
    ("secrets", "token"): secret("token", value="s3cret"),
}
STATE = State(root=Path("/r"), dir=Path("/r/.fullbore/sandbox"), id="ab12cd34", network="net", subnet="10.200.7.0/24")
OWNER = Owner(cluster="site", namespace="demo", pod="serving-0", uid="u1")


def lookup(kind: spec.Kind, name: str) -> Object | None:
    return OBJECTS.get((kind, name))


def desired(pod: Object) -> spec.ContainerSpec:
    return spec.desired(pod, pod["spec"]["containers"][0], lookup, "10.200.7.128")


def arguments(pod: Object, image: str | None = None) -> list[str]:
    if image:
        pod["spec"]["containers"][0]["image"] = image
    wanted, row = desired(pod), images.stand_in(image or "")
    network = Network(address="10.200.7.128", aliases=("serving.demo.site.internal",))
    binds = [(Path("/v/settings"), "/etc/fullbore", True)]
    return command.run_arguments(
        STATE, OWNER, wanted, binds, network, (row and "base") or wanted.image, row, Path("/e")
    )


def test_variables_come_from_values_maps_secrets_and_fields() -> None:
    assert dict(desired(recorded_pod()).env) == {
        "PORT": "8000",
        "MODE": "fast",
        "TOKEN": "s3cret",
        "POD_IP": "10.200.7.128",
        "APP": "serving",
        "URL": "http://10.200.7.128:8000",
    }


def test_arguments_are_expanded_as_kubernetes_does() -> None:
    assert desired(recorded_pod()).args == ("--port", "8000", "--mode=fast", "$(UNKNOWN)", "$(PORT)")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "none", "key": "a"}}, 'configmap "none" not found'),
        ({"configMapKeyRef": {"name": "settings", "key": "a"}}, 'couldn\'t find key a in configmap "settings"'),
        ({"secretKeyRef": {"name": "none", "key": "a"}}, 'secret "none" not found'),
        ({"fieldRef": {"fieldPath": "spec.bogus"}}, "fieldRef spec.bogus: not a field"),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, "resourceFieldRef"),
    ],
)
def test_a_variable_without_a_source_is_an_error_that_names_it(source: Object, message: str) -> None:
    pod = recorded_pod()
    pod["spec"]["containers"][0]["env"] = [{"name": "A", "valueFrom": source}]
    with pytest.raises(spec.ConfigError, match=message.replace("(", r"\(")):
        desired(pod)


def test_an_optional_source_may_be_missing() -> None:
    pod = recorded_pod()
    origin = {"configMapKeyRef": {"name": "none", "key": "a", "optional": True}}
    pod["spec"]["containers"][0]["env"] = [{"name": "A", "valueFrom": origin}]
    pod["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": "none", "optional": True}}]
    assert desired(pod).env == ()


def test_env_from_takes_all_keys_with_a_prefix() -> None:
    pod = recorded_pod()
    pod["spec"]["containers"][0] |= {"env": [], "envFrom": [{"prefix": "T_", "secretRef": {"name": "token"}}]}
    assert desired(pod).env == (("T_value", "s3cret"),)


def test_the_engine_is_told_all_that_the_pod_says() -> None:
    told = arguments(recorded_pod())
    for option in (
        "--network=net",
        "--ip=10.200.7.128",
        "--mac-address=02:42:0a:c8:07:80",
        "--network-alias=serving.demo.site.internal",
        "--label=fullbore.sandbox=ab12cd34",
        "--label=fullbore.cluster=site",
        "--label=fullbore.pod-uid=u1",
        "--volume=/v/settings:/etc/fullbore:ro",
        "--user=1000",
        "--group-add=2000",
        "--cap-drop=ALL",
        "--read-only",
        "--security-opt=no-new-privileges",
        "--entrypoint=fullbore-runtime",
        "--env-file=/e",
    ):
        assert option in told
    image = recorded_pod()["spec"]["containers"][0]["image"]
    assert told[told.index(image) :] == [image, "--port", "8000", "--mode=fast", "$(UNKNOWN)", "$(PORT)"]


def test_no_value_of_a_variable_is_among_the_arguments() -> None:
    assert not [a for a in arguments(recorded_pod()) if "s3cret" in a]


def test_a_host_port_is_published_on_loopback_only() -> None:
    pod = recorded_pod()
    pod["spec"]["containers"][0]["ports"] = [{"containerPort": 8000, "hostPort": 18000}, {"containerPort": 9}]
    assert [a for a in arguments(pod) if "publish" in a] == ["--publish=127.0.0.1:18000:8000/tcp"]


def test_a_value_of_several_lines_is_refused() -> None:
    pod = recorded_pod()
    pod["spec"]["containers"][0]["env"] = [{"name": "A", "value": "a\nB=b"}]
    with pytest.raises(spec.ConfigError, match="env A: a value of several lines; mount it as a file"):
        command.env_lines(desired(pod))


def test_what_podman_says_of_a_container_is_read() -> None:
    seen = observed(json.loads((RECORDED / "podman-inspect.json").read_text()), "fullbore-47dc4678")
    assert (seen.name, seen.cluster, seen.running, seen.pid) == ("server", "site", True, 19225)
    assert seen.address == "10.200.120.138"
    assert seen.aliases == ("serving.demo.site.internal",)
    assert seen.started_at == "2026-11-21T23:48:05Z"


@pytest.mark.parametrize(
    ("reference", "repository"),
    [
        ("busybox", "docker.io/library/busybox"),
        ("envoyproxy/envoy:v1.40.0", "docker.io/envoyproxy/envoy"),
        ("docker.io/prom/prometheus:v2.42.0@sha256:ab", "docker.io/prom/prometheus"),
        ("127.0.0.1:5000/fullbore/base@sha256:ab", "127.0.0.1:5000/fullbore/base"),
        ("localhost/x:1", "localhost/x"),
    ],
)
def test_repository_of_a_reference(reference: str, repository: str) -> None:
    assert images.repository(reference) == repository


@pytest.mark.parametrize(
    ("image", "command", "args", "line"),
    [
        ("envoyproxy/envoy:v1", [], [], ["/usr/local/bin/envoy", "-c", "/etc/envoy/envoy.yaml"]),
        ("envoyproxy/envoy:v1", [], ["-c", "/a"], ["/usr/local/bin/envoy", "-c", "/a"]),
        ("envoyproxy/envoy:v1", [], ["envoy", "-c", "/a"], ["/usr/local/bin/envoy", "-c", "/a"]),
        ("envoyproxy/envoy:v1", ["envoy"], ["-c", "/a"], ["envoy", "-c", "/a"]),
        ("prom/alertmanager:v0", [], ["--x"], ["/bin/alertmanager", "--x"]),
    ],
)
def test_a_stand_in_starts_as_the_official_image_does(
    image: str, command: list[str], args: list[str], line: list[str]
) -> None:
    row = images.stand_in(image)
    assert row
    assert list(row.entrypoint(tuple(command), tuple(args))) == line


def test_a_stand_in_runs_as_the_official_images_user() -> None:
    pod = recorded_pod(securityContext={})
    pod["spec"]["containers"][0] |= {"command": [], "args": []}
    told = arguments(pod, "docker.io/prom/prometheus:v2.42.0")
    assert "--user=65534:65534" in told
    assert "--workdir=/prometheus" in told
    assert "--entrypoint=/bin/prometheus" in told
    assert told[-3] == "base"


def test_no_base_image_yet_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(images.Unpullable) as refusal:
        images.base_image(tmp_path / "endpoints.json")
    assert refusal.value.message == "the sandbox has no base image yet; run scripts/up"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"hostNetwork": True}, "spec.hostNetwork"),
        ({"hostPID": True}, "spec.hostPID"),
        ({"volumes": [{"name": "h", "hostPath": {"path": "/"}}]}, "spec.volumes[h]: hostPath"),
        ({"volumes": [{"name": "p", "persistentVolumeClaim": {"claimName": "c"}}]}, "persistentVolumeClaim"),
        (
            {"volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]},
            "serviceAccountToken",
        ),
    ],
)
def test_refusals_name_the_field(change: Object, path: str) -> None:
    [refusal] = spec.refusals(recorded_pod(**change))
    assert path in refusal


def test_the_recorded_pod_is_not_refused() -> None:
    assert spec.refusals(recorded_pod()) == []
