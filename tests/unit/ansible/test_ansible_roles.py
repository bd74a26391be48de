"""The form of roles, plays and plugins, without running them."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import jinja2
import pytest
import yaml
from ansible.parsing.dataloader import DataLoader

from fullbore.catalog.host_profiles import ROLES
from fullbore.config import load_file
from fullbore.plan import make_plan

ROOT = Path(__file__).parents[3]
ANSIBLE = ROOT / "ansible"
AGENT = ROOT / "images" / "agent" / "fullbore_agent"
MODULES = {path.stem for path in (ANSIBLE / "library").glob("*.py")}
PHASES = ["Validate", "Install", "Configure", "Verify"]


def load(path: Path) -> object:
    return DataLoader().load_from_file(str(path))


def plugin(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"plugin_{Path(path).stem}", ANSIBLE / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_a_role_for_every_role_of_the_plan_and_no_other() -> None:
    assert {path.name for path in (ANSIBLE / "roles").iterdir()} == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_a_signature_and_is_a_table_of_contents(role: str) -> None:
    folder = ANSIBLE / "roles" / role
    spec = yaml.safe_load((folder / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]
    assert spec["short_description"]
    used = set(re.findall(r"\bfullbore_\w+", "".join(_texts(folder)))) - MODULES
    assert used == set(spec["options"])
    phases = [task["name"] for task in yaml.safe_load((folder / "tasks" / "main.yml").read_text())]
    assert phases == [phase for phase in PHASES if phase in phases]
    assert {"Validate", "Configure", "Verify"} <= set(phases)


def _texts(folder: Path) -> list[str]:
    files = (path for part in ("tasks", "templates") for path in (folder / part).rglob("*"))
    return [path.read_text() for path in files if path.is_file()]


def test_every_file_that_the_plan_decides_is_taken_back_or_said_to_stay() -> None:
    play = (ROOT / "components/fullbore/provider/plays/release.yml").read_text()
    about = " ".join(line.removeprefix("# ") for line in play.splitlines() if line.startswith("#"))
    (removed,) = re.findall(r"Remove what was installed\n.*?loop: >-\n(.*?)\n\n", play, re.DOTALL)
    site = make_plan(load_file(ROOT / "stacks" / "Pulumi.prod.yaml")).site
    paths = {file.path for group in (site.groups if site else ()) for file in group.files}
    stay = {path for path in paths if path not in removed}
    assert len(paths) > len(stay) > 1
    assert [path for path in stay if not re.search(rf"{path}|{Path(path).parents[1]},", about)] == []


def test_modules_find_the_agents_code_where_ansible_looks() -> None:
    for path in (ANSIBLE / "module_utils" / "fullbore_agent").glob("*.py"):
        assert path.read_bytes() == (AGENT / path.name).read_bytes()


def test_what_goes_to_bare_hosts_needs_the_standard_library_alone() -> None:
    for path in (ANSIBLE / "module_utils" / "fullbore_agent").glob("*.py"):
        assert not re.search(r"^(from|import) (prometheus|pynvml|yaml|pydantic)", path.read_text(), re.MULTILINE)


def test_what_modules_import_of_the_agent_goes_with_them() -> None:
    """Ansible sends what `module_utils` holds, and a missing file shows on the first host only."""
    sources = [path.read_text() for path in (ANSIBLE / "library").glob("*.py")]
    named = {name for text in sources for name in re.findall(r"module_utils\.fullbore_agent\.(\w+)", text)}
    assert named
    assert [name for name in named if not (ANSIBLE / "module_utils" / "fullbore_agent" / f"{name}.py").exists()] == []


def test_a_task_that_has_a_limit_of_its_own_is_not_ended_before() -> None:
    """`task_timeout` of ansible.cfg would end it, and is shorter than what may be asked for."""
    checks = [{"timeout_s": 2700}, {"timeout_s": 600}]
    (reboot,) = yaml.safe_load((ANSIBLE / "reboot.yml").read_text())[0]["tasks"]
    (evidence,) = yaml.safe_load((ANSIBLE / "evidence.yml").read_text())[0]["tasks"]
    limits = (reboot["block"][1].get("timeout", "900"), evidence.get("timeout", "900"))
    told = [
        int(jinja2.Template(limit).render(fullbore_return_limit_s=1800, fullbore_checks=checks)) for limit in limits
    ]
    assert told[0] > 2 * 1800, "it may wait so long twice"
    assert told[1] > 3300


PLAYS = ("ansible/site.yml", "ansible/facts.yml", "ansible/evidence.yml", "ansible/reboot.yml")


def test_the_plays_parse() -> None:
    argv = ["ansible-playbook", "--syntax-check", "-i", "localhost,", *PLAYS]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(argv, cwd=ANSIBLE.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_live_process_is_not_dead_and_one_that_ended_is() -> None:
    run = plugin("action_plugins/fullbore_run.py")
    child = subprocess.Popen(["sleep", "60"])
    try:
        here = f"{run.boot_id()}:{run.pid_namespace()}"
        identity = f"{here}:{child.pid}:{run.start_time(child.pid)}"
        assert not run.is_dead(identity)
        assert run.is_dead(f"{here}:{child.pid}:1"), "another process has its number now"
    finally:
        child.kill()
    child.wait()
    assert run.is_dead(identity)


def test_nothing_is_known_of_another_machines_run() -> None:
    assert not plugin("action_plugins/fullbore_run.py").is_dead("another-boot:1:1")


def test_a_run_names_its_pid_namespace() -> None:
    run = plugin("action_plugins/fullbore_run.py")
    assert str(Path("/proc/self/ns/pid").readlink()) == f"pid:[{run.pid_namespace()}]"
    assert run.this_run().startswith(f"{run.boot_id()}:{run.pid_namespace()}:{os.getppid()}:")


def test_nothing_is_known_of_a_run_in_another_container_of_this_machine() -> None:
    """Its number means another process here, or none."""
    run = plugin("action_plugins/fullbore_run.py")
    assert not run.is_dead(f"{run.boot_id()}:{run.pid_namespace() + 1}:{os.getpid()}:1")
    assert not run.is_dead(f"{run.boot_id()}:{os.getpid()}:1"), "a run of an earlier version does not say where it is"
