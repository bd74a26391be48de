"""Ansible's inventory, and the Site component's view of it."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from fullbore.declared import CONTENT, content_digest
from fullbore.inventory import host_settings, render, ssh_args
from fullbore.plan.hosts import HostContent
from fullbore.plan.model import GroupPlan, HostPlan, Setting, SitePlan
from fullbore.site import REPOSITORY, summary

KEY = "ssh-ed25519 AAAAC3Nza"


def host(name: str) -> HostPlan:
    return HostPlan(name=name, serial=f"SN-{name}", address="10.0.0.1", port=2222, host_key=KEY)


GPU = GroupPlan(
    name="gpu-a",
    kind="gpu",
    rack="r-01",
    roles=("baseline", "rdma"),
    hosts=(host("gpu-01"),),
    max_failures=0,
    settings=(Setting(id="sysctl.a", role="baseline", want="1"),),
    document={"version": 1},
)
DISK = replace(GPU, name="disk", kind="storage", rack="r02", roles=("baseline",), hosts=(host("nvme-01"),))
SITE = SitePlan(name="lab", ssh_user="admin", ssh_private_key_file="/k", groups=(GPU, DISK), agent_port=9101)


def test_groups_by_role_kind_rack_and_name() -> None:
    inventory: dict[str, Any] = render(SITE)
    hosts = {name: group["hosts"] for name, group in inventory.items() if name not in ("_meta", "all")}
    assert hosts == {
        "baseline": ["gpu-01", "nvme-01"],
        "rdma": ["gpu-01"],
        "gpu": ["gpu-01"],
        "storage": ["nvme-01"],
        "rack_r_01": ["gpu-01"],
        "rack_r02": ["nvme-01"],
        "group_gpu_a": ["gpu-01"],
        "group_disk": ["nvme-01"],
    }
    assert inventory["all"] == {"children": sorted(hosts)}


def hostvars(site: SitePlan) -> dict[str, dict[str, Any]]:
    meta: Any = render(site)["_meta"]
    return meta["hostvars"]


def test_a_hosts_variables_say_how_it_is_reached_and_what_it_must_hold() -> None:
    variables = hostvars(SITE)["gpu-01"]
    reached = [variables[f"ansible_{name}"] for name in ("host", "port", "user")]
    assert reached == ["10.0.0.1", 2222, "admin"]
    text = variables["fullbore_document_text"]
    checksum = hashlib.sha256(text.encode()).hexdigest()
    assert variables["fullbore_settings"] == [
        {"id": "sysctl.a", "role": "baseline", "want": "1", "reboot": False},
        {"id": "file./etc/fullbore/plan.json", "role": "node_agent", "want": checksum, "reboot": False},
    ]
    assert json.loads(text)["host"] == "gpu-01"


def test_only_the_planned_host_key_is_accepted() -> None:
    options = dict(option.split("=", 1) for option in shlex.split(ssh_args(KEY)) if option != "-o")
    assert options["StrictHostKeyChecking"] == "yes"
    assert options["KnownHostsCommand"] == f"/bin/echo %H {KEY}"
    assert int(options["ServerAliveInterval"]) * int(options["ServerAliveCountMax"]) == 60
    assert options["UserKnownHostsFile"] == options["GlobalKnownHostsFile"] == "/dev/null"


def test_the_summary_names_hosts_that_did_not_converge() -> None:
    told = summary(
        SITE, {"gpu-a": {"gpu-01": "unreachable"}, "disk": {}}, {"gpu-a": None, "disk": {"nvme-01": "later"}}
    )
    assert (told["gpu-01"]["failed"], told["gpu-01"]["pending"]) == ("unreachable", None)
    own = {"group": "disk", "rack": "r02", "serial": "SN-nvme-01"}
    assert told["nvme-01"] == {**own, "failed": None, "pending": "later"}


def test_the_content_digest_follows_roles_and_agent_and_nothing_else(tmp_path: Path) -> None:
    def put(path: str, text: str) -> str:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        return content_digest(tmp_path)

    first = put("ansible/site.yml", "a")
    second = put("images/agent/fullbore_agent/a.py", "a")
    assert first != second
    for path in ("molecule/default/x.yml", ".ruff_cache/x", "ruff.toml", "roles/a/tasks/.main.yml.swp"):
        assert put(f"ansible/{path}", "a") == second
    assert put("images/agent/fullbore_agent/__pycache__/a.pyc", "a") == second
    assert put("ansible/site.yml", "b") != second


def test_everything_that_the_digest_covers_is_there() -> None:
    assert [name for name in CONTENT if not (REPOSITORY / name).exists()] == []


READS_ONLY = {"evidence.yml", "facts.yml", "reboot.yml"}
"""Playbooks that leave a host's settings alone."""
TOOLING = {".ansible-lint", ".yamllint", "ansible.cfg", "inventory.py", "molecule", "ruff.toml"}


def test_everything_beside_them_is_known_not_to_change_a_host() -> None:
    tracked = subprocess.run(["git", "ls-files", "ansible"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    entries = {path.split("/")[1] for path in tracked.stdout.split()}
    covered = {name.removeprefix("ansible/") for name in CONTENT if name.startswith("ansible/")}
    assert entries == covered | READS_ONLY | TOOLING


def test_a_file_that_a_role_copies_is_a_setting_of_the_hosts_that_have_its_unit() -> None:
    unit = Setting(id="unit.fullbore-fabric.service", role="roce", want="enabled,active")
    copied = host_settings(HostContent(settings=(unit,), document_text=""))[1:]
    assert [(setting.id, setting.role) for setting in copied] == [
        ("file./etc/systemd/system/fullbore-fabric.service", "roce"),
        ("file./etc/udev/rules.d/90-fullbore-fabric.rules", "roce"),
    ]
    rule = REPOSITORY / "ansible/roles/roce/files/90-fullbore-fabric.rules"
    assert copied[1].want == hashlib.sha256(rule.read_bytes()).hexdigest()
    assert host_settings(HostContent(settings=GPU.settings, document_text="")) == GPU.settings
