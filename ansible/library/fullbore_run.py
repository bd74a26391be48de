#!/usr/bin/python
"""Locks a host for one run and journals what the run does."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fullbore_run
short_description: Lock a host for one run and journal what the run does
version_added: "0.1.0"
description:
  - C(start) takes the host's lock, or fails naming who holds it; C(end) gives it back.
  - C(begin) and C(finish) write a role's line in the journal; a role that began and did not finish is repeated by
    the next run.
  - The action plugin of the same name fills in I(run) and I(holder), and takes over from a run of the same
    controller whose process is gone.
  - Does nothing in check mode.
options:
  event:
    description: What happens.
    type: str
    required: true
    choices: [start, begin, finish, end]
  role:
    description: The role that begins or finishes.
    type: str
  run:
    description: Identity of the run.
    type: str
  holder:
    description: Who runs, in words.
    type: str
  dead:
    description: A run that is known to be gone, whose lock may be taken.
    type: str
  stale_after_s:
    description: Seconds without a sign of life after which a lock is taken over, whoever holds it.
    type: int
    default: 3600
author:
  - Fullbore (@fullbore)
"""

EXAMPLES = r"""
- name: Lock the host
  fullbore_run:
    event: start
"""

RETURN = r"""
held_by:
  description: The run that holds the lock, where it is another's.
  type: dict
  returned: on failure
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fullbore_agent.journal import (  # pyright: ignore[reportMissingImports]
    Journal,
    Lock,
    Locked,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "event": {"type": "str", "required": True, "choices": ["start", "begin", "finish", "end"]},
            "role": {"type": "str"},
            "run": {"type": "str"},
            "holder": {"type": "str"},
            "dead": {"type": "str"},
            "stale_after_s": {"type": "int", "default": 3600},
        },
        required_if=[("event", "begin", ["role"]), ("event", "finish", ["role"])],
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False)
    try:
        record(module.params)
    except Locked as error:
        module.fail_json(msg=str(error), held_by=error.held_by)
    # A lock and a journal are bookkeeping of the run itself, not a change to what the host is.
    module.exit_json(changed=False)


def record(params: dict) -> None:
    """Carry out one event. Raises Locked where another run holds the host."""
    lock = Lock(params["run"], params["holder"], stale_after_s=params["stale_after_s"])
    if params["event"] == "end":
        lock.release()
        return
    lock.hold(dead=params["dead"])
    if params["role"]:
        Journal().write(params["run"], params["role"], params["event"])


if __name__ == "__main__":
    main()
