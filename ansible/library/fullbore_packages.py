#!/usr/bin/python
"""Installs a role's packages at the planned versions and holds them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fullbore_packages
short_description: Install a role's packages at the planned versions and hold them
version_added: "0.1.0"
description:
  - Installs the settings C(package.NAME) that differ, all in one transaction of C(apt-get), and holds them, so that
    nothing else upgrades them. The newest version of the wanted release that apt's sources have is taken.
  - Finishes first what a killed run left half-configured.
options:
  settings:
    description: The settings, each with C(id), C(role) and C(want).
    type: list
    elements: dict
    required: true
  role:
    description: The role whose packages are installed.
    type: str
    required: true
  idle_gpus:
    description: Refuse to change anything while something runs on the host's GPUs.
    type: bool
    default: false
author:
  - Fullbore (@fullbore)
"""

EXAMPLES = r"""
- name: Install the driver
  fullbore_packages:
    settings: "{{ fullbore_settings }}"
    role: gpu_driver
    idle_gpus: true
"""

RETURN = r"""
packages:
  description: Names of what was installed, or in check mode would be.
  type: list
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fullbore_agent.packages import install  # pyright: ignore[reportMissingImports]
from ansible.module_utils.fullbore_agent.system import System, ToolError  # pyright: ignore[reportMissingImports]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "settings": {"type": "list", "elements": "dict", "required": True},
            "role": {"type": "str", "required": True},
            "idle_gpus": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    settings = [s for s in module.params["settings"] if s["role"] == module.params["role"]]
    try:
        changes = install(System(), settings, check=module.check_mode, idle_gpus=module.params["idle_gpus"])
    except ToolError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(changes),
        packages=[name for name, _, _ in changes],
        diff={
            "before": "".join(f"package.{name} = {had}\n" for name, had, _ in changes),
            "after": "".join(f"package.{name} = {want}\n" for name, _, want in changes),
        },
    )


if __name__ == "__main__":
    main()
