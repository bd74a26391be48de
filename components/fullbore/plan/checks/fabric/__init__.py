"""Rules about the fabric: do marks, priorities and queues agree from runtime to switch, and do the links suffice."""

from fullbore.plan.checks.base import Rule
from fullbore.plan.checks.fabric import agreement, congestion, devices, lossless, rate, settings

RULES: tuple[Rule, ...] = (
    *settings.RULES,
    *lossless.RULES,
    *congestion.RULES,
    *agreement.RULES,
    *devices.RULES,
    *rate.RULES,
)
