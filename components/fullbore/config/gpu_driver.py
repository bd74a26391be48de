"""What a person writes of the NVIDIA driver on the site's machines."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fullbore.config.base import Strict

ModuleOption = Annotated[str, Field(pattern=r"^NVreg_[A-Za-z0-9]+$", max_length=80)]
OptionValue = Annotated[str, Field(pattern=r"^[A-Za-z0-9_=;:.,-]+$", max_length=200)]
MigProfile = Annotated[str, Field(pattern=r"^[1-7]g\.[0-9]{1,3}gb(\+me)?$", max_length=20)]
"""A GPU instance as `nvidia-smi mig -lgip` names it, without the word MIG."""


class GpuDriver(Strict):
    """The NVIDIA driver of the GPU machines, at the version of the lock. apt's sources on the machines must have it."""

    fabric_manager: bool | None = Field(
        default=None,
        strict=True,
        description="whether Fabric Manager runs, at the driver's version; where GPUs share an NVSwitch if left out",
    )
    module_options: dict[ModuleOption, OptionValue] = Field(
        default={},
        description="further options of the kernel module nvidia, e.g. NVreg_EnableStreamMemOPs: '1'; "
        "what the runtimes of site.runtimes need is there without them",
    )
