"""Which tasks of the role that joins a cluster run, by what the host is found to be. Nothing is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

TASKS = Path(__file__).parents[3] / "ansible" / "roles" / "kubernetes" / "tasks"
CONFIG = {"path": "/etc/kubernetes/kubelet.conf.d/90-fullbore.conf", "role": "kubernetes", "text": "{}"}
ARGUMENTS = {"path": "/etc/default/kubelet", "role": "kubernetes", "text": "KUBELET_EXTRA_ARGS="}
PREFLIGHT = "Refuse to change a node while something runs on its GPUs"
REFUSE = "Refuse while something runs on the GPUs"
WRITE = "Write the kubelet's configuration"
RESET = "Undo what a join left that did not end"
REMOVE = "Remove what a killed run brought to join with"


def tasks(name: str) -> list[dict[str, Any]]:
    return DataLoader().load_from_file(str(TASKS / name), trusted_as_template=True)


def conditions(task: Mapping[str, Any]) -> list[Any]:
    """Those of `when`; none of a task that always runs."""
    when = task.get("when", [])
    return when if isinstance(when, list) else [when]


def walked(found: Mapping[str, Any], name: str = "install.yml") -> Iterator[dict[str, Any]]:
    """The tasks of a file that run, and of those that it includes."""
    templar = Templar(loader=DataLoader(), variables=dict(found))
    for task in (each for outer in tasks(name) for each in outer.get("block", [outer])):
        if all(templar.evaluate_conditional(each) for each in conditions(task)):
            yield task
            if "ansible.builtin.include_tasks" in task:
                yield from walked(found, task["ansible.builtin.include_tasks"])


def names(found: Mapping[str, Any]) -> list[str]:
    return [task["name"] for name in ("install.yml", "configure.yml") for task in walked(found, name)]


def host(*, member: bool, changes: str = "", packages: bool = False, interrupted: bool = False) -> dict[str, Any]:
    """What the role finds where the content of the file at `changes` is to become another."""
    had = "" if changes == CONFIG["path"] else sha256(CONFIG["text"].encode()).hexdigest()
    files = [{"item": file, "changed": file["path"] == changes} for file in (CONFIG, ARGUMENTS)]
    return {
        "ansible_check_mode": False,
        "kubernetes_member": {"stat": {"exists": member}},
        "kubernetes_had": {"results": [{"item": CONFIG, "stat": {"checksum": had} if had else {"exists": False}}]},
        "kubernetes_files": {"results": files, "changed": bool(changes)},
        "kubernetes_packages": {"changed": packages},
        "fullbore_interrupted": ["kubernetes"] if interrupted else [],
    }


def test_a_token_that_a_killed_run_left_goes_from_nodes_too() -> None:
    first = next(walked(host(member=True)))
    assert (first["name"], first["ansible.builtin.file"]["state"]) == (REMOVE, "absent")
    assert set(first["loop"]) == {"/run/fullbore/join.conf", "/run/fullbore/join.yaml"}


@pytest.mark.parametrize(
    ("found", "refuses", "restarts"),
    [
        (host(member=True), False, False),
        (host(member=True, changes=CONFIG["path"]), True, True),
        (host(member=True, changes=ARGUMENTS["path"]), False, False),  # labels and taints: for joining alone
        (host(member=True, packages=True), False, True),  # refused by what installs them
        (host(member=True, interrupted=True), False, True),
        (host(member=False, changes=CONFIG["path"]), False, False),
    ],
)
def test_a_node_in_use_is_refused_before_anything_is_written(
    found: dict[str, Any], refuses: bool, restarts: bool
) -> None:
    ran = names(found)
    assert (PREFLIGHT in ran, REFUSE in ran) == (refuses, restarts)
    assert not refuses or ran.index(PREFLIGHT) < ran.index(WRITE)


def test_packages_of_a_node_in_use_are_refused() -> None:
    (packages,) = (task for task in tasks("install.yml") if "fullbore_packages" in task)
    assert packages["fullbore_packages"]["idle_gpus"] == "{{ kubernetes_member.stat.exists }}"


def test_what_a_join_left_that_did_not_end_is_undone_before_the_next_one() -> None:
    again = names(host(member=False, interrupted=True))
    assert again.index(RESET) + 1 == again.index("Join")
    assert RESET not in names(host(member=False))
    assert RESET not in names(host(member=True, interrupted=True))


def test_a_discovery_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The copy after it hides its output."""
    (check,) = (task for task in tasks("join.yml") if "discovery file is there" in task["name"])
    (tmp_path / "join").write_text("")
    met = [
        Templar(loader=DataLoader(), variables={"fullbore_join": {"file": str(file)}}).evaluate_conditional(
            check["ansible.builtin.assert"]["that"]
        )
        for file in (tmp_path / "join", tmp_path / "other", tmp_path)
    ]
    assert met == [True, False, False]
    assert "{{ fullbore_join.file }}" in check["ansible.builtin.assert"]["fail_msg"]
