"""The command `fullbore`: asks the plan and the machines' BMCs. `power` alone changes anything.

Exit codes: 0 nothing of severity error, 2 something is (or the command line is wrong), 1 an unexpected failure.
Results go to stdout, everything else to stderr. Imports are made where they are used, to keep `--help` quick.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from fullbore.output import ending_with_the_reader
from fullbore.problems import ConfigError

if TYPE_CHECKING:
    from fullbore.config import Environment
    from fullbore.plan import Plan
    from fullbore.problems import Problem

EXIT_UNEXPECTED = 1
EXIT_PROBLEMS = 2

# Without markup, help needs neither rich's Markdown nor its tracebacks, which take longer to import than all else.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

Env = Annotated[
    str, typer.Argument(metavar="ENV|FILE", help="name of an environment (stacks/Pulumi.ENV.yaml), or a file")
]
Action = Literal["on", "off", "cycle", "status"]
Device = Literal["pxe", "disk"]
Json = Annotated[bool, typer.Option("--json", help="print one JSON document")]


@app.callback()
def fullbore() -> None:
    """Full-strength LLM serving on hybrid GPU fleets: look at what an environment would be."""


@app.command()
def check(env: Env, as_json: Json = False) -> None:
    """Find everything that is wrong with an environment, before any machine is touched."""
    from fullbore.plan import make_plan

    plan = None
    try:
        environment, document = _load(env)
        # Without what a running sandbox chose: `scripts/up` checks first, and may be about to start another host.
        plan = make_plan(environment, None)
        problems = tuple(sorted((*plan.problems, *_secrets(environment, document))))
    except ConfigError as error:
        problems = error.problems
    _show_check(env, plan, problems, as_json)
    raise typer.Exit(EXIT_PROBLEMS if _errors(problems) else 0)


@app.command()
def explain(env: Env, as_json: Json = False) -> None:
    """Tell the plan in words and figures: fit, layout, capacity, recovery, cost."""
    from fullbore.report.explain import explain as sections_of
    from fullbore.report.terminal import show_problems, show_sections

    environment, _ = _load(env)
    plan = _plan(environment)
    sections = sections_of(environment, plan)
    if as_json:
        from fullbore.report.document import problem_documents

        figures = {section.title: [dict(row) for row in section.rows] for section in sections}
        _print_json({"environment": plan.environment, **figures, "problems": problem_documents(plan.problems)})
    else:
        show_sections(sections)
        show_problems(plan.problems)
    raise typer.Exit(EXIT_PROBLEMS if _errors(plan.problems) else 0)


@app.command()
def refresh(
    env: Env,
    on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="day that ages are counted on; today if left out")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell how old the machines are, and which are to be replaced when (bought, cost.refresh_years)."""
    from fullbore.report.refresh import refresh as ages
    from fullbore.report.terminal import show_sections

    environment, _ = _load(env)
    plan = _plan(environment)
    if _errors(plan.problems):
        _refuse(plan.problems)
    section = ages(environment, plan, (on or datetime.now(UTC)).date())
    if as_json:
        _print_json({"environment": plan.environment, section.title: [dict(row) for row in section.rows]})
    else:
        show_sections([section])


@app.command()
def inventory(env: Env) -> None:
    """Print Ansible's dynamic inventory of the site as JSON."""
    from fullbore.inventory import render

    environment, _ = _load(env)
    plan = _plan(environment)
    if _errors(plan.problems):
        _refuse(plan.problems)
    _print_json(render(plan.site) if plan.site else {"_meta": {"hostvars": {}}})


@app.command()
def imports(
    env: Env,
    group: Annotated[list[str] | None, typer.Option(help="host group to import; all of them if left out")] = None,
    existing_site: Annotated[
        bool, typer.Option("--existing-site", help="the stack has a site already, with other groups")
    ] = False,
) -> None:
    """Print the file by which `pulumi import --file` takes over machines that are set up already."""
    from fullbore.declared import import_file

    environment, _ = _load(env)
    plan = _plan(environment)
    if _errors(plan.problems):
        _refuse(plan.problems)
    if plan.site is None:
        _stop("site: the environment has no machines to import")
    known = [each.name for each in plan.site.groups]
    for name in group or ():
        if name not in known:
            _stop(f"--group: got {name}, but the groups of {plan.environment} are {', '.join(known)}")
    _print_json(import_file(plan.environment, plan.site, group or (), existing_site))


@app.command()
def switch(
    env: Env,
    system: Annotated[
        str,
        typer.Option(help="operating system of the switches: cumulus, onyx, sonic or eos; the profile's if left out"),
    ] = "",
) -> None:
    """Print the settings of switch ports that the plan of a RoCE fabric assumes, for whoever runs the network."""
    from fullbore.catalog.switches import SWITCH_SYSTEMS
    from fullbore.render.switch import switch_text, system_of

    environment, _ = _load(env)
    plan = _plan(environment)
    port = plan.site.fabric.port if plan.site and plan.site.fabric else None
    if _errors(plan.problems):
        _refuse(plan.problems)
    if plan.site is None or port is None:
        _stop("site.fabric: switch settings are those of a RoCE fabric, which this environment does not have")
    chosen = system or system_of(port.profile)
    if chosen not in SWITCH_SYSTEMS:
        known = ", ".join(SWITCH_SYSTEMS)
        _stop(f"--system: got {chosen or 'none, and no profile that says it'}; one of {known} is known")
    print(switch_text(plan.site, chosen), end="")


@app.command()
def discover(
    env: Env,
    addresses: Annotated[
        str,
        typer.Option("--range", help="BMCs that no host names, e.g. 192.0.2.0/28: print rows of hosts for them"),
    ] = "",
    group: Annotated[str, typer.Option(help="group whose account is used with --range; site.bmc if left out")] = "",
    as_json: Json = False,
) -> None:
    """Read the machines through their BMCs, and tell how they differ from what is planned; or find unlisted ones."""
    from fullbore.machines import discover as machines

    environment, document = _load(env)
    secret = _opened(environment, document)
    if addresses:
        good = machines.find(environment, addresses, group, secret, as_json=as_json)
    else:
        good = machines.discover(environment, secret, as_json=as_json)
    raise typer.Exit(0 if good else EXIT_PROBLEMS)


@app.command()
def power(
    env: Env,
    host: Annotated[str, typer.Argument(help="name of a host that has a bmc")],
    action: Annotated[Action, typer.Argument(help="what to do; cycle is off and on again")],
    boot: Annotated[
        Device | None, typer.Option(help="what it boots from at its next start, and only then (with on and cycle)")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="cut the power, in place of a shutdown by its system")] = False,
    drain: Annotated[bool, typer.Option("--drain", help="drain it before, inside the maintenance window")] = False,
    serving: Annotated[bool, typer.Option("--even-if-serving", help="switch it off although it may serve")] = False,
    limit_s: Annotated[int, typer.Option(min=1, help="longest wait for each state of power, seconds")] = 600,
    as_json: Json = False,
) -> None:
    """Switch a machine through its BMC, and wait until it is done. A machine that serves stays on."""
    from fullbore.machines.power import Order
    from fullbore.machines.power import power as switched

    environment, document = _load(env)
    order = Order(action=action, boot=boot, force=force, drain=drain, even_if_serving=serving, limit_s=limit_s)
    switched(environment, _plan(environment), host, order, _opened(environment, document), as_json=as_json)


@app.command()
def schema() -> None:
    """Print the JSON schema of a stack file, which editors use."""
    from fullbore.report.reference import stack_file_schema

    _print_json(stack_file_schema())


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: bad input and unexpected failures end in one clear line and an exit code, never in a traceback."""
    gc.disable()  # A command ends soon; looking again and again through a large plan would take half of its time.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name of the file may have letters that the terminal has not
            stream.reconfigure(errors="backslashreplace")
    try:
        with ending_with_the_reader():
            app(args=list(arguments) if arguments is not None else None, prog_name="fullbore")
    except ConfigError as error:
        _refuse(error.problems)
    except Exception as error:
        if os.environ.get("FULLBORE_DEBUG"):
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        print(f"fullbore: unexpected failure: {reason}; set FULLBORE_DEBUG=1 to see where", file=sys.stderr)
        sys.exit(EXIT_UNEXPECTED)
    finally:
        gc.enable()


def _load(env: str) -> tuple[Environment, Mapping[object, object]]:
    """The environment, and all of the file that it is in. Raises ConfigError."""
    from fullbore.config import find_file, repository_root
    from fullbore.config.load import load_both

    return load_both(find_file(env, repository_root(Path.cwd())))


def _plan(environment: Environment) -> Plan:
    """The plan, with what a running sandbox of this checkout chose. Raises ConfigError."""
    from fullbore.config import load_endpoints, repository_root
    from fullbore.plan import make_plan

    chosen = repository_root(Path.cwd()) / ".fullbore" / "sandbox" / "endpoints.json"
    return make_plan(environment, load_endpoints(chosen) if environment.sandbox else None)


def _secrets(environment: Environment, document: Mapping[object, object]) -> tuple[Problem, ...]:
    from fullbore.config.passphrase import passphrase_problems

    return passphrase_problems(document, os.environ, environment.sandbox is not None, environment.name)


def _opened(environment: Environment, document: Mapping[object, object]) -> Callable[[tuple[str, ...]], str | None]:
    """Opens an encrypted field of the environment with the passphrase at hand."""
    from fullbore.config.passphrase import opened

    @cache  # hosts share a password, and its key takes a third of a second
    def secret(field: tuple[str, ...]) -> str | None:
        return opened(document, field, os.environ, environment.sandbox is not None)

    return secret


def _errors(problems: Sequence[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def _show_check(env: str, plan: Plan | None, problems: Sequence[Problem], as_json: bool) -> None:
    from fullbore.report.document import plan_document, problem_documents
    from fullbore.report.terminal import show_problems, show_verdict

    if as_json:
        document = plan_document(plan) if plan else None
        _print_json({"ok": not _errors(problems), "problems": problem_documents(problems), "plan": document})
        return
    show_problems(problems)
    show_verdict(env.strip() or "ENV", plan, problems)


def _refuse(problems: Sequence[Problem]) -> NoReturn:
    for problem in problems:
        print(f"{problem.severity}: {problem}", file=sys.stderr)
    sys.exit(EXIT_PROBLEMS)


def _stop(message: str) -> NoReturn:
    print(f"fullbore: {message}", file=sys.stderr)
    sys.exit(EXIT_PROBLEMS)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
