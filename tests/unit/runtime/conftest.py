"""A small model, a service on a free port, and a machine described as a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from small_server import SMALL, client_of, serving

from fullbore_runtime import document, weights
from fullbore_runtime.document import Document
from fullbore_runtime.facts import Facts, gather
from fullbore_runtime.model import Model
from fullbore_runtime.server import Server


@pytest.fixture(scope="session")
def model_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    weights.make(directory, seed=7, shape=SMALL)
    return directory


@pytest.fixture(scope="session")
def model(model_directory: Path) -> Model:
    manifest = weights.read_manifest(model_directory)
    return Model(manifest.shape, weights.load(model_directory, manifest))


@pytest.fixture(scope="session")
def server(model_directory: Path) -> Iterator[Server]:
    with serving(model_directory) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with client_of(server) as client:
        yield client


@pytest.fixture
def machine(tmp_path: Path, model_directory: Path) -> Callable[..., tuple[Facts, Document | None]]:
    """Facts and plan of a container described by files; a mapping is written as the plan's document."""

    def describe(
        files: Mapping[str, str] = {}, plan: Mapping[str, object] | None = None, **env: str
    ) -> tuple[Facts, Document | None]:
        content = dict(files)
        if plan is not None:
            content["etc/fullbore/plan.json"] = json.dumps(plan)
        for name, text in content.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        facts = gather(tmp_path, {"FULLBORE_MODEL_DIRECTORY": str(model_directory), **env})
        return facts, document.read(tmp_path / document.PATH)

    return describe
