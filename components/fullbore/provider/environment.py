"""What a child process gets of this process's environment, which holds credentials and the stack's configuration."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

COMMON: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "TMPDIR", "USER", "XDG_CACHE_HOME")
"""Variables that every child gets where they are set."""
CONTAINER_ENGINE: Final = (
    "PATH", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE", "SSL_CERT_DIR",
    "SSL_CERT_FILE", "CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE", "CONTAINERS_REGISTRIES_CONF",
    "CONTAINERS_STORAGE_CONF", "STORAGE_DRIVER", "STORAGE_OPTS", "BUILDX_BUILDER", "BUILDX_CONFIG", "DOCKER_CERT_PATH",
    "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_HOST", "DOCKER_TLS_VERIFY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
"""What a program that builds or runs containers gets besides: where its own settings and the network are. A proxy's
address may hold a password: without it nothing could be pulled."""


def kept(names: Iterable[str]) -> dict[str, str]:
    """The variables of `COMMON` and of `names` that are set. PATH is not among them unless it is named."""
    return {name: os.environ[name] for name in (*COMMON, *names) if name in os.environ}


_LOADER: Final = ("LD_", "GLIBC_", "GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK", "GOCOVERDIR")
_SETTINGS: Final = ("BUILDAH_", "BUILDKIT_", "BUILDX_", "CONTAINERS_", "CONTAINER_HOST", "DOCKER_", "PODMAN_", "XDG_")
_STEERING: Final = {"SOURCE_DATE_EPOCH", "GCONV_PATH", "LOCPATH", "BASH_ENV", "ALL_PROXY", "all_proxy"}


def steers(name: str) -> bool:
    """True where a variable of this name changes what a container engine itself does, so that no build argument, which
    reaches it through its environment, may have it."""
    return name in {*COMMON, *CONTAINER_ENGINE, *_STEERING} or name.startswith((*_LOADER, *_SETTINGS))
