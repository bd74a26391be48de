"""The plugin under the real engine: what a user sees of a host group's life. Ansible alone is a recording."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fullbore.config import parse
from fullbore.declared import import_file
from fullbore.plan import make_plan
from fullbore_sandbox.engine import Engine, open_engine
from fullbore_sandbox.state import State

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
KEYS: dict[str, str] = json.loads((ROOT / "tests" / "unit" / "provider" / "recorded" / "host_keys.json").read_text())
ECN = "sysctl.net.ipv4.tcp_ecn"
SECRET = "hush-hush-hush"

PROJECT = """name: provider-test
runtime: python
plugins:
  providers:
    - name: fullbore
      path: bin
"""
PROGRAM = """import json
import pulumi
from fullbore.provider.resources import HostGroup

args = json.load(open("group.json"))
for host in args["hosts"].values():
    host["vars"]["token"] = pulumi.Output.secret(host["vars"]["token"])
group = HostGroup("gpu", **args)
pulumi.export("failed", group.failed)
pulumi.export("hosts", group.hosts)
"""


@dataclass
class Project:
    """A Pulumi project in a folder of its own, with its own home and backend."""

    folder: Path
    engine: Engine

    def pulumi(self, *args: str, fails: bool = False) -> str:
        """Run `pulumi ARGS`; what it printed, both streams."""
        folders = [Path(sys.executable).parent, *self.engine.folders]
        environment = os.environ | {
            "PATH": os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)]),
            "PYTHONPATH": str(ROOT / "components"),
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "NO_COLOR": "1",
        }
        done = subprocess.run(
            [self.engine.pulumi, *args, "--non-interactive"],
            cwd=self.folder / "project",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def play(self, *names: str) -> None:
        """The recordings that the next runs of Ansible play."""
        (self.folder / "queue").write_text(" ".join(names))

    def want(self, **changes: Any) -> None:
        (self.folder / "project" / "group.json").write_text(json.dumps(group(**changes)))

    def state(self) -> str:
        return (self.folder / "backend" / ".pulumi" / "stacks" / "provider-test" / "dev.json").read_text()


def group(ecn: str = "1", **changes: Any) -> dict[str, Any]:
    wants = {ECN: ecn, "limits.*.-.memlock": "unlimited"}
    listed = [{"id": id, "role": "baseline", "want": want, "reboot": False} for id, want in wants.items()]
    hosts = {
        name: {
            "address": "127.0.0.1",
            "port": 22,
            "hostKey": key,
            "serial": name,
            "settings": wants,
            "vars": {"fullbore_settings": listed, "fullbore_roles": ["baseline"], "token": SECRET},
        }
        for name, key in KEYS.items()
    }
    return {
        "group": "gpu",
        "rack": "r01",
        "roles": ["baseline"],
        "hosts": hosts,
        "ssh": {"user": "root", "privateKeyFile": "/keys/id"},
        "content": "sha256:1",
        "max_failures": 1,
    } | changes


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The engine that is on PATH, or the one that the toolchain built."""
    return open_engine(State.load_or_create(tmp_path_factory.mktemp("state")), sandbox=False)


@pytest.fixture
def project(engine: Engine, tmp_path: Path) -> Project:
    for name in ("backend", "project/bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "project" / "Pulumi.yaml").write_text(PROJECT)
    (tmp_path / "project" / "__main__.py").write_text(PROGRAM)
    plugin = tmp_path / "project" / "bin" / "pulumi-resource-fullbore"
    plugin.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "provider_double.py"}" "{tmp_path / "queue"}" "$@"\n'
    )
    plugin.chmod(0o755)
    project = Project(tmp_path, engine)
    project.want()
    project.pulumi("stack", "init", "dev")
    return project


def test_a_host_group_from_its_first_up_to_its_last(project: Project) -> None:
    project.play("quiet")
    assert "2 created" in project.pulumi("up", "--yes", "--skip-preview")
    assert SECRET not in project.state()

    # A new want shows in a plain preview, by host, setting and value, from the facts in state alone.
    project.want(ecn="0")
    shown = project.pulumi("preview")
    assert f"gpu-01: {ECN}: 1 -> 0" in shown
    assert "compared with what the hosts reported" in shown
    project.want()
    assert "2 unchanged" in project.pulumi("preview")

    # A setting changed by hand shows in both halves of a refreshing preview.
    project.play("drift")
    shown = project.pulumi("preview", "--refresh", "--diff")
    assert re.search(rf'~ {re.escape(ECN)} *: "1" => "2"', shown), shown
    assert re.search(rf'~ {re.escape(ECN)} *: "2" => "1"', shown), shown
    assert f"gpu-01: {ECN}: 2 -> 1" in shown
    assert "SSH SIGNATURE" not in shown

    # The next update that refreshes repairs it, and the one after has nothing to do.
    project.play("drift", "repair")
    assert "1 updated" in project.pulumi("up", "--yes", "--skip-preview", "--refresh")
    project.play("quiet")
    assert "2 unchanged" in project.pulumi("up", "--yes", "--skip-preview", "--refresh")

    assert "left as they are, with what was installed: gpu-01, gpu-02" in project.pulumi(
        "destroy", "--yes", "--skip-preview"
    )


def test_a_host_that_is_away_is_named_and_finished_later(project: Project) -> None:
    project.play("unreachable")
    shown = project.pulumi("up", "--yes", "--skip-preview")
    assert "warning: 1 of 2 hosts failed (maxFailures is 1); the next up tries again" in shown
    assert "warning: gpu-02: unreachable: " in shown

    # Beyond the limit the update fails, and keeps what it did.
    project.want(max_failures=0)
    project.play("unreachable")
    shown = project.pulumi("up", "--yes", "--skip-preview", fails=True)
    assert "1 of 2 hosts failed, but maxFailures is 0; the next up goes on" in shown
    assert "Traceback" not in shown

    assert "gpu-02: did not finish last time: unreachable" in project.pulumi("preview")
    project.play("quiet")
    assert "1 updated" in project.pulumi("up", "--yes", "--skip-preview")
    assert "2 unchanged" in project.pulumi("preview")


def test_bad_input_is_one_line_and_touches_nothing(project: Project) -> None:
    project.want(rack="", hosts={})
    shown = project.pulumi("preview", fails=True)
    assert "rack: got '', but it must be a text that is not empty" in shown
    assert "hosts: got dict, but it must be a map of 1 to 32 hosts" in shown
    assert "Traceback" not in shown


ACCEPTED = """import json
import pulumi
from fullbore.config import parse
from fullbore.plan import make_plan
from fullbore.site import Site

site = Site("site", make_plan(parse(json.load(open("environment.json")))).site)
after = pulumi.ResourceOptions(depends_on=list(site.evidence.values()))
pulumi.ComponentResource("test:index:Serving", "serving", opts=after)
pulumi.export("siteEvidence", site.accepted)
"""
PRINTED, BROKEN = "chronyc-tracking.pps.txt", "chronyc-tracking.far.txt"


def accepting(project: Project, **versions: str) -> None:
    """A site of two machines that are measured before what comes after them is made."""
    key = project.folder / "evidence"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    hosts = {
        name: {"serial": name, "address": f"192.0.2.{at}", "host_key": host_key}
        for at, (name, host_key) in enumerate(KEYS.items(), 11)
    }
    site = {
        "name": "hall",
        "cidr": "192.0.2.0/24",
        "fabric": "roce",
        "ssh": {"private_key_file": "/keys/id"},
        "max_failures": 2,  # what a recording reports is not what this site plans
        "acceptance": {"signing_key_file": str(key), "public_key": public},
        "groups": {"storage": {"kind": "storage", "rack": "r01", "hosts": hosts}},
    }
    environment = {"name": "test", "site": site, "versions": versions}
    (project.folder / "project" / "environment.json").write_text(json.dumps(environment))
    (project.folder / "project" / "__main__.py").write_text(ACCEPTED)


def test_a_site_is_measured_before_what_depends_on_it_is_made(project: Project) -> None:
    accepting(project)
    project.play("quiet", BROKEN)
    shown = project.pulumi("up", "--yes", "--skip-preview", fails=True)
    assert "gpu-01.clock" in shown
    assert "Traceback" not in shown
    assert "test:index:Serving" not in project.state()

    project.play("quiet", PRINTED)
    project.pulumi("up", "--yes", "--skip-preview")
    assert "test:index:Serving" in project.state()
    accepted = json.loads(project.pulumi("stack", "output", "siteEvidence", "--json"))["storage"]
    assert (accepted["accepted"], accepted["problems"]) == (True, [])
    shown = project.pulumi("preview", "--diff")
    assert "metal:Evidence" not in shown, shown

    accepting(project, kernel="6.11")
    shown = project.pulumi("preview")
    assert "versions.kernel: the evidence is of 6.8, but the lock has 6.11; run the acceptance again" in shown


DECLARED = """import pulumi
from fullbore.config import parse
from fullbore.plan import make_plan
from fullbore.stack import HybridStack

plan = make_plan(parse(pulumi.Config("fullbore").require_object("env")))
pulumi.export("hosts", HybridStack(plan.environment, plan).outputs["hosts"])
"""


def test_machines_that_are_set_up_already_are_imported(project: Project) -> None:
    accepting(project)
    given = json.loads((project.folder / "project" / "environment.json").read_text())
    site = {key: value for key, value in given["site"].items() if key not in ("acceptance", "max_failures")}
    given = {"name": "dev", "site": site}
    (project.folder / "project" / "__main__.py").write_text(DECLARED)
    settings = project.folder / "project" / "Pulumi.dev.yaml"
    settings.write_text(settings.read_text() + json.dumps({"config": {"fullbore:env": given}})[1:-1] + "\n")
    plan = make_plan(parse(given))
    assert plan.site is not None
    file = project.folder / "import.json"
    file.write_text(json.dumps(import_file(plan.environment, plan.site, (), existing_site=False)))
    take = ("import", "--file", str(file), "--yes", "--skip-preview", "--generate-code=false", "--protect=false")

    project.play("drift")
    shown = project.pulumi(*take)
    assert f"gpu-01: {ECN}: 2 -> 1" in shown
    assert "2 of 2 hosts read, none changed: " in shown
    assert "3 imported" in shown
    assert "warning" not in shown, "its inputs are such as the provider takes"

    shown = project.pulumi("preview")
    assert f"gpu-01: {ECN}: 2 -> 1" in shown
    assert "~ 1 to update" in shown
    assert not re.search(r"to (create|replace|delete)", shown), shown


PINNED = """import pulumi
from fullbore.provider.resources import Image

digest = "sha256:" + "0" * 64
pulumi.export("ref", Image("i", registry="registry.example", repository="r", digest=digest).ref)
"""


def test_the_engine_finds_the_plugin_through_this_repository_s_project_file(engine: Engine, tmp_path: Path) -> None:
    """Another program under the same Pulumi.yaml: nothing else here names a folder of the plugin."""
    project = Project(tmp_path, engine)
    for name in ("backend", "project/stacks"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "project" / "components").symlink_to(ROOT / "components")
    (tmp_path / "project" / "stacks" / "__main__.py").write_text(PINNED)
    file = tmp_path / "project" / "Pulumi.yaml"
    file.write_text((ROOT / "Pulumi.yaml").read_text())
    project.pulumi("stack", "init", "dev")
    assert f"registry.example/r@sha256:{'0' * 64}" in project.pulumi("preview")
    file.write_text(file.read_text().partition("plugins:")[0])
    assert "no resource plugin 'pulumi-resource-fullbore' found" in project.pulumi("preview", fails=True)


def test_the_engine_accepts_the_plugin_s_schema(engine: Engine, tmp_path: Path) -> None:
    project = Project(tmp_path, engine)
    (tmp_path / "project").mkdir()
    plugin = ROOT / "components" / "fullbore" / "provider" / "bin" / "pulumi-resource-fullbore"
    schema = json.loads(project.pulumi("package", "get-schema", str(plugin)))
    assert sorted(schema["resources"]) == [
        "fullbore:image:Image",
        "fullbore:metal:Evidence",
        "fullbore:metal:HostGroup",
    ]
    assert schema["types"]["fullbore:metal:Host"]["properties"]["port"]["type"] == "integer"
