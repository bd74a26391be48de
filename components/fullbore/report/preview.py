"""What a pull request changes in each environment, offline and without credentials: `scripts/preview`.

The merge base with the main branch and the working tree are copied to a temporary folder, each environment of both is
previewed in a scratch stack with plan-only stand-ins, and the two are compared. Everything temporary is removed at the
end, whichever way it ends.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import yaml

from fullbore.config import environment_names, repository_root
from fullbore.config.find import stack_name
from fullbore.output import ending_with_the_reader
from fullbore.report.changes import EnvironmentChange, Side, compare
from fullbore.report.pullrequest import document, markdown
from fullbore.report.scratch import CommandFailed, copy_commit, copy_working_tree, end_all, make_tree, preview, run

MAIN_BRANCHES = ("origin/main", "main")
EXIT_FAILED = 1
EXIT_PROBLEMS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, 2 where the head has an error of the plan or of a guard, 1 where it could not be previewed."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as SIGHUP is under nohup
            signal.signal(number, _stop)
    names = tuple(dict.fromkeys(options.environments))
    if "" in names:
        print("preview: got an empty name, allowed names of environments", file=sys.stderr)
        return EXIT_PROBLEMS
    repository = repository_root(Path.cwd())
    base = merge_base(repository, options.base)
    if options.base and not base:
        print(f"preview: --base: got {options.base}, which names no commit here; give a branch, tag or commit",
              file=sys.stderr)  # fmt: skip
        return EXIT_PROBLEMS
    with tempfile.TemporaryDirectory(prefix="fullbore-preview-") as folder:
        try:
            environments = compared(repository, base, names or real_environments(repository, base), Path(folder))
        except CommandFailed as error:
            print(f"preview: {error}", file=sys.stderr)
            return EXIT_FAILED
    nowhere = [env.name for env in environments if {env.head.status, env.base and env.base.status} <= {"absent", None}]
    if nowhere:
        known = ", ".join(environment_names(repository))
        print(f"preview: {', '.join(nowhere)}: there is no such environment; known: {known}", file=sys.stderr)
        return EXIT_PROBLEMS
    shown = (environments, base[:12], _head(repository))
    if options.json:
        print(json.dumps(document(*shown), indent=2, ensure_ascii=False))
    else:
        print(markdown(*shown), end="")
    sys.stdout.flush()  # here, where a reader that has gone is noticed
    return _exit_code(environments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/preview", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "environments", nargs="*", metavar="ENV", help="default: every one of either side that is no sandbox"
    )
    parser.add_argument("--base", metavar="REF", help="compare with this commit instead of the merge base with main")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document")
    form.add_argument("--markdown", action="store_true", help="print Markdown (the default)")
    return parser


def _stop(number: int, frame: FrameType | None) -> None:
    """A polite end goes through the same clean-up as any other."""
    raise SystemExit(128 + number)


def real_environments(repository: Path, base: str) -> tuple[str, ...]:
    """Environments of the working tree and of the commit `base`, those of a sandbox left out: nobody's racks depend on
    them. A file that cannot be read counts: its problem is to be shown."""
    files = [path for path in (repository / "stacks").glob("Pulumi.*.yaml") if path.is_file()]
    texts = {path.name: path.read_text(errors="replace") for path in files}
    listed = run(["git", "ls-tree", "--name-only", base, "stacks/"], repository, os.environ) if base else b""
    for path in map(Path, listed.decode().splitlines()):
        if path.name not in texts:
            texts[path.name] = run(["git", "show", f"{base}:{path}"], repository, os.environ).decode(errors="replace")
    names = (stack_name(Path(name)) for name, text in texts.items() if not _is_sandbox(text))
    return tuple(sorted(name for name in names if name))


def _is_sandbox(text: str) -> bool:
    try:
        config = yaml.load(text, yaml.CSafeLoader)["config"].values()
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        return False
    return any(isinstance(value, Mapping) and "sandbox" in value for value in config)


def merge_base(repository: Path, ref: str | None) -> str:
    """The commit to compare with; empty where there is none (the first commit, or a clone without history)."""
    if ref:
        return _commit(repository, ref)
    for branch in MAIN_BRANCHES:
        try:
            base = run(["git", "merge-base", "HEAD", branch], repository, os.environ).decode().strip()
        except CommandFailed:
            continue
        return base
    return ""


def _commit(repository: Path, ref: str) -> str:
    try:
        return (
            run(["git", "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"], repository, os.environ)
            .decode()
            .strip()
        )
    except CommandFailed:
        return ""


def _head(repository: Path) -> str:
    """What was previewed: the commit, and whether the working tree differs from it."""
    commit = _commit(repository, "HEAD")[:12]
    clean = not run(["git", "status", "--porcelain"], repository, os.environ).strip()
    return commit if clean else f"the working tree on {commit or 'no commit'}"


def compared(repository: Path, base: str, names: Sequence[str], folder: Path) -> tuple[EnvironmentChange, ...]:
    """Previews of both sides, compared. The sides run beside each other; each keeps its stacks to itself."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        try:
            head = pool.submit(_side, repository, "", names, folder / "head")
            old = pool.submit(_side, repository, base, names, folder / "base") if base else None
            heads, bases = head.result(), old.result() if old else {}
        except BaseException:  # interrupted, or told to stop: wait for no child
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise
    return tuple(compare(name, bases.get(name), heads[name]) for name in names)


def _side(repository: Path, commit: str, names: Sequence[str], folder: Path) -> dict[str, Side]:
    """Every environment of one side, one after the other; an empty commit means the working tree."""
    root = folder / "tree"
    root.mkdir(parents=True)
    if commit:
        copy_commit(repository, commit, root)
    else:
        copy_working_tree(repository, root)
    tree = make_tree(root, folder / "scratch")
    sides: dict[str, Side] = {}
    for name in names:
        print(f"preview: {name} of {commit[:12] or 'the working tree'}", file=sys.stderr)
        sides[name] = preview(tree, name)
    return sides


def _exit_code(environments: Sequence[EnvironmentChange]) -> int:
    heads = [environment.head for environment in environments]
    if any(head.status == "failed" for head in heads):
        return EXIT_FAILED
    return EXIT_PROBLEMS if any(problem.severity == "error" for head in heads for problem in head.problems) else 0


if __name__ == "__main__":
    with ending_with_the_reader():
        sys.exit(main())
