"""`fullbore:image:Image`: a container image, built from a folder and pushed, or pinned by its digest.

Outputs are the inputs with `digest` and `ref` (REGISTRY/REPOSITORY@DIGEST). Check adds `source`, a hash of everything
that goes into a build: while it is the same, nothing is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

from fullbore.provider.base import UNKNOWN, Check, Created, Diff, Failure, Map, ProviderError, Read, Request
from fullbore.provider.builder import Build, Builder
from fullbore.provider.environment import steers
from fullbore.provider.registry import Registry
from fullbore.provider.runner import ROOT
from fullbore.provider.tree import source_digest
from fullbore.provider.values import differences, has_unknown, keep_secrets, plain

DEFAULTS: Final[Map] = {"containerfile": "Containerfile", "buildArgs": {}, "insecure": False}
KEYS: Final = ("context", "containerfile", "buildArgs", "registry", "repository", "insecure", "digest", "source")

_TEXTS: Final = ("context", "containerfile", "registry", "repository", "digest")
_ARGUMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
REPOSITORY: Final = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
"""opencontainers/distribution-spec, spec.md, "Pulling manifests"."""
_REPLACES: Final = ("registry", "repository")


class Images:
    """The resource's operations."""

    def __init__(self, builder: Builder | None = None, root: Path = ROOT) -> None:
        self._builder = builder or Builder()
        self._root = root

    def stop(self) -> None:
        self._builder.stop()

    def check(self, r: Request) -> Check:
        inputs: Map = {**DEFAULTS, **{key: value for key, value in r.news.items() if key != "source"}}
        failures = list(self._failures(plain(inputs)))
        if failures:
            return Check(inputs, failures)
        if inputs.get("digest") is None:
            inputs["source"] = self._source(plain(inputs))
        return Check(inputs)

    def diff(self, r: Request) -> Diff:
        # Where the folder lies does not matter, only what is in it.
        old, new = ({k: v for k, v in side.items() if k != "context"} for side in (r.old_inputs, r.news))
        changes = differences(old, new)
        return Diff({path: f"{kind}-replace" if path in _REPLACES else kind for path, kind in changes.items()})

    def create(self, r: Request) -> Created:
        if r.preview:
            return Created("", _foreseen(r.news))
        outputs = self._make(r)
        return Created(f"{plain(r.news['registry'])}/{plain(r.news['repository'])}", outputs)

    def update(self, r: Request) -> Map:
        if r.preview:
            return _foreseen(r.news)
        return self._make(r)

    def read(self, r: Request) -> Read | None:
        if not r.inputs:
            raise ProviderError(f"{r.name}: an image is not imported; give its digest as an input instead")
        state: Map = plain(r.olds)
        registry = Registry(state["registry"], bool(state.get("insecure")))
        if registry.digest(state["repository"], state["digest"]) is None:
            return None
        return Read(r.id, r.inputs, r.olds)

    def delete(self, r: Request) -> None:
        state: Map = plain(r.olds)
        if plain(r.old_inputs.get("digest")) is not None:
            r.log("info", f"left {state['ref']} in the registry: it was pinned, not built here")
            return
        if not state.get("insecure"):
            # Tags are hashes of the content: another environment may run, or have pinned, the very same manifest.
            r.log("info", f"left {state['ref']} in the registry: other environments may use it")
            return
        registry = Registry(state["registry"], insecure=True)
        if not registry.delete(state["repository"], state["digest"]):
            r.log("info", f"left {state['ref']} in the registry: it does not allow deletion")

    def _make(self, r: Request) -> Map:
        inputs: Map = plain(r.news)
        registry = Registry(inputs["registry"], bool(inputs["insecure"]))
        if inputs.get("digest") is not None:
            return self._pinned(r, registry, inputs)
        tag = f"src-{inputs['source'].removeprefix('sha256:')[:16]}"
        digest = registry.digest(inputs["repository"], tag)
        if digest is not None:
            r.log("info", f"{inputs['repository']}:{tag} is in the registry already: nothing is built")
        else:
            digest = self._build(r, inputs, tag)
        return keep_secrets(_resolved(inputs, digest), r.news)

    def _pinned(self, r: Request, registry: Registry, inputs: Map) -> Map:
        if registry.digest(inputs["repository"], inputs["digest"]) is None:
            where = f"{inputs['registry']}/{inputs['repository']}"
            raise ProviderError(f"digest: {where} has no {inputs['digest']}; push it, or leave digest out to build")
        return keep_secrets(_resolved(inputs, inputs["digest"]), r.news)

    def _build(self, r: Request, inputs: Map, tag: str) -> str:
        build = Build(
            context=self._context(inputs),
            containerfile=inputs["containerfile"],
            arguments=inputs["buildArgs"],
            target=f"{inputs['registry']}/{inputs['repository']}:{tag}",
            insecure=inputs["insecure"],
        )
        return self._builder.build(build, lambda line: r.log("info", line, ephemeral=True))

    def _context(self, inputs: Map) -> Path:
        """The folder; a relative one is below the repository, so that state names no machine's paths."""
        return self._root / inputs["context"]

    def _source(self, inputs: Map) -> Any:
        arguments = {key: inputs[key] for key in ("containerfile", "buildArgs")}
        unknown = has_unknown([inputs["context"], arguments])
        return UNKNOWN if unknown else source_digest(self._context(inputs), arguments)

    def _failures(self, inputs: Map) -> Iterator[Failure]:
        for key in inputs:
            if key not in KEYS:
                yield Failure(key, f"is not known here; allowed are {', '.join(KEYS)}")
        for key in ("registry", "repository", *(() if inputs.get("digest") else ("context",))):
            if inputs.get(key) in (None, ""):
                yield Failure(key, "is missing")
        for key in _TEXTS:
            if not isinstance(inputs.get(key, ""), str) and inputs[key] is not UNKNOWN and inputs[key] is not None:
                yield Failure(key, f"got a {type(inputs[key]).__name__}, but it must be a text")
        if not isinstance(inputs["insecure"], bool) and inputs["insecure"] is not UNKNOWN:
            yield Failure("insecure", f"got a {type(inputs['insecure']).__name__}, but it must be true or false")
        yield from self._shape_failures(inputs)

    def _shape_failures(self, inputs: Map) -> Iterator[Failure]:
        digest, repository, arguments = inputs.get("digest"), inputs.get("repository"), inputs["buildArgs"]
        if isinstance(digest, str) and not _DIGEST.fullmatch(digest):
            yield Failure("digest", f"got {digest!r}, but it must be sha256: and 64 hexadecimal digits")
        if isinstance(repository, str) and repository and not REPOSITORY.fullmatch(repository):
            yield Failure(
                "repository", f"got {repository!r}, but it must be lower-case path parts, e.g. fullbore/runtime"
            )
        if arguments is not UNKNOWN and not _texts(arguments):
            yield Failure("buildArgs", "must be a map of texts")
        elif arguments is not UNKNOWN:
            for name in sorted(filter(_is_no_argument, cast("Map", arguments))):
                yield Failure(f"buildArgs.{name}", "would alter the builder itself; give the argument another name")
        context, file = inputs.get("context"), inputs["containerfile"]
        if not digest and isinstance(context, str) and context and isinstance(file, str):
            if not (self._root / context).is_dir():
                yield Failure("context", f"{context} is no folder; give one relative to the repository")
            elif not (self._root / context / file).is_file():
                yield Failure("containerfile", f"{context} has no file {file}")


def _is_no_argument(name: str) -> bool:
    return not _ARGUMENT.fullmatch(name) or steers(name)


def _texts(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return all(isinstance(item, str) or item is UNKNOWN for item in cast("Map", value).values())


def _resolved(inputs: Map, digest: str) -> Map:
    return {**inputs, "digest": digest, "ref": f"{inputs['registry']}/{inputs['repository']}@{digest}"}


def _foreseen(news: Map) -> Map:
    """Outputs of a preview: a pinned image is known, one that would be built is not."""
    if news.get("digest") is None or has_unknown([news["digest"], news["registry"], news["repository"]]):
        return {**news, "digest": UNKNOWN, "ref": UNKNOWN}
    return keep_secrets(_resolved(plain(news), plain(news["digest"])), news)
