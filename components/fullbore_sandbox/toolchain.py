"""The programs of the sandbox, built once from their Go modules and shared by every clone on the machine.

A tool lies at CACHE/TOOL-VERSION-DIGEST/TOOL, where the digest covers go.mod, go.sum and how it is built; tools of one
group share a folder. Beside a tool lies its sha256, which is compared whenever it is taken into use.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fullbore_sandbox.state import SandboxError, locked

MODULES = Path(__file__).parent / "modules"
GO_MINIMUM = (1, 26)
"""The newest `go` line of the modules."""
COMPILE = ("-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false -l")
"""No paths of this machine in the result. No debug data is compiled, since none is linked, and nothing is inlined:
together a third less work for the compiler, and these programs serve one machine."""
GOGC = "400"
"""The compiler collects its garbage less often: 5 % less work, for at most some 2 GiB of memory."""
PULUMI_VERSION = "v3.250.0"
KWOK_VERSION = "v0.8.0"
_PULUMI_SDK = "github.com/pulumi/pulumi/sdk/v3"
_K8S = "k8s.io/component-base/version"

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One row of the table. `package` is compiled; `files` are taken from the module's own folder instead."""

    name: str
    module: str
    """Folder below modules/ whose go.mod pins it."""
    version: str
    package: str = ""
    variables: Mapping[str, str] | None = None
    """Go variables set by the linker: without its version a Kubernetes server is refused by clients."""
    source: str = ""
    """Module that holds `files`."""
    files: str = ""
    """A file or a folder in `source`."""
    group: str = ""
    """Tools of one group lie in one folder: the engine looks for its language host beside itself, and that for its own
    executor."""
    seconds: int = 1
    """How long it takes on two cores with nothing cached, another build beside it, for the estimate that is shown."""

    @property
    def digest(self) -> str:
        """What the result depends on, beside the Go release."""
        folder = MODULES / self.module
        parts = [
            (folder / "go.mod").read_bytes(),
            (folder / "go.sum").read_bytes(),
            " ".join(self.build_flags).encode(),
        ]
        parts.append(f"{self.package}{self.source}{self.files}".encode())
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]

    @property
    def build_flags(self) -> tuple[str, ...]:
        settings = [f"-X {name}={value}" for name, value in (self.variables or {}).items()]
        return (*COMPILE, "-ldflags", " ".join(["-s", "-w", *settings]))

    @property
    def folder(self) -> Path:
        if not self.group:
            return cache_dir() / f"{self.name}-{self.version}-{self.digest}"
        members = [row for row in TOOLS.values() if row.group == self.group]
        digest = hashlib.sha256(" ".join(row.digest for row in members).encode()).hexdigest()[:12]
        return cache_dir() / f"{self.group}-{members[0].version}-{digest}"

    @property
    def path(self) -> Path:
        """Where it lies once it is built."""
        return self.folder / self.name


def _kubernetes(name: str, seconds: int) -> Tool:
    variables = {f"{_K8S}.gitVersion": "v1.36.2", f"{_K8S}.gitMajor": "1", f"{_K8S}.gitMinor": "36"}
    package = f"k8s.io/kubernetes/cmd/{name}"
    return Tool(
        name=name, module="kubernetes", version="v1.36.2", package=package, variables=variables, seconds=seconds
    )


def _volcano(name: str, seconds: int) -> Tool:
    package = f"volcano.sh/volcano/cmd/{name}"
    return Tool(name=f"vc-{name}", module="volcano", version="v1.14.1", package=package, seconds=seconds)


def _kwok_stage(name: str, folder: str) -> Tool:
    files = f"kustomize/stage/node/{folder}/{name}"
    return Tool(
        name=name, module="kubernetes", version=KWOK_VERSION, source="sigs.k8s.io/kwok", files=files, group="kwok"
    )


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            name="pulumi",
            group="engine",
            module="pulumi",
            version=PULUMI_VERSION,
            package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            variables={f"{_PULUMI_SDK}/go/common/version.Version": PULUMI_VERSION},
            seconds=500,
        ),
        Tool(
            name="pulumi-language-python",
            group="engine",
            module="pulumi-language",
            version="v3.60.0",
            package=f"{_PULUMI_SDK}/python/cmd/pulumi-language-python",
            variables={f"{_PULUMI_SDK}/go/common/version.Version": "v3.60.0"},
            seconds=150,
        ),
        Tool(
            name="pulumi-language-python-exec",
            group="engine",
            module="pulumi",
            version=PULUMI_VERSION,
            source=_PULUMI_SDK,
            files="python/cmd/pulumi-language-python-exec",
        ),
        Tool(
            name="pulumi-resource-pulumi-python",
            group="engine",
            module="pulumi",
            version=PULUMI_VERSION,
            source=_PULUMI_SDK,
            files="python/dist/pulumi-resource-pulumi-python",
        ),
        _kubernetes("kube-apiserver", 750),
        _kubernetes("kube-controller-manager", 150),
        _kubernetes("kube-scheduler", 15),
        Tool(name="etcd", module="kubernetes", version="v3.6.8", package="go.etcd.io/etcd/server/v3", seconds=25),
        Tool(
            name="kwok",
            module="kubernetes",
            version=KWOK_VERSION,
            package="sigs.k8s.io/kwok/cmd/kwok",
            variables={"sigs.k8s.io/kwok/pkg/consts.Version": KWOK_VERSION},
            group="kwok",
            seconds=25,
        ),
        _kwok_stage("node-initialize.yaml", "fast"),
        _kwok_stage("node-heartbeat-with-lease.yaml", "heartbeat-with-lease"),
        _volcano("scheduler", 350),
        _volcano("controller-manager", 25),
        Tool(
            name="volcano-crd",
            module="volcano",
            version="v1.14.1",
            source="volcano.sh/volcano",
            files="config/crd/volcano/bases",
        ),
    )
}
ENGINE = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python")
"""What `pulumi up` of a Python program needs."""
KWOK_STAGES = ("node-initialize.yaml", "node-heartbeat-with-lease.yaml")
"""How kwok keeps a node Ready. It gets no stages of pods: the sandbox's pod runner plays the kubelet for them."""


def cache_dir() -> Path:
    """The folder that every clone of this user shares."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fullbore"


def tool(name: str, progress: Progress = lambda _: None) -> Path:
    """The path of the tool `name`, built now where it is missing or damaged. Raises SandboxError."""
    row = TOOLS[name]
    if is_intact(row.path):  # before the lock, which a cache that cannot be written has no place for
        return row.path
    try:
        with locked(row.folder / f".{name}.lock"):
            if not is_intact(row.path):
                progress(f"building {name} {row.version} (about {row.seconds} s with nothing cached)")
                _make(row)
    except OSError as error:
        raise SandboxError(
            f"{error.filename or row.folder}: {error.strerror}; programs are kept there: let it be written to, or name "
            "another folder in XDG_CACHE_HOME"
        ) from error
    return row.path


@cache
def path(name: str) -> Path:
    """Like `tool`, checked once in a process."""
    return tool(name)


def is_intact(path: Path) -> bool:
    """True where `path` is there and has the sha256 recorded beside it."""
    recorded = recorded_digest(path)
    return recorded is not None and path.exists() and recorded == sha256(path)


def recorded_digest(path: Path) -> str | None:
    """The sha256 that was recorded when `path` was made."""
    recorded = _digest_file(path)
    return recorded.read_text().strip() if recorded.exists() else None


def sha256(path: Path) -> str:
    """Digest of a file, or of every file in a folder with its name."""
    total = hashlib.sha256()
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: total).hexdigest()
    for each in sorted(p for p in path.rglob("*") if p.is_file()):
        total.update(f"{each.relative_to(path)}\0{sha256(each)}\n".encode())
    return total.hexdigest()


def seal(partial: Path, path: Path) -> None:
    """Move what was made into place together with its digest; a reader sees all of it or nothing."""
    _digest_file(path).write_text(sha256(partial) + "\n")
    if path.is_dir():
        shutil.rmtree(path)
    partial.rename(path)


def prefetch(modules: Iterable[str]) -> None:
    """Download the sources of `modules`, so that the network works while the compiler does."""
    for module in modules:
        packages = [row.package for row in TOOLS.values() if row.module == module and row.package]
        _go(module, "list", "-deps", *packages)


@cache
def go() -> str:
    """The Go command: one on PATH that is new enough, else the wheel's in the virtual environment."""
    candidates = [shutil.which("go"), str(Path(sys.executable).parent / "go")]
    for candidate in candidates:
        if candidate and Path(candidate).exists() and _go_version(candidate) >= GO_MINIMUM:
            return candidate
    needed = ".".join(map(str, GO_MINIMUM))
    raise SandboxError(f"go: no Go {needed} or later on PATH or in the virtual environment; run scripts/setup")


def version_of(text: str) -> tuple[int, ...]:
    """The first dotted number in `text`: 'go version go1.26.6 linux/amd64' -> (1, 26, 6); () where there is none."""
    found = re.search(r"(\d+(?:\.\d+)+)", text)
    return tuple(map(int, found[1].split("."))) if found else ()


def _go_version(command: str) -> tuple[int, ...]:
    # GOTOOLCHAIN=local: `go version` inside a module would otherwise try to download the release that go.mod names.
    told = subprocess.run([command, "env", "GOVERSION"], capture_output=True, text=True, env=_go_env(), check=False)
    return version_of(told.stdout)


def _go_env() -> dict[str, str]:
    # Without cgo the result does not depend on whether this machine has a C compiler.
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off", "GOGC": GOGC}


def _go(module: str, *args: str) -> str:
    # A group of its own: `end_builds` interrupts the compilers with it, and it removes its temporary files. A run in
    # the background hands on that interrupts are ignored; the build must not.
    argv = ["env", "--default-signal=INT", go(), *args]
    child = subprocess.Popen(
        argv,
        cwd=MODULES / module,
        env=_go_env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    _running.add(child)
    try:
        out, err = child.communicate()
    except KeyboardInterrupt:
        end_builds()
        child.communicate()
        raise
    finally:
        _running.discard(child)
    if child.returncode:
        said = "\n".join(f"  {line}" for line in err.strip().splitlines()[-15:])
        raise SandboxError(f"modules/{module}: go {args[0]} failed; is the Go module proxy reachable?\n{said}")
    return out


_running: set[subprocess.Popen[str]] = set()
"""The Go commands that run now, in any thread."""


def end_builds() -> None:
    """Interrupt every Go command that runs, as a terminal would; the threads that wait for them get SandboxError."""
    for child in tuple(_running):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGINT)


def _make(row: Tool) -> None:
    row.folder.mkdir(parents=True, exist_ok=True)
    partial = row.folder / f".{row.name}.partial"
    if row.package:
        _go(row.module, "build", *row.build_flags, "-o", str(partial), row.package)
    else:
        _copy(row, partial)
    seal(partial, row.path)


def _copy(row: Tool, partial: Path) -> None:
    _go(row.module, "mod", "download", row.source)
    source = Path(_go(row.module, "list", "-m", "-f", "{{.Dir}}", row.source).strip()) / row.files
    if source.is_file():
        shutil.copyfile(source, partial)
        partial.chmod(0o755)
        return
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for file in source.iterdir():
        shutil.copyfile(file, partial / file.name)


def _digest_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
