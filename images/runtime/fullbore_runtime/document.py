"""`/etc/fullbore/plan.json`: what the plan says to this pod, as one versioned document.

Fields: `version` (1), `kind` ("serving") and `model` (the name that is served). Every other one is optional, and left
to the runtime where it is missing; `Document` below names them, `checksum` ("sha256:" and the digest of the document's
canonical JSON text without this field) excepted. Fields that are not known here are left alone: an older image must
be able to read a newer plan of the same version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fullbore_runtime.errors import DocumentError

VERSION = 1
KIND = "serving"
PATH = Path("etc/fullbore/plan.json")
ENGINES = ("vllm", "sglang")
CONTEXT_POLICIES = ("refuse", "truncate")


@dataclass(frozen=True, kw_only=True)
class Fabric:
    """What carries traffic between hosts; the plan decides, this runtime carries out or refuses."""

    kind: str | None = None
    """infiniband, roce, efa or ethernet."""
    hcas: tuple[str, ...] = ()
    """RDMA devices of the fabric, by name."""
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """{library: {variable: value}} of nccl, ucx, nvshmem and others that the plan uses."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """The fields that the runtime uses; None where the plan leaves the choice to the runtime."""

    model: str
    profile: str | None = None
    """cpu or cuda."""
    engine: str | None = None
    """vllm or sglang; vllm if left out."""
    accelerator: str | None = None
    """GPU model, by its name in the plan's catalog."""
    mig_profile: str | None = None
    """Slice of a GPU that a rank runs on, e.g. 3g.40gb; whole GPUs if left out."""
    hosts: int = 1
    """Hosts that one replica spans."""
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: bool = False
    precision: str | None = None
    kv_precision: str | None = None
    memory_fraction: float | None = None
    """Share of GPU memory that the engine may use."""
    batch_tokens: int | None = None
    """Most tokens of one step."""
    context_tokens: int | None = None
    context_policy: str | None = None
    """What happens to a prompt that is too long: it is refused, or its oldest part is cut off."""
    concurrency: int | None = None
    """Sequences in flight of a replica."""
    cuda: str | None = None
    """CUDA that the image is built for, e.g. 13.0."""
    driver: str | None = None
    """Oldest GPU driver that the plan allows, e.g. 580.65.06."""
    fabric: Fabric = field(default_factory=Fabric)
    port: int | None = None
    grpc_port: int | None = None
    """Where the gRPC front end listens; there is none if left out."""
    monitor_port: int | None = None
    """Where the memory monitor serves /metrics; it only logs if left out."""
    weights_sha256: str | None = None
    """Digest of the weights' manifest."""

    @property
    def ranks(self) -> int:
        """GPUs, or slices, of one replica."""
        return self.tensor_parallel * self.pipeline_parallel * self.data_parallel

    @property
    def ranks_here(self) -> int:
        """GPUs, or slices, of this pod."""
        return -(-self.ranks // self.hosts)


def read(path: Path) -> Document | None:
    """The document at `path`; None where there is no such file. Raises DocumentError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"{path}: cannot be read ({error})") from error
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DocumentError(f"{path}: is not JSON ({error}); deploy the pod again") from error
    if not isinstance(value, dict):
        raise DocumentError(f"{path}: must hold one JSON object, got {type(value).__name__}")
    return parse(value)


def parse(value: Mapping[str, object]) -> Document:
    """The document in `value`. Raises DocumentError where version, checksum or a type is wrong."""
    version = value.get("version")
    if version != VERSION:
        raise DocumentError(
            f"version: got {version!r}, but this image reads {VERSION}; deploy an image of the plan's age"
        )
    check_sum(value)
    if value.get("kind") != KIND:
        raise DocumentError(f"kind: got {value.get('kind')!r}, must be {KIND!r}; this is another machine's document")
    model = text_field(value, "model")
    if model is None:
        raise DocumentError("model: is missing; the plan must name the model that is served")
    return Document(
        model=model,
        profile=text_field(value, "profile"),
        engine=choice_field(value, "engine", ENGINES),
        accelerator=text_field(value, "accelerator"),
        mig_profile=text_field(value, "mig_profile"),
        hosts=count_field(value, "hosts") or 1,
        tensor_parallel=count_field(value, "tensor_parallel") or 1,
        pipeline_parallel=count_field(value, "pipeline_parallel") or 1,
        data_parallel=count_field(value, "data_parallel") or 1,
        expert_parallel=flag_field(value, "expert_parallel"),
        precision=text_field(value, "precision"),
        kv_precision=text_field(value, "kv_precision"),
        memory_fraction=share_field(value, "memory_fraction"),
        batch_tokens=count_field(value, "batch_tokens"),
        context_tokens=count_field(value, "context_tokens"),
        context_policy=choice_field(value, "context_policy", CONTEXT_POLICIES),
        concurrency=count_field(value, "concurrency"),
        cuda=version_field(value, "cuda"),
        driver=version_field(value, "driver"),
        fabric=fabric(value.get("fabric")),
        port=count_field(value, "port"),
        grpc_port=count_field(value, "grpc_port"),
        monitor_port=count_field(value, "monitor_port"),
        weights_sha256=text_field(value, "weights_sha256"),
    )


def fabric(value: object) -> Fabric:
    if value is None:
        return Fabric()
    given = mapping("fabric", value)
    hcas = given.get("hcas") or []
    if not isinstance(hcas, list) or not all(isinstance(hca, str) for hca in hcas):
        raise DocumentError(f"fabric.hcas: must be a list of names, got {hcas!r}")
    found = mapping("fabric.environment", given.get("environment") or {})
    environment = {name: mapping(f"fabric.environment.{name}", lines) for name, lines in found.items()}
    for name, lines in environment.items():
        for variable, setting in lines.items():
            if not isinstance(setting, str):
                raise DocumentError(f"fabric.environment.{name}.{variable}: must be a text, got {setting!r}")
    texts = {name: {key: str(text) for key, text in lines.items()} for name, lines in environment.items()}
    return Fabric(kind=text_field(given, "kind"), hcas=tuple(hcas), environment=texts)


def canonical_sha256(value: Mapping[str, object]) -> str:
    """sha256 of the document's canonical JSON text without its `checksum`."""
    rest = {key: item for key, item in value.items() if key != "checksum"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def check_sum(value: Mapping[str, object]) -> None:
    got = value.get("checksum")
    if got is None:
        return
    want = canonical_sha256(value)
    if not isinstance(got, str) or got.removeprefix("sha256:") != want:
        raise DocumentError(f"checksum: got {got}, but the content's is {want}; the file was changed, deploy it again")


def mapping(name: str, value: object) -> Mapping[str, object]:
    if isinstance(value, dict):
        return value
    raise DocumentError(f"{name}: must be an object, got {value!r}")


def text_field(value: Mapping[str, object], name: str) -> str | None:
    got = value.get(name)
    if got is None or (isinstance(got, str) and got):
        return got
    raise DocumentError(f"{name}: must be a text, got {got!r}")


def choice_field(value: Mapping[str, object], name: str, allowed: tuple[str, ...]) -> str | None:
    got = text_field(value, name)
    if got is None or got in allowed:
        return got
    raise DocumentError(f"{name}: got {got!r}, must be one of {', '.join(allowed)}")


def version_field(value: Mapping[str, object], name: str) -> str | None:
    got = text_field(value, name)
    if got is None or all(part.isdecimal() for part in got.split(".")):
        return got
    raise DocumentError(f"{name}: must be a version of numbers and dots, got {got!r}")


def count_field(value: Mapping[str, object], name: str) -> int | None:
    got = value.get(name)
    if got is None or (isinstance(got, int) and not isinstance(got, bool) and got >= 1):
        return got
    raise DocumentError(f"{name}: must be a whole number of at least 1, got {got!r}")


def share_field(value: Mapping[str, object], name: str) -> float | None:
    got = value.get(name)
    if got is None:
        return None
    if isinstance(got, (int, float)) and not isinstance(got, bool) and 0 < got <= 1:
        return float(got)
    raise DocumentError(f"{name}: must be a number above 0 and at most 1, got {got!r}")


def flag_field(value: Mapping[str, object], name: str) -> bool:
    got = value.get(name)
    if got is None or isinstance(got, bool):
        return bool(got)
    raise DocumentError(f"{name}: must be true or false, got {got!r}")
