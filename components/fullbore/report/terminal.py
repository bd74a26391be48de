"""Tables and problems on a terminal: colours where there is one, plain text in a pipe, `NO_COLOR` honoured."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fullbore.plan.checks.base import counted
from fullbore.plan.model import Plan
from fullbore.problems import Problem
from fullbore.report.section import Section

_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_PIPE_WIDTH = 160
"""Columns of a table that no terminal shows, so that a pipe gets whole lines."""


def _console() -> Console:
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=_PIPE_WIDTH)


def show_problems(problems: Sequence[Problem]) -> None:
    console = _console()
    for problem in problems:
        line = Text.assemble(
            (f"{problem.severity:<8}", _STYLES[problem.severity]),
            (problem.path, "bold"),
            f": {problem.message} ",
            (f"({problem.rule})", "dim"),
        )
        console.print(line)


def show_verdict(env: str, plan: Plan | None, problems: Sequence[Problem]) -> None:
    errors = sum(problem.severity == "error" for problem in problems)
    console = _console()
    if errors:
        console.print(Text(f"{env}: {counted(errors, 'error')}; nothing was touched", style="bold red"))
    elif plan:
        console.print(Text(f"{env}: ok; {_size(plan)}", style="green"))


def _size(plan: Plan) -> str:
    hosts = sum(len(group.hosts) for group in plan.site.groups) if plan.site else 0
    nodes = sum(group.max_nodes for group in plan.cloud.node_groups) if plan.cloud else 0
    replicas = plan.serving.replicas if plan.serving else 0
    sizes = (counted(hosts, "host"), f"up to {counted(nodes, 'cloud node')}", counted(replicas, "replica"))
    return f"{', '.join(sizes)}, about {plan.cost.total:.2f} US dollars an hour"


def show_sections(sections: Sequence[Section]) -> None:
    console = _console()
    for section in sections:
        console.print(_table(section), soft_wrap=False)
        if section.note:
            console.print(Text(section.note, style="dim"))
        console.print()


def _table(section: Section) -> Table:
    table = Table(title=section.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name, value in section.rows[0].items():
        table.add_column(name, justify="left" if isinstance(value, str) else "right", overflow="fold")
    for row in section.rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int | float) else value for value in row.values()))
    return table
