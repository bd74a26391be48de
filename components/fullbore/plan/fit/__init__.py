"""Does the model fit, how is it split best, how fast is it then, and what would make a misfit fit."""

from fullbore.plan.fit.latency import Speed, link_rate, most_tokens_per_s, speed
from fullbore.plan.fit.layout import Illegal, Layout, illegal
from fullbore.plan.fit.memory import GIB, Engine, Fit, RankMemory, fit
from fullbore.plan.fit.parts import active_parameters, parameters
from fullbore.plan.fit.repair import Change, Enough, changes, pairs, runs
from fullbore.plan.fit.search import Aim, Candidate, candidate, candidates, ranked

__all__ = [
    "GIB",
    "Aim",
    "Candidate",
    "Change",
    "Engine",
    "Enough",
    "Fit",
    "Illegal",
    "Layout",
    "RankMemory",
    "Speed",
    "active_parameters",
    "candidate",
    "candidates",
    "changes",
    "fit",
    "illegal",
    "link_rate",
    "most_tokens_per_s",
    "pairs",
    "parameters",
    "ranked",
    "runs",
    "speed",
]
