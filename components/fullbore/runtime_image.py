"""The runtime image: built from `images/runtime` and pushed, or the digest that CI built."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from fullbore._component import Component
from fullbore.plan.model import BUILDABLE, ImagePlan
from fullbore.provider.resources import Image

CONTEXT = "images/runtime"


@dataclass(frozen=True, kw_only=True)
class RuntimeImageResources:
    """What `RuntimeImage` created."""

    image: Image


class RuntimeImage(Component):
    """One image for every serving pool. `ref` is REGISTRY/REPOSITORY@DIGEST; with `plan.digest` nothing is built.

    Raises ValueError where the plan asks to build a profile that the Containerfile does not have.
    """

    def __init__(self, name: str, plan: ImagePlan, opts: pulumi.ResourceOptions | None = None) -> None:
        if plan.digest is None and plan.profile not in BUILDABLE:
            raise ValueError(
                f"image.profile: {plan.profile} cannot be built here, only {', '.join(BUILDABLE)}; "
                "set image.digest to an image that was built elsewhere"
            )
        super().__init__(name, opts)
        self.plan = plan
        self.resources = RuntimeImageResources(image=self._create_image())
        self.ref: pulumi.Output[str] = self.resources.image.ref
        self.register_outputs({"ref": self.ref})

    def _create_image(self) -> Image:
        plan = self.plan
        built = plan.digest is None
        return Image(
            self.part("image"),
            registry=plan.registry,
            repository=plan.repository,
            context=CONTEXT if built else None,
            build_args={"BASE": plan.base} if built else None,
            insecure=plan.insecure,
            digest=plan.digest,
            opts=self.child(),
        )
