"""What no resource of the cloud may be, whoever declared it: rules over types and properties. Pure."""

from fullbore.guard.checkov import CHECKOV, CHECKS, Covered
from fullbore.guard.judge import GUARDS, judge
from fullbore.guard.model import Guard, Registered
from fullbore.guard.waivers import WAIVERS, Waiver

__all__ = ["CHECKOV", "CHECKS", "GUARDS", "WAIVERS", "Covered", "Guard", "Registered", "Waiver", "judge"]
