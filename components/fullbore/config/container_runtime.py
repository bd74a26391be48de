"""What a person writes of containerd and the NVIDIA Container Toolkit on the site's machines."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fullbore.config.base import Pinned, Server, Strict
from fullbore.config.versions import Version

AbsolutePath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._-]+)+$", max_length=1024)]
MirrorUrl = Annotated[
    str, Field(pattern=r"^https?://[A-Za-z0-9][A-Za-z0-9.:_-]*(/[A-Za-z0-9._/-]*)?$", max_length=1024)
]


class RegistryAccess(Strict):
    """How machines reach one registry. Credentials stay with Kubernetes (imagePullSecrets)."""

    mirror: MirrorUrl | None = Field(
        default=None,
        description="URL that images are pulled from in place of the registry, e.g. https://mirror.example",
    )
    ca_file: AbsolutePath | None = Field(
        default=None, description="path on the machines of the CA certificate that signs the registry's or mirror's own"
    )


class ContainerRuntime(Strict):
    """containerd, with the NVIDIA Container Toolkit of the lock where a machine has GPUs."""

    containerd: Version = Field(description="release of containerd, e.g. 2.1 or 1.7.28; apt's sources must have it")
    package: Literal["containerd.io", "containerd"] = Field(
        default="containerd.io", description="containerd's package: Docker's (containerd.io) or the distribution's own"
    )
    pause_image: Pinned | None = Field(
        default=None, description="image of each pod's sandbox, by digest; containerd's own default if left out"
    )
    registries: dict[Server, RegistryAccess] = Field(
        default={}, description="registries by host name, with port where it is not 443; image.registry is one of them"
    )
