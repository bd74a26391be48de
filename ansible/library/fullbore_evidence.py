#!/usr/bin/python
"""Runs the checks of an acceptance on a host and returns what the tools print."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fullbore_evidence
short_description: Run the checks of an acceptance and return what the tools print
version_added: "0.1.0"
description:
  - Runs each check and returns its output, whatever the tool's exit status; judges nothing.
  - Refuses a host on whose GPUs something runs.
  - Changes nothing, but loads the host; check mode runs nothing.
options:
  checks:
    description: The checks, each with C(name), C(argv) and C(timeout_s).
    type: list
    elements: dict
    required: true
  gpus:
    description: Whether the host has GPUs, so that it must be looked whether they are free.
    type: bool
    default: false
author:
  - Fullbore (@fullbore)
"""

EXAMPLES = r"""
- name: Run the checks
  fullbore_evidence:
    checks:
      - name: chronyc tracking
        argv: [chronyc, tracking]
        timeout_s: 30
"""

RETURN = r"""
outputs:
  description: What each tool printed, by name of the check.
  type: dict
  returned: always
missing:
  description: Why a check did not run, by its name.
  type: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fullbore_agent.acceptance import (  # pyright: ignore[reportMissingImports]
    Busy,
    run_checks,
)
from ansible.module_utils.fullbore_agent.system import System  # pyright: ignore[reportMissingImports]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "checks": {"type": "list", "elements": "dict", "required": True},
            "gpus": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, outputs={}, missing={})
    try:
        outputs, missing = run_checks(System(), module.params["checks"], module.params["gpus"])
    except Busy as error:
        module.fail_json(msg=f"{error}; drain the host, then run the acceptance again")
    module.exit_json(changed=False, outputs=outputs, missing=missing)


if __name__ == "__main__":
    main()
