"""One direction: config -> plan -> components -> resources. Imports are parsed, never run."""

import ast
import functools
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
COMPONENTS = ROOT / "components"
SANDBOX = COMPONENTS / "fullbore_sandbox"
CLIENTS = {"pulumi", "pulumi_aws", "pulumi_kubernetes", "ansible", "ansible_runner", "boto3", "botocore", "kubernetes"}
CLIENTS |= {"grpc", "requests", "httpx", "moto", "sushy"}

FORBIDDEN: dict[str, set[str]] = {
    "fullbore.problems": {"fullbore", *CLIENTS},
    "fullbore.waves": {"fullbore", *CLIENTS},
    "fullbore.catalog": {"fullbore.config", "fullbore.plan", "fullbore.report", "fullbore.provider", *CLIENTS},
    "fullbore.config": {"fullbore.plan", "fullbore.catalog", "fullbore.report", "fullbore.provider", *CLIENTS},
    "fullbore.plan": {"fullbore.report", "fullbore.provider", "fullbore.inventory", "fullbore.stack", *CLIENTS},
    "fullbore.evidence": {"fullbore.config", "fullbore.provider", "fullbore.report", "fullbore.stack", *CLIENTS},
    "fullbore.guard": {"fullbore.config", "fullbore.plan", "fullbore.provider", "fullbore.report", *CLIENTS},
    "fullbore.bmc": {"fullbore.provider", "fullbore.report", "fullbore.stack", *(CLIENTS - {"requests", "sushy"})},
    "fullbore.inventory": {"fullbore.config", "fullbore.provider", "fullbore.report", *CLIENTS},
    "fullbore.declared": {"fullbore.config", "fullbore.provider", "fullbore.report", *CLIENTS},
    "fullbore.report": {"fullbore.provider", "fullbore.stack", *CLIENTS},
    "fullbore.cli": {"fullbore.provider", "fullbore.stack", *CLIENTS},
    "fullbore": {"fullbore_sandbox", "fullbore_runtime", "fullbore_agent", "fullbore_lag"},
    "fullbore_runtime": {"fullbore", "fullbore_sandbox", "pulumi"},
    "fullbore_agent": {"fullbore", "fullbore_sandbox", "pulumi"},
    "fullbore_lag": {"fullbore", "fullbore_sandbox", "pulumi"},
}
"""What a module or package, and all below it, must not import (a name forbids everything below it too)."""

PURE = {"socket", "subprocess", "urllib.request", "http", "time", "random", "threading", "asyncio", "os", "pathlib"}
"""What only code that reaches out needs: the plan has no I/O and no clock, nor has the judging of evidence."""

ROOTS = {
    "fullbore": COMPONENTS,
    "fullbore_runtime": ROOT / "images" / "runtime",
    "fullbore_agent": ROOT / "images" / "agent",
    "fullbore_lag": ROOT / "images" / "lag",
}


def modules() -> Iterator[tuple[str, Path]]:
    for package, root in ROOTS.items():
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@functools.cache
def imports(module: str, path: Path) -> set[str]:
    """Absolute names that a file imports; those only for type checkers count too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            above = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
            base = node.module or ""
            name = ".".join(part for part in (above, base) if part) if node.level else base
            found.add(name)
            found.update(f"{name}.{alias.name}" for alias in node.names)
    return found


def forbidden(module: str) -> set[str]:
    return {name for package, names in FORBIDDEN.items() if within(module, package) for name in names}


def test_no_import_points_back() -> None:
    bad = {
        f"{path.relative_to(ROOT)} imports {name}"
        for module, path in modules()
        for name in imports(module, path)
        for banned in forbidden(module)
        if within(name, banned) and not within(banned, module) and not (banned == "fullbore" and module == name)
    }
    assert bad == set()


def test_plan_and_evidence_are_pure() -> None:
    bad = {
        f"{path.relative_to(ROOT)} imports {name}"
        for module, path in modules()
        if within(module, "fullbore.plan") or within(module, "fullbore.evidence")
        for name in imports(module, path)
        for banned in PURE
        if within(name, banned)
    }
    assert bad == set()


def test_every_named_package_exists() -> None:
    """A rule about a package that was renamed would hold for nothing."""
    known = {name for name, _ in modules()}
    assert set(FORBIDDEN) <= known


PUBLIC = [
    item
    for item in (
        *modules(),
        *((f"fullbore_sandbox.{path.parent.name}", path) for path in SANDBOX.glob("*/__init__.py")),
    )
    if "\n__all__ = [" in item[1].read_text(encoding="utf-8")
]


def offered(tree: ast.Module) -> set[str]:
    """Names that a module defines for others: classes and functions; where it has none, all that it imports."""
    defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    }
    return {name for name in defined or imported if not name.startswith("_")}


@pytest.mark.parametrize(("name", "path"), [pytest.param(*item, id=item[0]) for item in PUBLIC])
def test_all_is_complete_and_importable(name: str, path: Path) -> None:
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [each for each in module.__all__ if not hasattr(module, each)] == []
    unlisted = offered(ast.parse(path.read_text(encoding="utf-8"))) - set(module.__all__)
    assert {each for each in unlisted if not isinstance(getattr(module, each), ModuleType)} == set()


def test_every_package_that_others_use_has_one() -> None:
    found = {name for name, _ in PUBLIC}
    assert {"fullbore.config", "fullbore.plan", "fullbore.plan.checks", "fullbore.provider.base"} <= found
