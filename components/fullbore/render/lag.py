"""What images/lag reads: the plan of the replication's lag, with the task's ARN in place of its name."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from fullbore.plan.model import LagPlan

LAG_PORT = 9751
LAG_FILE = "lag.json"


def lag_document(plan: LagPlan, task_arn: str) -> str:
    """The file's text. Where S3 itself copies there is no task, and `task_arn` is empty."""
    return json.dumps(asdict(replace(plan, task=task_arn)), sort_keys=True)
