"""Tables and problems on a terminal: colours where there is one, plain text in a pipe, `NO_COLOR` honoured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from fullbore.plan.checks.base import counted
from fullbore.plan.model import Plan
from fullbore.problems import Problem
from fullbore.report.section import Section
from fullbore.report.table import Role, Span, lines, wrapped

_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_ROLES: Mapping[Role, str] = {"head": "cyan", "sum": "bold", "cell": ""}
_YES_OR_NO = {"yes": "green", "no": "red"}
_TOLD: Mapping[str, Mapping[str, str]] = {
    "fits": {**_YES_OR_NO, "in part": "yellow"},
    "lossless": _YES_OR_NO,
    "congestion marked": _YES_OR_NO,
    "allowed": _YES_OR_NO,
    "as planned": {**_YES_OR_NO, "no answer": "red"},
    "verdict": {"not met": "yellow", "looser": "yellow", "met": "green", "agrees": "green"},
}
"""{column: {value: colour}} of values that are good or bad news."""
_PIPE_WIDTH = 160
"""Columns of a table that no terminal shows."""
_INDENT = 9
"""Blanks before the further lines of a problem: the width of its severity."""


def _console() -> Console:
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=_PIPE_WIDTH)


def show_problems(problems: Sequence[Problem]) -> None:
    """One line for each in a pipe; on a terminal broken at blanks, further lines below the path."""
    console = _console()
    for problem in problems:
        severity = Text(f"{problem.severity:<{_INDENT}}", style=_STYLES[problem.severity])
        told = Text.assemble((problem.path, "bold"), f": {problem.message} ", (f"({problem.rule})", "dim"))
        pieces = told.wrap(console, max(_INDENT, console.width - _INDENT)) if console.is_terminal else [told]
        for number, piece in enumerate(pieces):
            console.print(Text.assemble(" " * _INDENT if number else severity, piece))


def show_verdict(env: str, plan: Plan | None, problems: Sequence[Problem]) -> None:
    errors = sum(problem.severity == "error" for problem in problems)
    console = _console()
    verdict = Text(f"{env}: {counted(errors, 'error')}; nothing was touched", style="bold red")
    if plan and not errors:
        verdict = Text(f"{env}: ok; {_size(plan)}", style="green")
    if plan or errors:
        console.print(verdict, soft_wrap=not console.is_terminal)


def _size(plan: Plan) -> str:
    hosts = sum(len(group.hosts) for group in plan.site.groups) if plan.site else 0
    nodes = sum(group.max_nodes for group in plan.cloud.node_groups) if plan.cloud else 0
    replicas = plan.serving.replicas if plan.serving else 0
    sizes = (counted(hosts, "host"), f"up to {counted(nodes, 'cloud node')}", counted(replicas, "replica"))
    return f"{', '.join(sizes)}, about {plan.cost.total:.2f} US dollars an hour"


def show_sections(sections: Sequence[Section]) -> None:
    console = _console()
    for section in sections:
        console.print(Text(section.title, style="bold"))
        for line in lines(section, console.width):
            console.print(Text.assemble(*((span.text, _style(span)) for span in line)))
        for note in section.note.splitlines():
            for piece in wrapped(note, console.width):
                console.print(Text(piece, style="dim"))
        console.print()


def _style(span: Span) -> str:
    """Headers step back, sums stand out, and what is good or bad has a colour."""
    told = _TOLD.get(span.column, {}).get(span.text.strip(), "")
    return told if span.role == "cell" else _ROLES[span.role]
