"""Kubeconfigs, loopback, plan-only."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from fullbore.provider.base import UNKNOWN, ProviderError, Request
from fullbore_sandbox.plugins.kubernetes import kubeconfig
from fullbore_sandbox.plugins.kubernetes.provider import Kubernetes

URN = "urn:pulumi:dev::p::kubernetes:core/v1:ConfigMap::c"


def text(server: str = "https://127.0.0.1:6443", **user: Any) -> str:
    return yaml.safe_dump(
        {
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [
                {"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "models"}},
                {"name": "bad", "context": {"cluster": "missing"}},
            ],
            "current-context": "x",
        }
    )


def test_text_and_path_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(text(token="t"))

    from_text, from_path = kubeconfig.load(text(token="t")), kubeconfig.load(str(tmp_path / "config"))

    assert from_text == from_path
    assert (from_text.server, from_text.namespace, from_text.token) == ("https://127.0.0.1:6443", "models", "t")
    assert "'t'" not in repr(from_text)


def test_a_kubeconfig_as_json_text_stays_text() -> None:
    document = json.dumps(yaml.safe_load(text()))
    provider = Kubernetes()

    assert not provider.check_config({}, {"kubeconfig": document, "enablePatchForce": "true"}).failures
    provider.configure({"kubeconfig": document, "enableConfigMapMutable": "true"})
    assert provider.config == {"kubeconfig": document, "enableConfigMapMutable": True}
    [failure] = provider.check_config({}, {"kubeconfig": document, "enablePatchForce": "perhaps"}).failures
    assert (failure.path, failure.reason) == ("enablePatchForce", "got a string, allowed: a boolean")


def test_key_material_comes_from_data_or_from_files_beside(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(b"KEY")
    data = base64.b64encode(b"CERT").decode()
    (tmp_path / "config").write_text(text(**{"client-key": "key.pem", "client-certificate-data": data}))

    found = kubeconfig.load(str(tmp_path / "config"))

    assert (found.certificate, found.key) == (b"CERT", b"KEY")


@pytest.mark.parametrize(
    ("server", "accepted"),
    [
        ("https://127.0.0.1:6443", True),
        ("https://127.8.9.10", True),
        ("https://[::1]:6443", True),
        ("https://localhost:6443", True),
        ("https://10.0.0.1:6443", False),
        ("https://localhost.example.com", False),
        ("https://127.0.0.1.example.com", False),
        ("https://127.0.0.1@example.com", False),
        ("", False),
    ],
)
def test_only_loopback_is_accepted(server: str, accepted: bool) -> None:
    if accepted:
        assert kubeconfig.load(text(server)).server == server
    else:
        with pytest.raises(ProviderError, match="is not loopback"):
            kubeconfig.load(text(server))


@pytest.mark.parametrize(
    ("source", "context", "message"),
    [
        ("/no/such/file", None, "cannot read /no/such/file: no such file or directory"),
        ("a: [\n", None, "not YAML"),
        ("- a\n- b\n", None, "not a mapping"),
        (text(), "nope", "contexts: no 'nope', allowed: x, bad"),
        (text(), "bad", "clusters: no 'missing', allowed: c"),
        (text(exec={"command": "aws"}), None, "uses exec, which the stand-in does not run"),
        (text(**{"client-key": "/no/key"}), None, "client-key: cannot read /no/key"),
        (text(**{"client-key-data": "%"}), None, "client-key-data is not base64"),
    ],
)
def test_a_bad_kubeconfig_is_one_line(source: str, context: str | None, message: str) -> None:
    with pytest.raises(ProviderError, match=message) as caught:
        kubeconfig.load(source, context)
    assert "\n" not in str(caught.value)


def test_without_any_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(ProviderError, match="kubeconfig: not set"):
        kubeconfig.load(None)


def test_another_server_replaces_what_was_on_the_old_one() -> None:
    provider = Kubernetes()
    old, new = {"kubeconfig": text()}, {"kubeconfig": text("https://127.0.0.1:7443")}
    rotated = {"kubeconfig": text(token="other")}

    assert provider.diff_config(old, old).changes == {}
    assert provider.diff_config(old, new).changes == {"kubeconfig": "update-replace"}
    assert provider.diff_config(old, rotated).changes == {"kubeconfig": "update"}
    pinned = {"clusterIdentifier": "site"}
    assert provider.diff_config({**old, **pinned}, {**new, **pinned}).changes == {"kubeconfig": "update"}


class TestPlanOnly:
    @pytest.fixture
    def provider(self, monkeypatch: pytest.MonkeyPatch) -> Kubernetes:
        monkeypatch.setenv("FULLBORE_PLAN_ONLY", "1")
        provider = Kubernetes()
        provider.configure({"kubeconfig": "/no/such/file", "namespace": "models"})
        return provider

    def request(self, **fields: Any) -> Request:
        return Request(urn=URN, type="kubernetes:core/v1:ConfigMap", name="c", **fields)

    def test_a_preview_contacts_nothing(self, provider: Kubernetes) -> None:
        checked = provider.check(self.request(news={"metadata": {"name": "c"}, "data": {"a": "b"}}))
        created = provider.create(self.request(news=checked.inputs, preview=True))

        assert checked.inputs["metadata"] == {"name": "c", "namespace": "models"}
        assert created.outputs["data"] == {"a": "b"}
        assert created.outputs["metadata"]["uid"] is UNKNOWN

    def test_it_stays_strict(self, provider: Kubernetes) -> None:
        [failure] = provider.check(self.request(news={"dta": {}})).failures

        assert failure.path == "dta"

    @pytest.mark.parametrize("call", ["create", "read", "update", "delete"])
    def test_nothing_is_done_for_real(self, provider: Kubernetes, call: str) -> None:
        inputs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}

        with pytest.raises(ProviderError, match="FULLBORE_PLAN_ONLY is set"):
            getattr(provider, call)(self.request(id="c", news=inputs, inputs=inputs, old_inputs=inputs))


@pytest.mark.parametrize("call", ["check", "read", "delete"])
def test_a_run_is_marked_once_whatever_it_does_first(call: str) -> None:
    lines: list[str] = []
    provider = Kubernetes()

    def log(urn: str, severity: str, line: str, ephemeral: bool) -> None:
        lines.append(line)

    for _ in range(2):
        with suppress(ProviderError):  # It is not configured: what it would do is not asked here.
            getattr(provider, call)(
                Request(urn=URN, type="kubernetes:core/v1:ConfigMap", name="c", id="c", write_log=log)
            )
    assert lines == ["SIMULATED: Kubernetes through the sandbox's stand-in plugin (nothing is contacted)"]
